"""What a data source is, and what its encoder is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, BinaryIO

from renate.data.batch import Columns, select
from renate.data.fingerprint import is_patterns, open_file
from renate.data.kept.encoders import KeptEncoder, take_up
from renate.data.kept.inputs import Inputs, widened
from renate.data.kept.newcomers import Newcomer, newcomers_in
from renate.data.kept.raw import take
from renate.data.kept.reading import (
    check_each,
    checked,
    columns_of,
    files_of,
    key_of,
    limited,
    part_of,
    problem_of,
    shared,
    table_of,
    tests_of,
)
from renate.data.kept.sides import Shares, rows_of_sides, split_of
from renate.data.kept.split import TEST, TRAIN, VAL, Split
from renate.data.table import File, Readable, targets_of
from renate.errors import ConfigError
from renate.problems.base import Label, Problem
from renate.seeds import derive


@dataclass(frozen=True)
class Known:
    """What a state knows of its data; each is None where it was written before that was kept.

    Attributes:
        problem: What is predicted, with all that was learned of the targets.
        inputs: Names, kinds and shapes.
        split: Which examples are held out.
        encoder: The source's, as it was fitted; None where it had none.
    """

    problem: Problem
    inputs: Inputs | None = None
    split: Split | None = None
    encoder: KeptEncoder | None = None


class Encoder(ABC):
    """Turns the inputs that a source reads into tensors: texts into ids, categories into numbers.

    It is fitted once, to the training examples of a state's first update. What it has learned then
    is kept in each version and given back by `restore` to the next update, to evaluations and to
    `renate.load_model`; it is never fitted again, and another class or other settings are an error.

    Inputs, called `raw` here, are what `Source.read` returns, or what a user predicts for: a list,
    an array, a tensor, or a mapping of such, a row per example. One that is a dataclass says its
    settings by its fields.
    """

    @abstractmethod
    def encode(self, raw: Any) -> Any:
        """Return a tensor [N, ...], or name -> tensor [N, ...] or `Ragged`, of raw inputs of N
        examples. What hasn't been seen by `fit` has an encoding too, or is an error.
        """

    def fit(self, raw: Any) -> None:
        """Learn what `encode` needs from training examples; the same from the same ones."""
        return

    def state(self) -> dict[str, Any]:
        """Return what `fit` has learned: name -> JSON or a tensor."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned.

        Raises:
            ValueError: It isn't that; it may come from a stranger.
        """
        if state:
            raise ValueError(f"it holds '{next(iter(state))}', expected nothing")

    @property
    def facts(self) -> dict[str, int]:
        """What the constructor of a model may ask for by leaving it null: `num_words`, say."""
        return {}

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON has them."""
        if not is_dataclass(self):
            return {}
        return {each.name: getattr(self, each.name) for each in fields(self) if each.init}


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
        encoder: The source's, fitted.
        newcomers: The new labels with their counts and places, where a state knows others.
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
    encoder: Encoder | None = None
    newcomers: list[Newcomer] = field(default_factory=list)

    @property
    def labels(self) -> list[Label]:
        """What each output stands for, in order."""
        return self.problem.labels

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Shape of one raw input; None where the inputs are a mapping."""
        if "inputs" not in self.train:
            return None
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
        encoder: What turns the inputs that `read` returns into tensors; None where they are tensors
            already. A subclass sets it, or has it as an argument.
        known: The inputs that the state knows, for `read` to match its columns to; None at a first
            update.
        show: Takes done, total and a text while reading takes long, in the thread that reads; None
            tells nobody.
    """

    batch_size: int
    val_size: float
    limit: int | None
    known: Inputs | None = field(default=None, init=False, repr=False, compare=False)
    encoder: Encoder | None = field(default=None, init=False, repr=False, compare=False)
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

    def files(self) -> dict[str, Any]:
        """Return the files that `read` reads: key of the config below `data` -> a path, glob or
        URL, a list of such, or name -> either.

        By itself what `train` and `test` name. A job's identity has the contents of these files,
        and a backend on another machine uploads them and lets their keys name the copies, which
        may be URLs: `self.open` reads both.
        """
        named = {key: getattr(self, key, None) for key in ("train", "test")}
        return {key: value for key, value in named.items() if is_patterns(value)}

    @staticmethod
    def open(file: str) -> BinaryIO:
        """Open a file for reading bytes; a URL of an object store is downloaded into memory.

        Raises:
            DataError: There is no such file.
        """
        return open_file(file)

    def load(
        self,
        *,
        seed: int,
        known: Known | None = None,
        problem: Problem | None = None,
        training: bool = True,
    ) -> Data:
        """Read, check, split, and encode inputs and targets.

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
            ConfigError: The state's encoder is another one.
        """
        self.known = known.inputs if known else None
        if known is not None:
            take_up(self.encoder, known.encoder)

        raw, raw_tests = self.read()
        train = table_of(raw, "data.train")
        fraction, tests = tests_of(raw_tests)
        notes: list[str] = []
        if self.encoder is None:  # what is wrong with inputs is told before the rest
            train, tests, inputs, notes = checked(train, tests, None, self.known)
        else:  # where it stands is known of what was read
            check_each(train, tests)

        targets = targets_of(train, "data.train")
        fitted, new, said = problem_of(targets, known.problem if known else None, problem)
        notes += said

        asked = Shares(fraction, self.val_size, derive(seed, "validation"), training)
        before = known.split if known is not None else None
        split, hashes, said = split_of(train, fitted, new, asked, before, first=known is None)
        notes += said
        rows = rows_of_sides(split, hashes, training=training)

        trained = limited(rows[TRAIN], self.limit, seed)
        if not fraction:
            notes += shared(tests, set(hashes[rows[TRAIN].numpy()].tolist()))
        if self.encoder is not None and known is None:
            self.encoder.fit(take(train.inputs, trained))
        if self.encoder is not None:
            train, tests, inputs, said = checked(train, tests, self.encoder, self.known)
            notes += said

        columns = columns_of(train, fitted, "data.train")
        measured = {name: columns_of(table, fitted, key_of(name)) for name, table in tests.items()}
        if fraction:
            measured["test"] = select(columns, rows[TEST])

        return Data(
            train=part_of(columns, trained),
            val=part_of(columns, rows[VAL]) if split.val and len(rows[VAL]) else None,
            test=measured,
            problem=fitted,
            new_labels=new,
            inputs=widened(self.known, inputs) if self.known else inputs,
            split=split,
            files=files_of(train, tests),
            notes=notes,
            encoder=self.encoder,
            newcomers=newcomers_in(columns["targets"], new, fitted, train.files) if known else [],
        )
