"""What a data source is; what its encoder is stands in `renate/data/kept/encoders.py`."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from renate.data.batch import Columns
from renate.data.contract.document import Contract
from renate.data.contract.inspector import Inspector
from renate.data.devices.placement import AUTO, check_place
from renate.data.fingerprint import is_patterns, open_file
from renate.data.kept.encoders import Encoder as Encoder
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
from renate.data.kept.sides import Shares, nothing_new_by_rule, split_of
from renate.data.kept.split import TEST, TRAIN, VAL, Split
from renate.data.kept.trained import AGAIN, NEW, SEEN, Trained
from renate.data.known import Known as Known
from renate.data.mapped.rows import Scratch, scratch_of
from renate.data.table import File, Readable, Table, targets_of
from renate.errors import ConfigError, nearest
from renate.problems.base import Label, Problem
from renate.seeds import derive


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
        contract: What later data are held against; None where nothing is.
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
    contract: Contract | None = None

    @property
    def labels(self) -> list[Label]:
        """What each output stands for, in order."""
        return self.problem.labels

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """Shape of one raw input; None where the inputs are a mapping, or differ in shape."""
        if "inputs" not in self.train or self.train["inputs"].shape is None:
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
        limit: Use only so many training examples, drawn by the seed; null uses all. All are read.
        contract: A file of YAML that says what data may be like, in place of what the state keeps.
        device: Where rows to train on lie, see `renate.data.devices.placement.resident`.

    Attributes:
        seen: `new`: no row of a file that the state has trained on is trained on again; `again`:
            all are. A subclass that has it as an argument lets the config say.
        max_ram: Bytes of a column that still lie in memory; null is no bound. A subclass may have
            it as an argument, and `cache_dir`.
        trained: Those files, where they aren't to be trained on; else None.
        encoder: What turns the inputs that `read` returns into tensors; None where they are tensors
            already. A subclass sets it, or has it as an argument.
        known: The inputs that the state knows, for `read` to match; None at a first update.
        first: Whether there is no state yet.
        ends: Gives the time of the newest example of each chunk of a table, where a scenario cuts
            by time; None gives none.
        marker: Gives further columns of a table, by which a scenario cuts; None gives none.
        given: Rows that `read` has given before, for training and validation alone; None reads.
        inspector: Holds what is read against the state's contract, or fits one.
        show: Takes done, total and a text while reading takes long; None tells nobody.
    """

    batch_size: int
    val_size: float
    limit: int | None
    contract: str | None = None  # not given by configs of before, nor is the next
    device: str = AUTO
    seen: str = field(default=AGAIN, init=False, repr=False, compare=False)
    max_ram: float | None = field(default=None, init=False, repr=False, compare=False)
    trained: Trained | None = field(default=None, init=False, repr=False, compare=False)
    known: Inputs | None = field(default=None, init=False, repr=False, compare=False)
    encoder: Encoder | None = field(default=None, init=False, repr=False, compare=False)
    first: bool = field(default=True, init=False, repr=False, compare=False)
    marker: Callable[[Table, str], Columns] | None = field(
        default=None, init=False, repr=False, compare=False
    )
    ends: Callable[[Table], list[float]] | None = field(
        default=None, init=False, repr=False, compare=False
    )
    given: Table | None = field(default=None, init=False, repr=False, compare=False)
    inspector: Inspector = field(default_factory=Inspector, init=False, repr=False, compare=False)
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
        if self.max_ram is not None and self.max_ram < 1:
            raise ConfigError(f"data.max_ram={self.max_ram}: expected bytes, 1 or more, or null")
        check_place(self.device)
        if self.seen not in SEEN:
            close = nearest(str(self.seen), SEEN)
            raise ConfigError(f"data.seen={self.seen}: expected {' or '.join(SEEN)}{close}")

    @property
    def scratch(self) -> Scratch | None:
        """Where columns go that are larger than `max_ram`, in `cache_dir`; None has no bound."""
        return scratch_of(getattr(self, "cache_dir", None), self.max_ram)

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

    def take_up(self, known: KeptEncoder | None) -> None:
        """Let the encoder be the state's, whatever it would fit to this data.

        Raises:
            ConfigError: The config's is another one.
            StateError: What the state keeps isn't what the encoder kept.
        """
        take_up(self.encoder, known)

    @staticmethod
    def open(file: str) -> BinaryIO:
        """Open a file for reading bytes; a URL of an object store is downloaded into memory.

        Raises:
            DataError: There is no such file.
        """
        return open_file(file)

    def _know(self, known: Known | None) -> None:
        """Note what the state knows, for `read`, and give the encoder what it had fitted."""
        self.first = known is None
        self.known = None
        self.trained = None
        if known is None:
            return

        self.known = known.inputs
        if self.seen == NEW:
            self.trained = known.trained

        self.take_up(known.encoder)

    def _shares(self, train: Table, test: float, seed: int, training: bool) -> Shares:
        """What the config says of the split."""
        ends = tuple(self.ends(train)) if self.ends is not None else ()
        return Shares(test, self.val_size, derive(seed, "validation"), training, ends)

    def _columns(
        self, train: Table, tests: Mapping[str, Table], problem: Problem
    ) -> tuple[Columns, dict[str, Columns]]:
        """What is trained on, and name -> what is measured on, with what a scenario cuts by."""
        columns = columns_of(train, problem, "data.train")
        self.inspector.target(columns["targets"], problem)
        measured = {name: columns_of(table, problem, key_of(name)) for name, table in tests.items()}
        if self.marker is not None:
            columns |= self.marker(train, "data.train")
            measured = {n: each | self.marker(tests[n], key_of(n)) for n, each in measured.items()}
        return columns, measured

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
                on; NothingNewError where the state has trained on all files.
            ConfigError: The state's encoder is another one.
        """
        self._know(known)
        with nothing_new_by_rule(self, known.split if known else None, training=training):
            raw, raw_tests = self.read() if self.given is None else (self.given, None)
        train = table_of(raw, "data.train")
        fraction, tests = tests_of(raw_tests)
        train, tests = self.inspector.labels(train, tests)
        notes: list[str] = []
        if self.encoder is None:  # what is wrong with inputs is told before the rest
            train, tests, inputs, notes = checked(train, tests, None, self.known)
        else:  # where it stands is known of what was read
            check_each(train, tests)

        targets = targets_of(train, "data.train")
        fitted, new, said = problem_of(targets, known.problem if known else None, problem)
        notes += said

        asked = self._shares(train, fraction, seed, training)
        before = (known.split if known else None, self.trained)
        split, hashes, rows, said = split_of(train, fitted, new, asked, *before, self.first)
        notes += said

        trained = limited(rows[TRAIN], self.limit, seed)
        if not fraction:
            notes += shared(tests, train, hashes, rows[TRAIN])
        # As they were read says on which side they are, whatever the rules make of them
        train, tests = self.inspector.columns(train, tests, self.encoder)
        if self.encoder is not None:
            if self.first:
                self.encoder.fit(take(train.inputs, trained))
            train, tests, inputs, said = checked(train, tests, self.encoder, self.known)
            notes += said
        fitted.take_encoder(self.encoder)

        columns, measured = self._columns(train, tests, fitted)
        if fraction:
            measured["test"] = part_of(columns, rows[TEST], self.scratch)
        return Data(
            train=part_of(columns, trained, self.scratch),
            val=part_of(columns, rows[VAL], self.scratch) if len(rows[VAL]) else None,
            test=measured,
            problem=fitted,
            new_labels=new,
            inputs=widened(self.known, inputs) if self.known else inputs,
            split=split,
            files=files_of(train, tests),
            notes=[*notes, *self.inspector.notes],
            contract=self.inspector.contract,
            encoder=self.encoder,
            newcomers=newcomers_in(columns["targets"], new, fitted, train) if known else [],
        )
