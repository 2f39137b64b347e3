"""From a table's columns to what an encoder or a model takes, as training reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from renate.data.kept.encoders import Encoder
from renate.data.kept.inputs import Inputs
from renate.data.raw.images import encoded, layout_of
from renate.data.tables.choice import ColumnChoice
from renate.data.tables.encoding.encoder import TableEncoder
from renate.data.tables.encoding.raw import RawTables, check_filled
from renate.data.tables.parquet import Read, images_in
from renate.data.tables.values import Places, spread, vectors
from renate.errors import DataError

FILL = "fill them or drop the rows"


@dataclass(frozen=True)
class RawReader:
    """Reads the columns that a state's inputs come from.

    Attributes:
        inputs: The state's; None where it was written before they were kept.
        encoder: The state's, as it was fitted; None where it has none.
        date_format: How dates are written in texts; None is ISO 8601.
        image_size: See `layout_of`, as the next one.
        image_fit: See there.
    """

    inputs: Inputs | None
    encoder: Encoder | None
    date_format: str | None = None
    image_size: Sequence[int] | None = None
    image_fit: str = "stretch"

    @property
    def columns(self) -> dict[str, str]:
        """name -> kind as a table holds it; empty where inputs don't come from named columns."""
        if self.encoder is not None and self.encoder.raw_columns:
            return self.encoder.raw_columns
        if self.inputs is None or self.inputs.fields or not self.inputs.named:
            return {}
        return {column.name: column.kind for column in self.inputs.columns}

    @property
    def spread_names(self) -> set[str]:
        """Columns of lists, of which each place is an input: `x` of `x[0]`, `x[1]`."""
        return {name.rpartition("[")[0] for name in self.columns if name.endswith("]")}

    def read(self, table: Any, where: str, first: int = 0, names: Sequence[str] = ()) -> Any:
        """Return an Arrow table's rows as the encoder takes them, or where there is none as they
        are stored.

        Args:
            table: Its columns are taken by name; others are left alone.
            where: What it is, for messages.
            first: The number of its first row there.
            names: What its rows are called in place of that, where they are images.

        Raises:
            DataError: A column is missing, of another kind, or has a value that can't be used.
        """
        wanted = self.columns
        needed = {*wanted, *self.spread_names}
        table = spread(where, table, but=[n for n in table.column_names if n not in needed])
        there = [name for name in wanted if name in table.column_names]
        others = [name for name in table.column_names if name not in wanted]
        # Where one is missing the others may be what it is called here
        taken = there if len(there) == len(wanted) else [*there, *others]
        read = Read(table.select(taken), {})
        choice = ColumnChoice((), None, (), self.inputs, list(wanted.items()))
        choice.check(where, read, wanted, "the state")

        if list(wanted.values()) == ["image"]:
            return self._images(read, taken[0], where, first, names)

        numbers = np.arange(first, first + table.num_rows)
        places = Places([where], [table.num_rows], {where: numbers})
        if isinstance(self.encoder, TableEncoder):
            return RawTables([read], places, self.date_format).cells(self.encoder)

        check_filled(where, read, list(wanted), FILL)
        if set(wanted.values()) == {"text"}:
            texts = {name: read.table.column(name).to_pylist() for name in wanted}
            return texts if len(texts) > 1 else next(iter(texts.values()))

        return self._vectors(read.table.select(list(wanted)), places, first)

    def _vectors(self, table: Any, places: Places, first: int) -> torch.Tensor:
        found = vectors(table, places)
        odd = np.argwhere(~np.isfinite(found))
        if len(odd):
            row, column = odd[0].tolist()
            raise DataError(
                f"{places.title}: row {first + row} (the first is 0), column "
                f"'{table.column_names[column]}' is {found[row, column]}: clean or fill it first"
            )

        return torch.from_numpy(found)

    def _images(
        self, read: Read, name: str, where: str, first: int, names: Sequence[str]
    ) -> torch.Tensor:
        assert self.inputs is not None
        check_filled(where, read, [name], FILL)
        place = f"{where}: column '{name}'"
        layout = layout_of(self.inputs, self.image_size, self.image_fit)
        return encoded(images_in(read.table.column(name)), layout, place, first, names)
