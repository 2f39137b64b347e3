"""How raw inputs become what a version's model is called with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.kept.encoders import Encoder
from renate.data.kept.inputs import Inputs, compare
from renate.data.kept.raw import check_storable, rows_in
from renate.data.model_inputs import ModelInputs, mapping_of, named_columns
from renate.data.ragged import Ragged
from renate.data.raw.frames import is_named, is_row, table_of
from renate.data.raw.images import is_image, layout_of, of_pillow
from renate.data.raw.reader import RawReader
from renate.data.table import Table, described
from renate.errors import DataError

Columns = Tensor | dict[str, Tensor | Ragged]


@dataclass(frozen=True)
class Feed:
    """How raw inputs become what the model is called with.

    Attributes:
        inputs: What the version was trained on; None where it was written before that was kept.
        encoder: As it was fitted; None where inputs are tensors already.
        image_size: [height, width] that images are resized to; None takes only those of the size
            that the state has.
        image_fit: How they get there: `stretch`, `crop` or `pad`.
        date_format: How dates are written in texts; None is ISO 8601.
    """

    inputs: Inputs | None
    encoder: Encoder | None
    image_size: Sequence[int] | None = None
    image_fit: str = "stretch"
    date_format: str | None = None

    @property
    def reader(self) -> RawReader:
        """What reads tables."""
        return RawReader(
            self.inputs, self.encoder, self.date_format, self.image_size, self.image_fit
        )

    def __call__(self, raw: Any, device: torch.device) -> ModelInputs:
        """Return raw inputs encoded and, where they are several, padded, on a device.

        Raises:
            DataError: They are others than the version was trained on.
        """
        if isinstance(raw, Tensor) and self.encoder is None and not self._several:
            return raw
        return moved(self.encoded(raw), device)

    @property
    def _several(self) -> bool:
        return self.inputs is not None and bool(self.inputs.fields)

    def is_single(self, raw: Any) -> bool:
        """Whether raw inputs are those of one example, and not of several."""
        if isinstance(raw, str) or is_image(raw):
            return True
        if self.reader.columns and is_row(raw):
            return True
        if self.inputs is None or not isinstance(raw, np.ndarray | Tensor):
            return False
        return not self._several and raw.ndim == len(self.inputs.shape)

    def encoded(self, raw: Any) -> Columns:
        """Return raw inputs as columns of training are stored, on the CPU.

        Raises:
            DataError: They are others than the version was trained on.
        """
        return self.stored(self.read(raw))

    def read(self, raw: Any) -> Any:
        """Return raw inputs as the encoder takes them, or where there is none as they are stored.

        Raises:
            DataError: A column is missing, of another kind, or has a value that can't be used.
        """
        if self.reader.columns and is_named(raw):
            return self.reader.read(table_of(raw, list(self.reader.columns)), "inputs")
        return self._unnamed(raw)

    def stored(self, raw: Any) -> Columns:
        """Return what the encoder takes as columns of training are stored.

        Raises:
            DataError: It isn't what the version was trained on.
        """
        rows = rows_in(raw, "inputs")
        found = raw
        if self.encoder is not None:
            found = self.encoder.encode(raw)

        found = check_storable(found, rows, "inputs")
        if self.inputs is not None:
            seen = described(Table(found, np.zeros(rows)))
            compare(replace(seen, target_kind=None), self.inputs, "inputs", "the state")
        _check_finite(found)

        columns: Columns = found
        return columns

    def _unnamed(self, raw: Any) -> Any:
        """Raw inputs without names of columns: what encoders and tensors are made of."""
        if self.is_single(raw):
            raw = raw[None] if isinstance(raw, np.ndarray | Tensor) else [raw]
        if isinstance(raw, np.ndarray) and raw.dtype.kind in "biuf" and not self._takes_texts:
            raw = torch.from_numpy(np.ascontiguousarray(raw))
        if isinstance(raw, list | tuple) and raw and is_image(raw[0]):
            return self._of_images(raw)
        if isinstance(raw, list | tuple) and raw and isinstance(raw[0], np.ndarray | Tensor):
            raw = _stacked(raw)
        if isinstance(raw, Tensor) and self.inputs is not None and not self._takes_texts:
            return _converted(raw.detach().cpu(), self.inputs)
        return raw

    @property
    def _takes_texts(self) -> bool:
        return self.encoder is not None and bool(self.encoder.raw_columns)

    def _of_images(self, images: Sequence[Any]) -> Tensor:
        if self.inputs is None or len(self.inputs.shape) != 3 or self.inputs.dtype != "uint8":
            raise DataError("inputs are images, the state has none: give them as it was given them")
        return of_pillow(images, layout_of(self.inputs, self.image_size, self.image_fit), "inputs")


def moved(columns: Columns, device: torch.device) -> ModelInputs:
    """Return columns as a model takes them, on a device."""
    if isinstance(columns, Tensor):
        return columns.to(device)
    return mapping_of(named_columns(columns), device)


def _stacked(parts: Sequence[Any]) -> Tensor:
    tensors = [torch.as_tensor(part) for part in parts]
    shapes = {tuple(tensor.shape) for tensor in tensors}
    if len(shapes) > 1:
        raise DataError(f"inputs are of several shapes, {', '.join(map(str, sorted(shapes)))}")
    return torch.stack(tensors)


def _converted(raw: Tensor, inputs: Inputs) -> Tensor:
    """A tensor in the dtype that the state's have, where nothing is lost by that: numbers of a
    table may come in any, pixels in none but theirs.
    """
    wanted = getattr(torch, inputs.dtype)
    if raw.dtype == wanted or inputs.fields:
        return raw
    if raw.is_complex():
        return raw
    if wanted.is_floating_point and (raw.is_floating_point() or raw.ndim == 2):
        return raw.to(wanted)
    return raw


def _check_finite(columns: Columns) -> None:
    tensors = {"": columns} if isinstance(columns, Tensor) else columns
    for name, column in tensors.items():
        values = column.values if isinstance(column, Ragged) else column
        if not values.is_floating_point() or bool(torch.isfinite(values).all()):
            continue

        which = f" '{name}'" if name else ""
        where = ""
        if isinstance(column, Tensor):
            odd = ~torch.isfinite(column.reshape(len(column), -1)).all(1)
            where = f" of item {int(odd.nonzero()[0])} (the first is 0)"

        raise DataError(f"inputs{which}{where} hold NaN or infinity: clean or fill them first")
