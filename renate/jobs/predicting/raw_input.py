"""What a raw row is that a version predicts for, in words and numbers."""

from dataclasses import dataclass

from renate.data.kept.encoders import Encoder, target_of
from renate.data.kept.inputs import Inputs
from renate.data.raw.reader import RawReader
from renate.data.tables.encoding.encoder import TableEncoder

SHOWN = 20  # columns that are listed


@dataclass(frozen=True)
class RawColumn:
    """One of the inputs of a raw row.

    Attributes:
        name: The column's; of a lone tensor `inputs`.
        kind: `number`, `boolean`, `text`, `date`, `instant`, `image` or `tensor`.
        dtype: Of tensors, as torch calls it; None where an encoder decides.
        shape: Of one example; () of a column's value.
        meaning: What an encoder makes of it, where that isn't its kind: `category`, `date`.
        low: The least value that training has seen; None where that has no meaning.
        high: The greatest.
    """

    name: str
    kind: str
    dtype: str | None = None
    shape: tuple[int, ...] = ()
    meaning: str | None = None
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        parts = [self.name, self.kind]
        if self.dtype is not None:
            parts.append(self.dtype)
        if self.meaning is not None:
            parts.append(f"({self.meaning})")
        if self.shape:
            parts.append(str(list(self.shape)))
        if self.low is not None and self.high is not None:
            parts.append(f"{self.low:g} to {self.high:g}")
        return " ".join(parts)


@dataclass(frozen=True)
class RawInput:
    """What a raw row is.

    Attributes:
        columns: Its inputs, those of a table by name and in any order.
        encoder: The class of what encodes them; None where nothing does.
    """

    columns: tuple[RawColumn, ...]
    encoder: str | None = None

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return a line for each input, at most `SHOWN`."""
        lines = [str(column) for column in self.columns[:SHOWN]]
        more = len(self.columns) - len(lines)
        if more:
            lines.append(f"and {more} more")
        return lines


def raw_input(inputs: Inputs | None, encoder: Encoder | None) -> RawInput:
    """Return what a raw row is of a version that keeps these inputs and this encoder."""
    name = None
    if encoder is not None:
        name = target_of(encoder)
        if encoder.raw_columns:
            return RawInput(_of_encoder(encoder), name)

    if inputs is None:
        return RawInput((), name)
    if inputs.fields:
        fields = inputs.fields
        return RawInput(tuple(RawColumn(f.name, "tensor", f.dtype, f.shape) for f in fields), name)

    if encoder is not None and not RawReader(inputs, encoder).columns:
        return RawInput((RawColumn("inputs", f"what {name} takes"),), name)

    columns = []
    for column in inputs.columns:
        alone = column.kind in ("image", "tensor")
        shape = inputs.shape if alone else ()
        # Of what is standardised the range isn't that of the raw values
        low, high = (None, None) if encoder is not None else (column.low, column.high)
        named = RawColumn(column.name, column.kind, inputs.dtype, shape, low=low, high=high)
        columns.append(named)

    return RawInput(tuple(columns), name)


def _of_encoder(encoder: Encoder) -> tuple[RawColumn, ...]:
    columns = []
    for name, kind in encoder.raw_columns.items():
        meaning = kind
        if isinstance(encoder, TableEncoder):
            meaning = encoder.encoding_of(name).kind
        columns.append(RawColumn(name, kind, meaning=meaning if meaning != kind else None))
    return tuple(columns)
