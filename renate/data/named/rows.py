"""Tables of which some columns are taken by name, and a target: of texts, of paths of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from renate.data.fingerprint import contents
from renate.data.kept.trained import Trained
from renate.data.named.found import found_files
from renate.data.table import File
from renate.data.tables.choice import check_names
from renate.data.tables.csv_files.dialect import Dialect
from renate.data.tables.matching import target_kind_of
from renate.data.tables.parquet import Read
from renate.data.tables.read import empty_values, joined, read_files
from renate.data.tables.targets import of_arrow
from renate.data.tables.values import Places
from renate.errors import ConfigError, DataError, nearest

Paths = str | Sequence[str]


@dataclass(frozen=True)
class Rows:
    """The rows of some files.

    Attributes:
        files: Their names.
        reads: What was read of each.
        columns: The columns that were asked for.
        target: The column to predict.
        skipped: Files that weren't read, as the state has trained on them.
        notes: What to tell the user.
    """

    files: Sequence[str]
    reads: Sequence[Read]
    columns: Sequence[str]
    target: str
    skipped: tuple[File, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> list[int]:
        """How many rows each file has."""
        return [read.table.num_rows for read in self.reads]

    @property
    def places(self) -> Places:
        """Where the rows come from."""
        return Places(list(self.files), self.counts)

    @property
    def where(self) -> str:
        """What the target is, for messages."""
        return f"{self.places.title}: column '{self.target}'"

    @property
    def whole(self) -> Any:
        """One Arrow table of the columns and the target; images that are unread are null there.

        Raises:
            DataError: Columns of one name are of kinds which can't be one.
        """
        names = [*self.columns, self.target]
        return joined(self.files, [read.table.select(names) for read in self.reads])

    def targets(self) -> np.ndarray[Any, Any]:
        """The target, see `Targets.values`."""
        return of_arrow(self.whole.column(self.target), self.where)

    @property
    def target_kind(self) -> str | None:
        """See `Inputs.target_kind`."""
        return target_kind_of(self.whole.schema.field(self.target).type)

    def kept(self, cache: Path | None) -> tuple[File, ...]:
        """What a lineage says of the files."""
        hashes = [read.sha256 for read in self.reads]
        return tuple(map(File, self.files, self.counts, contents(self.files, cache), hashes))


def read_named(
    train: Paths,
    test: Paths | Mapping[str, Paths] | None,
    columns: Sequence[str],
    target: str,
    dialect: Dialect,
    trained: Trained | None,
    *,
    copies: bool,
) -> tuple[Rows, dict[str, Rows]]:
    """Read the training files, and name -> test files.

    Args:
        train: The former.
        test: The latter, or those of one; None: rows of the training files are to be held out.
        columns: The columns that are taken.
        target: The column to predict.
        dialect: How CSV is written.
        trained: What the state has trained on and needn't be read again, where no row of it is held
            out; None reads all.
        copies: Whether a file is read that holds what another one holds.

    Raises:
        DataError: No such file, or one that can't be read, lacks a column, or has empty values.
    """
    found = found_files(train, test, None, trained, copies=copies)
    # together, so that a column of CSV is text in all of them or in none
    reads = read_files(found.all, dialect, columns)
    for file, read in reads.items():
        _check(file, read, columns, target)

    def rows(files: list[str], notes: list[str]) -> Rows:
        read = [reads[file] for file in files]
        return Rows(files, read, columns, target, notes=tuple(notes))

    whole = replace(rows(found.train, found.notes), skipped=found.skipped)
    return whole, {name: rows(part, found.test_notes[name]) for name, part in found.tests.items()}


def _check(file: str, read: Read, columns: Sequence[str], target: str) -> None:
    table = read.table
    names = table.column_names
    check_names(file, names)
    for name in [*columns, target]:
        if name not in names:
            raise DataError(
                f"{file}: no column '{name}'{nearest(name, names)} ({', '.join(names)})"
            )

    for name in columns:
        column = read.column(name)
        if not column.null_count:
            continue

        first = ""
        if name not in read.unread:
            first = f", the first in row {column.is_null().index(True).as_py()} (the first is 0)"
        raise DataError(
            f"{file}: column '{name}' has {column.null_count} empty values{first}: fill them or "
            "drop the rows"
        )

    if empty := empty_values(table.column(target)):
        raise DataError(f"{file}: column '{target}' has {empty} empty values: drop those rows")


def check_target(target: str, known: str | None) -> None:
    """Return if a state that knows a target has this one.

    Raises:
        ConfigError: It has another.
    """
    if known is not None and known != target:
        raise ConfigError(
            f"data.target={target}: the state's target is '{known}': rename the column, or start "
            "another state"
        )
