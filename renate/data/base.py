"""What a data source is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.batch import Columns, length, select
from renate.data.inputs import NUMBER, Column, Inputs, match_kinds, scales_differ
from renate.data.split import TEST, TRAIN, VAL, Split, complete, first_split, hashes_of
from renate.errors import ConfigError, DataError
from renate.seeds import derive

Label = int | str
Labels = np.ndarray[Any, Any]


@dataclass
class Table:
    """Examples as a source has read them.

    Attributes:
        inputs: [N, ...], as they will be stored.
        labels: [N], as the source has them.
        columns: Name and kind of each input column; none where they have no names.
        target: Name of the target column.
        parts: (file, rows) in the order of the rows; none where there are no files.
        notes: What was done to them that the user should know, a line each.
    """

    inputs: Tensor
    labels: Labels
    columns: Sequence[tuple[str, str]] = ()
    target: str | None = None
    parts: Sequence[tuple[str, int]] = ()
    notes: Sequence[str] = ()

    @classmethod
    def of(cls, found: "Table | tuple[Tensor, Labels]") -> "Table":
        """A source of the user's may give the two that are needed."""
        return found if isinstance(found, Table) else cls(*found)

    def place(self, row: int, key: str) -> str:
        """A row as the user has it: file and row, counted from 1 without a header; or the example's index."""
        for file, rows in self.parts:
            if row < rows:
                return f"{file}: row {row + 1}"
            row -= rows
        return f"{key}: example {row}"

    def facts(self) -> Inputs:
        """What a version keeps of them."""
        dtype = str(self.inputs.dtype).removeprefix("torch.")
        kind = "text" if len(self.labels) and isinstance(self.labels[:1].tolist()[0], str) else "integer"
        return Inputs(dtype, tuple(self.inputs.shape[1:]), tuple(self._columns()), self.target, kind)

    def _columns(self) -> list[Column]:
        vectors = bool(self.columns) and self.inputs.ndim == 2 and len(self.inputs) > 0
        numbers = vectors and all(kind == NUMBER for _, kind in self.columns)
        if not numbers:
            return [Column(name, kind) for name, kind in self.columns]
        low, high = self.inputs.amin(0), self.inputs.amax(0)
        if not bool(torch.isfinite(low).all() and torch.isfinite(high).all()):  # `check` says which value isn't
            return [Column(name, kind) for name, kind in self.columns]
        ranges = zip(self.columns, low.tolist(), high.tolist(), strict=True)
        return [Column(name, kind, least, most) for (name, kind), least, most in ranges]

    def hashes(self) -> Any:
        """See `hashes_of`; the columns in the order of their names."""
        names = [name for name, _ in self.columns]
        order = sorted(range(len(names)), key=names.__getitem__) if len(names) > 1 else None
        return hashes_of(self.inputs, order)

    def rows(self, index: Any) -> "Table":
        """Some of the rows."""
        chosen = torch.from_numpy(np.asarray(index))
        return Table(self.inputs[chosen], self.labels[index], self.columns, self.target)


@dataclass
class Known:
    """What a version says of the data so far.

    Attributes:
        labels: In the order of their indices.
        inputs: None where the version was written before this was kept.
        split: None likewise.
    """

    labels: list[Label]
    inputs: Inputs | None = None
    split: Split | None = None


@dataclass
class Data:
    """A source, read and split.

    Attributes:
        train: Columns to train on.
        val: Columns to choose the best epoch by; None where val_size is 0.
        test: name -> columns to measure on.
        labels: The label of each class index.
        new_labels: Those of them that were not known before.
        inputs: What a version keeps of the inputs.
        split: How examples are divided into training, validation and, where none is given, test data.
        files: Config key -> [file, SHA-256 or etag] of each that was read.
        notes: What the user should know, a line each.
    """

    train: Columns
    val: Columns | None
    test: dict[str, Columns]
    labels: list[Label]
    new_labels: list[Label] = field(default_factory=list)
    inputs: Inputs | None = None
    split: Split | None = None
    files: dict[str, list[list[str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one raw input."""
        return tuple(self.train["inputs"].shape[1:])


@dataclass(kw_only=True)
class Source(ABC):
    """Reads labelled examples. A subclass implements `read`; splitting, labels and checks are shared.

    Args:
        batch_size: Examples of a training batch.
        val_size: Validation examples, split off the training data: a fraction below 1, or a number.
        limit: Use only so many training examples, drawn by the seed; null uses all.

    Attributes:
        known: What the state's version knows of its inputs, while `read` is called; None at a first update.
    """

    batch_size: int
    val_size: float
    limit: int | None

    def __post_init__(self) -> None:
        self.known: Inputs | None = None
        if self.batch_size < 1:
            raise ConfigError(f"data.batch_size={self.batch_size}: expected 1 or more")
        if self.val_size < 0 or (self.val_size >= 1 and self.val_size != int(self.val_size)):
            raise ConfigError(f"data.val_size={self.val_size}: expected a fraction below 1, or a number of examples")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"data.limit={self.limit}: expected 1 or more, or null")

    @abstractmethod
    def read(self) -> "tuple[Table, dict[str, Table]] | Any":
        """Return the training table and name -> test table; no test table: a share of the training data is held out.

        A table may also be a plain pair of inputs [N, ...] and labels [N].
        """

    def files(self) -> dict[str, list[list[str]]]:
        """Config key -> [file, hash of its content] of each that `read` has read; none where there are no files."""
        return {}

    def load(self, labels: list[Label] | None = None, *, seed: int, known: Known | None = None) -> Data:
        """Read, check, number the labels, and split.

        Args:
            labels: Known labels in the order of their indices; None at a first update, which takes the sorted labels
                of the training data.
            seed: Of `limit`, and at a first update of the validation data.
            known: What else the state's version knows; None at a first update.

        Raises:
            DataError: No examples, values that aren't finite, columns or shapes that the model doesn't know, labels
                that only the test data has, or nothing left to train on.
        """
        known = known or Known(labels or [])
        self.known = known.inputs
        read, tests = self.read()
        table = Table.of(read)
        check(table, "data.train")
        facts = table.facts()
        notes = [*table.notes]
        if known.inputs is not None:
            match_kinds(facts, known.inputs, table.place(0, "data.train").partition(": ")[0])
            notes += scales_differ(facts, known.inputs)
        numbered, new = number_labels(table, known.labels)

        given = {name: Table.of(found) for name, found in tests.items()}
        targets = encode(table.labels, numbered, "data.train")
        split, sides = self._split(table, targets, known, seed, given=bool(given))
        test = self._tests(table, given, numbered, sides, facts)
        notes += _repeated(table, given, sides)

        train = self._take(table, targets, np.flatnonzero(sides == TRAIN), seed)
        held = np.flatnonzero(sides == VAL) if self.val_size else np.empty(0, np.int64)
        val = select({"inputs": table.inputs, "targets": targets}, torch.from_numpy(held)) if len(held) else None
        kept = _with_ranges(facts, known.inputs)
        return Data(train, val, test, numbered, new, kept, split, self.files(), notes)

    def _split(self, table: Table, targets: Tensor, known: Known, seed: int, *, given: bool) -> tuple[Split, Any]:
        """How the examples are divided, and the side of each."""
        share = None if given else getattr(self, "test_size", None)
        split = known.split
        hashes = table.hashes()
        if split is None:
            key = derive(seed, "validation")
            split = first_split(hashes, targets, test=share, val=self.val_size, key=key)
        else:
            self._check_split(split, share, given=given)
            split = complete(split, hashes, targets, set(range(len(known.labels))), first=False)
        sides = split.sides(hashes)
        if not (sides == TRAIN).any():
            raise DataError(
                f"data.val_size={self.val_size:g} leaves none of {len(sides)} examples to train on: all are held out"
            )
        if share and not (sides == TEST).any():
            raise DataError(f"none of these {len(sides)} examples belongs to those that are held out: give data.test")
        return split, sides

    def _check_split(self, split: Split, share: float | None, *, given: bool) -> None:
        """Check that this update divides examples as the earlier ones did.

        Raises:
            ConfigError: It would train on what was held out, or measure on what was trained on.
        """
        if float(self.val_size) != float(split.asked):
            raise ConfigError(
                f"data.val_size={self.val_size:g}: this state's examples are divided by {split.asked:g}, and another "
                f"size would move some that were trained on: keep data.val_size={split.asked:g}, or start a new state"
            )
        if given or share == split.test:
            return
        if split.test is None:
            raise ConfigError(
                "data.test=null: earlier updates of this state had test data of their own and have trained on all of "
                "data.train, so nothing of it can be held out: give data.test"
            )
        raise ConfigError(
            f"data.test_size={share:g}: this state holds out {split.test:g}, and another share would move examples "
            f"that were trained on: keep data.test_size={split.test:g}, give data.test, or start a new state"
        )

    def _tests(
        self, table: Table, given: dict[str, Table], labels: list[Label], sides: Any, facts: Inputs
    ) -> dict[str, Columns]:
        if not given:
            given = {"test": table.rows(np.flatnonzero(sides == TEST))}
        found: dict[str, Columns] = {}
        for name, part in given.items():
            key = "data.test" if len(given) == 1 else f"data.test.{name}"
            check(part, key)
            match_kinds(part.facts(), facts, part.place(0, key).partition(": ")[0])
            found[name] = {"inputs": part.inputs, "targets": encode(part.labels, labels, key)}
        return found

    def _take(self, table: Table, targets: Tensor, rows: Any, seed: int) -> Columns:
        """The training data; of `limit` examples, which ones the seed says."""
        columns = {"inputs": table.inputs, "targets": targets}
        if self.limit is not None and self.limit < len(rows):
            generator = torch.Generator().manual_seed(derive(seed, "split"))
            order = torch.randperm(len(rows), generator=generator)[: self.limit]
            rows = rows[order.sort().values.numpy()]
        return columns if len(rows) == length(columns) else select(columns, torch.from_numpy(rows))


def check_tests(test: object, fraction: float) -> None:
    """Check `data.test`, and the share that is held out, which counts only where there is no test data.

    Raises:
        ConfigError: Tests that name none, or a fraction that isn't one.
    """
    if isinstance(test, Mapping) and not test:
        raise ConfigError("data.test names nothing to measure on: give a test set, or null")
    if test is None and not 0 < fraction < 1:
        raise ConfigError(f"data.test_size={fraction}: expected a fraction between 0 and 1, or give data.test")


def check(table: Table, key: str) -> None:
    """Check that there are examples, and that all inputs are numbers.

    Raises:
        DataError: Naming file, row and column.
    """
    if not len(table.labels):
        raise DataError(f"{key} has no examples")
    inputs = table.inputs
    if inputs.is_floating_point() and not bool(torch.isfinite(inputs).all()):
        bad = ~torch.isfinite(inputs.reshape(len(inputs), -1))
        row = int(bad.any(1).nonzero()[0])
        at = int(bad[row].nonzero()[0])
        value = float(inputs.reshape(len(inputs), -1)[row, at])
        named = len(table.columns) == bad.shape[1]
        column = f"column '{table.columns[at][0]}'" if named else f"value {at} of the input"
        raise DataError(
            f"{table.place(row, key)}, {column} is {value}, or beyond what float32 can hold: clean or fill it first"
        )


def number_labels(table: Table, known: Sequence[Label]) -> tuple[list[Label], list[Label]]:
    """Return all labels in the order of their indices, and those of them that are new.

    Raises:
        DataError: One class alone at a first update, or labels of another kind.
    """
    found = sorted(set(table.labels.tolist()))
    if not known and len(found) < 2:
        raise DataError(f"data.train has one class only, {found[0]!r}: a first update needs two or more")
    if known and not same_kind(list(known), found):
        raise DataError(f"data.train: its labels are like {found[0]!r}, the state's like {known[0]!r}")
    new = [label for label in found if label not in set(known)]
    return [*known, *new], new


def same_kind(a: list[Label], b: list[Label]) -> bool:
    return isinstance(a[0], str) == isinstance(b[0], str)


def encode(raw: Labels, labels: list[Label], key: str) -> Tensor:
    """Return the index of each label, int64 [N]."""
    index: Mapping[Label, int] = {label: i for i, label in enumerate(labels)}
    values, inverse = np.unique(raw, return_inverse=True)
    unknown = [v for v in values.tolist() if v not in index]
    if unknown:
        raise DataError(f"{key}: labels {unknown[:5]} are in neither data.train nor the state")
    return torch.from_numpy(np.array([index[v] for v in values.tolist()], dtype=np.int64)[inverse])


def _repeated(table: Table, given: dict[str, Table], sides: Any) -> list[str]:
    """Test examples that are among those to train on, in words."""
    if not given:
        return []
    trained = table.hashes()[sides == TRAIN]
    notes = []
    for name, part in given.items():
        if part.inputs.shape[1:] != table.inputs.shape[1:] or part.inputs.dtype != table.inputs.dtype:
            continue
        count = int(np.isin(part.hashes(), trained).sum())
        if count:
            key = "data.test" if len(given) == 1 else f"data.test.{name}"
            notes.append(f"{key}: {count} of {len(part.labels)} examples are in data.train as well: they are no test")
    return notes


def _with_ranges(now: Inputs, then: Inputs | None) -> Inputs:
    """The inputs with the ranges of all updates so far."""
    if then is None:
        return now
    columns = []
    for new, old in zip(now.columns, then.columns, strict=False):
        low = new.low if old.low is None else old.low if new.low is None else min(new.low, old.low)
        high = new.high if old.high is None else old.high if new.high is None else max(new.high, old.high)
        columns.append(Column(new.name, new.kind, low, high))
    return Inputs(now.dtype, now.shape, tuple(columns), now.target, now.target_kind)
