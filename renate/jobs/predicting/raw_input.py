"""What a raw row is that a version predicts for, in words and numbers."""

from dataclasses import dataclass

from renate.data.kept.encoders import Encoder, target_of
from renate.data.kept.inputs import Inputs
from renate.data.raw.reader import RawReader

SHOWN = 20  # columns that are listed


@dataclass(frozen=True)
class RawColumn:
    """One of the inputs of a raw row.

    Attributes:
        name: The column's; of a lone tensor `inputs`.
        kind: `number`, `boolean`, `text`, `date`, `instant`, `image` or `tensor`.
        dtype: Of tensors, as torch calls it; None where an encoder decides.
        shape: Of one example; () of a column's value.
        low: The least value that training has seen; None where that has no meaning.
        high: The greatest.
    """

    name: str
    kind: str
    dtype: str | None = None
    shape: tuple[int, ...] = ()
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        parts = [self.name, self.kind]
        if self.dtype is not None:
            parts.append(self.dtype)
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
            taken = encoder.raw_columns.items()
            return RawInput(tuple(RawColumn(column, kind) for column, kind in taken), name)

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
        columns.append(RawColumn(column.name, column.kind, inputs.dtype, shape, low, high))

    return RawInput(tuple(columns), name)
