"""Columns, the batches cut from them, and the transform in between."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from renate.data.devices.copies import sent
from renate.data.devices.placement import HOST, Bringer
from renate.data.items.served import is_served, read_ahead
from renate.data.model_inputs import TASK, ModelInputs, beside_task, mapping_of, names_of
from renate.errors import DataError

# One tensor of shape [N, ...], `Ragged` or `Served` per name, on the CPU, all of equal N:
# `targets`, and `inputs`, or for a mapping of inputs `inputs.<name>` each.
Columns = dict[str, Any]
WEIGHTS = "weights"  # the column of examples' weights, float32 [N], where they have some


def length(columns: Columns) -> int:
    """Return how many rows the columns have."""
    return len(columns["targets"])


def select(columns: Columns, index: Tensor) -> Columns:
    """Return the rows `index`, int64 [B], of every column; `x[index]` is several times slower."""
    return {name: column.index_select(0, index) for name, column in columns.items()}


@dataclass(slots=True)
class Batch:
    """A minibatch.

    Attributes:
        raw: The rows as they are stored, on the CPU, before any transform.
        inputs: Transformed inputs on the training device: [B, ...], or a mapping of such.
        targets: Transformed targets, int64 [B], on the training device.
        fields: Further values of each example, [B, ...], on the training device; what a memory
            keeps besides the examples, readable as attributes too (`batch.logits`).
    """

    raw: Columns
    inputs: ModelInputs
    targets: Tensor
    fields: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def weights(self) -> Tensor | None:
        """Of the examples, float32 [B], on the training device; None where all count alike."""
        return self.fields.get(WEIGHTS)

    def __getattr__(self, name: str) -> Any:  # only called for what isn't an attribute
        try:
            return self.fields[name]
        except KeyError:
            raise AttributeError(
                f"this batch has no field '{name}', only {sorted(self.fields)}"
            ) from None


class BatchTransform:
    """Turns raw columns into a `Batch`: moves them to the device, then transforms them there.

    Args:
        inputs: Modules applied to the inputs, in order; to a mapping as a whole.
        targets: Modules applied to the targets, in order.
        device: Where the batch goes before it is transformed.
        dtype: Of what has floats in it, once it is transformed; None leaves them as they are.

    Attributes:
        mix: Takes transformed inputs and targets together, and returns both; None leaves them.
        casts_targets: Whether targets are cast, too; what measures takes them as they are.
    """

    mix: nn.Module | None = None
    casts_targets: bool = True

    def __init__(
        self,
        inputs: Sequence[nn.Module] = (),
        targets: Sequence[nn.Module] = (),
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
    ) -> None:
        self.dtype = dtype
        self.inputs = tuple(inputs)
        self.targets = tuple(targets)
        self.device = torch.device(device)

    def __call__(self, raw: Columns, moved: Columns | None = None) -> Batch:
        """Return the batch of rows; `moved` has them on the device already, where they are."""
        moved = moved or raw
        if "inputs" not in raw:
            return self._of_mapping(raw, moved)

        if self.device.type != "cpu":
            moved = {k: sent(v, self.device) for k, v in moved.items()}

        inputs = moved["inputs"]
        targets = moved["targets"]
        for transform in self.inputs:
            inputs = transform(inputs)

        for transform in self.targets:
            targets = transform(targets)

        fields = {k: v for k, v in moved.items() if k not in ("inputs", "targets")}
        if self.mix is not None:
            inputs, targets = self._mixed(inputs, targets, fields)

        if self.dtype is not None:
            inputs = self._cast(inputs)

        return self._made(raw, inputs, targets, fields)

    def _of_mapping(self, raw: Columns, moved: Columns) -> Batch:
        """The same where the inputs are several tensors: each module is given the mapping."""
        inputs = self.transformed(mapping_of(moved, self.device))
        but = {*names_of(raw), "targets"}
        fields = {k: sent(v, self.device) for k, v in moved.items() if k not in but}
        targets = sent(moved["targets"], self.device)
        for transform in self.targets:
            targets = transform(targets)

        if self.mix is not None:
            inputs, targets = self._mixed(inputs, targets, fields)

        return self._made(raw, inputs, targets, fields)

    def _made(self, raw: Columns, inputs: ModelInputs, targets: Tensor, fields: Columns) -> Batch:
        if self.dtype is not None:
            targets = self._cast(targets) if self.casts_targets else targets
            fields = {k: self._cast(v) for k, v in fields.items()}

        if TASK in fields:
            inputs = beside_task(inputs, fields.pop(TASK))

        return Batch(raw, inputs, targets, fields)

    def _mixed(self, inputs: ModelInputs, targets: Tensor, fields: Columns) -> Any:
        """Inputs and targets, mixed. Raises DataError where examples have further fields."""
        assert self.mix is not None
        if fields:
            raise DataError(
                f"transform.mix: each example has its '{min(fields)}', which a mix of several "
                "doesn't have: transform.mix=null"
            )

        return self.mix(inputs, targets)

    def transformed(self, inputs: ModelInputs) -> ModelInputs:
        """Return inputs that lie on the device as the model takes them."""
        for transform in self.inputs:
            inputs = transform(inputs)

        if self.dtype is None:
            return inputs
        if isinstance(inputs, Tensor):
            return self._cast(inputs)

        for name, tensor in inputs.items():
            inputs[name] = self._cast(tensor)

        return inputs

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor


class Batches:
    """The shuffled minibatches of one epoch after another, as a sized iterable of whole batches.

    Args:
        columns: What to iterate over.
        batch_size: Rows of a batch; the last of an epoch may be smaller, or have one row more: a
            single one, of which batch normalisation can't take a variance, joins the batch before.
        transform: Makes the batches.
        generator: Shuffles the rows anew at each epoch; null keeps their order.
        share: (rank, ranks): each process takes every `ranks`th row of the epoch's order.
        steps: Batches of an epoch, of about equal size, where it isn't the rows that decide.

    Attributes:
        limit: At most so many batches of each epoch are yielded.
        bring: Gives the rows of each batch, as stored and on the device.
        position: Batches yielded of the current epoch.
        order: The generator's state from which the current epoch's order came.
    """

    def __init__(
        self,
        columns: Columns,
        batch_size: int,
        transform: BatchTransform,
        generator: torch.Generator | None = None,
        *,
        share: tuple[int, int] = (0, 1),
        steps: int | None = None,
    ) -> None:
        self.share = share
        self.steps = steps
        self.columns = columns
        self.batch_size = batch_size
        self.transform = transform
        self.generator = generator
        self.limit: int | None = None
        self.bring = Bringer(columns, HOST, transform.device)
        self.position = 0
        self.order: Tensor | None = None
        self._skip = 0

    def __len__(self) -> int:
        whole = self._whole()
        return whole if self.limit is None else min(self.limit, whole)

    def _whole(self) -> int:
        """Batches of an epoch, if nothing limits them."""
        if self.steps is not None:
            return self.steps

        rows = length(self.columns) // self.share[1]
        count = (rows + self.batch_size - 1) // self.batch_size
        if self.share[1] == 1 and self._leaves_one(rows):
            return count - 1

        return count

    def _leaves_one(self, rows: int) -> bool:
        return 1 < self.batch_size < rows and rows % self.batch_size == 1

    def resume(self, position: int, order: Tensor | None) -> None:
        """Let the next epoch be the one that had yielded `position` batches of this `order`."""
        self._skip = position
        if self.generator is not None and order is not None:
            self.generator.set_state(order)

    def begin(self) -> None:
        """Stand at the beginning of an epoch that is still to come."""
        self.position = 0
        self._note_order()

    def _note_order(self) -> None:
        self.order = None
        if self.generator is not None:
            self.order = self.generator.get_state()

    def _cut(self, order: Tensor) -> Sequence[Tensor]:
        if self.steps is not None:
            return torch.tensor_split(order, self.steps)

        rank, ranks = self.share
        if ranks == 1:
            if not self._leaves_one(len(order)):
                return torch.split(order, self.batch_size)
            parts = [*torch.split(order[:-1], self.batch_size)]
            parts[-1] = torch.cat([parts[-1], order[-1:]])
            return parts

        # Every process takes as many steps. A row that would be a batch by itself in some of them
        # joins the one before.
        mine = order[rank::ranks]
        last = (self._whole() - 1) * self.batch_size

        return [
            *(mine[begin : begin + self.batch_size] for begin in range(0, last, self.batch_size)),
            mine[last:],
        ]

    def __iter__(self) -> Iterator[Batch]:
        n = length(self.columns)
        skip = self._skip
        self._skip = 0
        self._note_order()
        if self.generator is None:
            order = torch.arange(n)
        else:
            order = torch.randperm(n, generator=self.generator)

        parts = self._cut(order)[: len(self)]
        if is_served(self.columns):
            yield from self._served(parts, skip)
            return

        for position, (raw, moved) in enumerate(self.bring(parts[skip:]), skip + 1):
            self.position = position
            yield self.transform(raw, moved)

    def _served(self, parts: Sequence[Tensor], skip: int) -> Iterator[Batch]:
        """The same where items are read ahead; what is random in them follows from the epoch."""
        state = b"" if self.order is None else self.order.numpy().tobytes()
        seed = int.from_bytes(hashlib.sha256(state).digest()[:7])
        for position, raw in enumerate(read_ahead(self.columns, parts[skip:], seed), skip + 1):
            self.position = position
            yield self.transform(raw)
