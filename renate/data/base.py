"""What a data source is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.batch import Columns, length, select
from renate.data.kept.inputs import Inputs, compare, scales, widened
from renate.data.kept.split import (
    SIDES,
    TEST,
    TRAIN,
    VAL,
    Hashes,
    Split,
    first_split,
    hash_rows,
    with_exceptions,
)
from renate.data.table import File, Readable, Table, check, described, order_of, targets_of
from renate.errors import ConfigError, DataError
from renate.problems.auto import doubt_about, problem_for
from renate.problems.base import Label, Problem, Targets
from renate.seeds import derive


@dataclass(frozen=True)
class Known:
    """What a state knows of its data; each is None where it was written before that was kept.

    Attributes:
        problem: What is predicted, with all that was learned of the targets.
        inputs: Names, kinds and shapes.
        split: Which examples are held out.
    """

    problem: Problem
    inputs: Inputs | None = None
    split: Split | None = None


@dataclass
class Data:
    """A source, read and split.

    Attributes:
        train: Columns to train on.
        val: Columns to choose the best epoch by; None where val_size is 0.
        test: name -> columns to measure on.
        problem: What is predicted, with all that was learned of the targets.
        new_labels: Those of its labels that were not known before.
        inputs: What the next version keeps of the inputs.
        split: What it keeps of the split.
        files: role (`train`, `test`, `test <name>`) -> the files that were read.
        notes: Lines to tell the user.
    """

    train: Columns
    val: Columns | None
    test: dict[str, Columns]
    problem: Problem
    new_labels: list[Label] = field(default_factory=list)
    inputs: Inputs | None = None
    split: Split | None = None
    files: dict[str, tuple[File, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def labels(self) -> list[Label]:
        """What each output stands for, in order."""
        return self.problem.labels

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one raw input."""
        return tuple(self.train["inputs"].shape[1:])


@dataclass(kw_only=True)
class Source(ABC):
    """Reads labelled examples. A subclass implements `read`; splitting, labels and checks are
    shared.

    Args:
        batch_size: Examples of a training batch.
        val_size: Validation examples, held out of the training data: a fraction below 1, or a
            number.
        limit: Use only so many training examples, drawn by the seed; null uses all. All are read:
            see docs/limits.md.

    Attributes:
        known: The inputs that the state knows, for `read` to match its columns to; None at a first
            update.
        show: Takes done, total and a text while reading takes long, in the thread that reads; None
            tells nobody.
    """

    batch_size: int
    val_size: float
    limit: int | None
    known: Inputs | None = field(default=None, init=False, repr=False, compare=False)
    show: Callable[[int, int, str], None] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"data.batch_size={self.batch_size}: expected 1 or more")
        if self.val_size < 0 or (self.val_size >= 1 and self.val_size != int(self.val_size)):
            raise ConfigError(
                f"data.val_size={self.val_size}: expected a fraction below 1, or a number of "
                "examples"
            )

        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"data.limit={self.limit}: expected 1 or more, or null")

    @abstractmethod
    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        """Return the training table, and name -> test table or the fraction to hold out as one."""

    def load(
        self,
        *,
        seed: int,
        known: Known | None = None,
        problem: Problem | None = None,
        training: bool = True,
    ) -> Data:
        """Read, check, encode the targets, and split.

        Args:
            seed: Of `limit`, and of the validation side of a first update.
            known: All that the state knows; None at a first update. Its problem is left as it is.
            problem: What is predicted at a first update; None reads it off the targets.
            training: Whether the training data will be trained on, or only the tests be measured
                on.

        Raises:
            DataError: No examples, values that aren't finite, labels that only the test data has,
                inputs of another kind, examples that would change sides, or nothing left to train
                on.
        """
        self.known = known.inputs if known else None
        raw, raw_tests = self.read()
        train = Table(*raw)
        inputs, notes = self._inputs(train)
        fitted, new, said = _fitted(targets_of(train, "data.train"), known, problem)
        notes += said

        fraction, tests = _tests_of(raw_tests)
        for name, table in tests.items():
            notes += self._check_test(table, inputs, _key(name))

        hashes = hash_rows(train.inputs, order_of(train))
        groups = fitted.groups(targets_of(train, "data.train"))
        # Groups are labels only where those are classes
        fresh: set[Any] = set(new) if fitted.classes else set()
        split, said = self._split(hashes, groups, fraction, known, fresh, seed, training)
        notes += said
        sides = split.sides(hashes)
        rows = {
            side: torch.from_numpy(np.flatnonzero(sides == SIDES.index(side))) for side in SIDES
        }

        if not len(rows[TRAIN]) and training:
            raise DataError(
                f"data.train: all of its {len(hashes)} examples are held out, for test or "
                "validation: give more rows"
            )

        columns = _encoded(train, fitted, "data.train")
        measured = {name: _encoded(table, fitted, _key(name)) for name, table in tests.items()}
        if fraction:
            measured["test"] = select(columns, rows[TEST])
        else:
            notes += _shared(tests, set(hashes[sides == 0].tolist()))

        return Data(
            train=_part(columns, self._limited(rows[TRAIN], seed)),
            val=_part(columns, rows[VAL]) if split.val and len(rows[VAL]) else None,
            test=measured,
            problem=fitted,
            new_labels=new,
            inputs=widened(self.known, inputs) if self.known else inputs,
            split=split,
            files={"train": train.files}
            | {_role(name): table.files for name, table in tests.items()},
            notes=notes,
        )

    def _inputs(self, train: Table) -> tuple[Inputs, list[str]]:
        """What the training data's inputs are, checked against the state's, and what to say
        about them.
        """
        check(train, "data.train")
        seen = described(train)
        if self.known is None:
            return seen, list(train.notes)

        compare(seen, self.known, "data.train", "the state")
        notes = [*train.notes, *scales(seen, self.known, "data.train")]
        if self.known.named != seen.named:
            notes.append(
                "data.train: the inputs of the state have other names than these, "
                f"which are matched by position: {', '.join(self.known.names[:5])}"
            )

        return seen, notes

    def _check_test(self, table: Table, inputs: Inputs, key: str) -> list[str]:
        check(table, key)
        seen = described(table)
        origin = "data.train"
        compare(seen, inputs, key, origin)
        return [*table.notes, *scales(seen, inputs, key)]

    def _split(
        self,
        hashes: Hashes,
        groups: np.ndarray[Any, Any],
        fraction: float,
        known: Known | None,
        new: set[Any],
        seed: int,
        training: bool,
    ) -> tuple[Split, list[str]]:
        """The state's split, or a first one, with the exceptions that this data needs; and what
        to say.
        """
        notes: list[str] = []
        if known is None or known.split is None:
            split = first_split(hashes, fraction, self.val_size, derive(seed, "validation"))
            if known is not None and training:
                notes.append(
                    "the state was written before it kept which examples are held out: "
                    "examples that it trained on may be held out from now on"
                )
        else:
            split = known.split
            notes = self._check_shares(split, fraction, training)

        if not training:
            return split, notes

        first = known is None or known.split is None
        movable = set(groups.tolist()) if first else new

        return with_exceptions(split, hashes, groups, movable, first=first), notes

    def _check_shares(self, split: Split, fraction: float, training: bool) -> list[str]:
        """Refuse shares by which examples would change sides.

        Raises:
            DataError: Saying which shares keep them.
        """
        if fraction and not split.test:
            raise DataError(
                "data.test=null: the state was always given test data, so examples that it trained "
                "on would be "
                "held out: give data.test"
            )

        if fraction and fraction != split.test:
            text = f"data.test_size={fraction}: the state holds out {split.test}"
            if training:
                raise DataError(
                    f"{text}, and no example may change sides: data.test_size={split.test}"
                )
            return [f"{text}, on which it is measured"]

        if training and self.val_size != split.asked:
            raise DataError(
                f"data.val_size={self.val_size}: the state holds out {split.asked:g} for "
                "validation, "
                f"and no example may change sides: data.val_size={split.asked:g}"
            )

        if split.test and not fraction and training:
            return [
                f"data.test is given: the examples that were held out before ({split.test:g} of "
                "all) "
                "still aren't trained on"
            ]

        return []

    def _limited(self, rows: Tensor, seed: int) -> Tensor:
        """`limit` of the training rows."""
        if self.limit is None or self.limit >= len(rows):
            return rows
        generator = torch.Generator().manual_seed(derive(seed, "split"))
        order = torch.randperm(len(rows), generator=generator)[: self.limit]
        return rows[order.sort().values]


def _fitted(
    targets: Targets, known: Known | None, asked: Problem | None
) -> tuple[Problem, list[Label], list[str]]:
    """The problem with all that the targets teach it, its labels that are new, and what to say."""
    notes = []
    if known is not None:
        problem = copy(known.problem)
    elif asked is not None:
        problem = asked
    else:
        problem = problem_for(targets)
        if problem.name != "classification":
            notes.append(
                f"{targets.where}: problem={problem.name}, read off the target; "
                "problem=… says otherwise"
            )
        elif doubt := doubt_about(targets):
            notes.append(doubt)

    return problem, problem.fit(targets), notes


def _tests_of(raw: Mapping[str, Readable] | float) -> tuple[float, dict[str, Table]]:
    """The share to hold out, or name -> test table, the other one empty.

    Raises:
        DataError: Neither.
    """
    fraction = raw if isinstance(raw, int | float) else 0.0
    tests = (
        {} if isinstance(raw, int | float) else {name: Table(*table) for name, table in raw.items()}
    )
    if not fraction and not tests:
        raise DataError("data.test names nothing to measure on: give a test set, or null")

    return fraction, tests


def _encoded(table: Table, problem: Problem, key: str) -> Columns:
    return {
        "inputs": table.inputs,
        "targets": torch.from_numpy(problem.encode(targets_of(table, key))),
    }


def _part(columns: Columns, rows: Tensor) -> Columns:
    """The rows; all of them without a copy, as they may be mapped from a file."""
    return columns if len(rows) == length(columns) else select(columns, rows)


def _key(name: str) -> str:
    return "data.test" if name == "test" else f"data.test.{name}"


def _role(name: str) -> str:
    return "test" if name == "test" else f"test {name}"


def _shared(tests: Mapping[str, Table], trained: set[int]) -> list[str]:
    """A line for each test set that holds examples which are trained on."""
    notes = []
    for name, table in tests.items():
        hashes = hash_rows(table.inputs, order_of(table)).tolist()
        count = sum(number in trained for number in hashes)
        if count:
            notes.append(f"{_key(name)}: {count} of its {len(hashes)} examples are also trained on")

    return notes


def check_test_size(test: object, fraction: float) -> None:
    """Check the fraction to hold out, which counts only where there is no test data.

    Raises:
        ConfigError: A fraction that isn't one.
    """
    if test is None and not 0 < fraction < 1:
        raise ConfigError(
            f"data.test_size={fraction}: expected a fraction between 0 and 1, or give data.test"
        )
