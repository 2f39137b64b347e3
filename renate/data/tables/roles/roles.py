"""What the columns of tables are for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from renate.data.tables.columns import to_numpy
from renate.data.tables.parquet import Read
from renate.data.tables.read import empty_values
from renate.data.tables.targets import of_arrow
from renate.data.tables.values import Places
from renate.errors import ConfigError, DataError, listed

SHOWN = 5  # rows that a message names


@dataclass(frozen=True)
class Roles:
    """Which columns are predicted, and from which.

    Attributes:
        target: The column to predict, or several.
        inputs: Those to predict from; None takes all others.
        marks: key of the config -> the columns that it names: `weight`, `task_id`, `key`, `group`
            and `time`, as far as they are given. But for `time` they are no inputs unless `inputs`
            names them.
    """

    target: str | list[str]
    inputs: list[str] | None
    marks: Mapping[str, list[str]]

    @classmethod
    def of(cls, target: Any, inputs: Any, marks: Mapping[str, Any]) -> "Roles":
        """Return roles as a config gives them.

        Raises:
            ConfigError: They contradict themselves.
        """
        known = {key: _names(value) for key, value in marks.items() if value is not None}
        # a column may be named by a number
        several = isinstance(target, Sequence) and not isinstance(target, str)
        made: str | list[str] = [str(name) for name in target] if several else str(target)
        if not made:
            raise ConfigError("data.target=[]: name the column to predict, or several")
        if several and len(set(made)) < len(made):
            raise ConfigError(f"data.target={made} names a column twice")
        if isinstance(inputs, str | int):
            raise ConfigError(f"data.inputs={inputs}: expected a list of columns, as [{inputs}]")

        named = None
        if inputs is not None:
            named = [str(name) for name in inputs]
            if not named:
                raise ConfigError(
                    "data.inputs=[]: name a column, or give null for all but data.target"
                )

        roles = cls(made, named, known)
        both = [name for name in named or [] if name in roles.targets]
        if both:
            raise ConfigError(f"data.inputs={named} holds data.target={both[0]}: take it out")

        roles._check_marks()
        return roles

    def _check_marks(self) -> None:
        for key, names in self.marks.items():
            for name in names:
                if name in self.targets:
                    raise ConfigError(f"data.{key}={name} is data.target: name another column")
            if not names or (key in ("weight", "task_id", "time") and len(names) > 1):
                raise ConfigError(f"data.{key}={names}: expected one column")

        sayers = [f"data.{key}" for key in ("key", "group", "time") if key in self.marks]
        if len(sayers) > 1:
            raise ConfigError(
                f"{' and '.join(sayers)} each say which examples are held out: give one of them"
            )

    @property
    def no_inputs(self) -> set[str]:
        """Columns that are no inputs where `inputs` doesn't name them."""
        marked = {name for key, names in self.marks.items() if key != "time" for name in names}
        return {*self.targets, *(marked - set(self.inputs or []))}

    @property
    def targets(self) -> list[str]:
        """The columns to predict."""
        return [self.target] if isinstance(self.target, str) else self.target

    def target_values(
        self, table: Any, places: Places
    ) -> tuple[np.ndarray[Any, Any], tuple[str, ...], str]:
        """Return values, names and place of the targets, as `Targets` has them."""
        if isinstance(self.target, str):
            where = f"{places.title}: column '{self.target}'"
            values = of_arrow(table.column(self.target), where)
            names = [self.target]
            if values.ndim > 1:
                names = [f"{self.target}[{place}]" for place in range(values.shape[1])]
            return values, tuple(names), where

        columns = [
            of_arrow(table.column(name), f"{places.title}: column '{name}'") for name in self.target
        ]
        for name, column in zip(self.target, columns, strict=True):
            if column.dtype == object or column.ndim > 1:
                raise DataError(
                    f"{places.title}: column '{name}' holds {column[0]!r}, several targets are "
                    "numbers"
                )

        where = f"{places.title}: columns {', '.join(self.target)}"

        return np.stack(columns, axis=1), tuple(self.target), where

    def with_targets(
        self, files: Sequence[str], reads: Sequence[Read], *, drop: bool
    ) -> tuple[list[Read], dict[str, np.ndarray[Any, Any]], list[str]]:
        """Return what was read without the rows that lack a target; file -> the rows that are
        left where some were dropped; and what to say.

        Raises:
            DataError: There are such rows, and they aren't to be dropped.
        """
        found = []
        kept = {}
        notes = []
        for file, read in zip(files, reads, strict=True):
            rest, rows = self._with_targets(file, read, drop=drop)
            found.append(rest)
            if rows is not None:
                kept[file] = rows
                count = read.table.num_rows - len(rows)
                total = read.table.num_rows
                notes.append(f"{file}: {count} of {total} rows have no target: left out")

        return found, kept, notes

    def _with_targets(
        self, file: str, read: Read, *, drop: bool
    ) -> tuple[Read, np.ndarray[Any, Any] | None]:
        """Return what was read without the rows that lack a target, and which rows are left where
        some were dropped.

        Raises:
            DataError: There are such rows, and they aren't to be dropped.
        """
        gone = np.zeros(read.table.num_rows, bool)
        for name in self.targets:
            column = read.column(name)
            if name in read.unread:
                if empty := column.null_count:
                    raise DataError(f"{file}: column '{name}' has {empty} empty values")
                continue
            if not drop and not empty_values(column):
                continue

            lacking = _lacking(column)
            if not drop:
                raise DataError(
                    f"{file}: column '{name}' has {int(lacking.sum())} empty values: drop those "
                    f"rows ({_rows(lacking)}), or data.missing_target=drop does"
                )
            gone |= lacking

        if not gone.any():
            return read, None
        if read.unread:  # of numbers none is, where rows may be dropped
            raise DataError(
                f"{file}: column '{self.targets[0]}' has {int(gone.sum())} empty values: drop "
                "those rows; of images data.missing_target=drop doesn't"
            )

        import pyarrow as pa

        kept = np.flatnonzero(~gone)
        table = read.table.take(pa.array(kept))
        return read._replace(table=table), kept


def _lacking(column: Any) -> np.ndarray[Any, Any]:
    """Whether each value isn't there, is empty text, or NaN; bool [N]."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from renate.data.tables.columns import is_text, strings

    gone = pc.is_null(column)
    if is_text(column.type):
        gone = pc.or_(gone, pc.fill_null(pc.equal(column, strings([""])[0]), False))
    if pa.types.is_floating(column.type):
        gone = pc.is_null(column, nan_is_null=True)

    return to_numpy(gone if isinstance(gone, pa.ChunkedArray) else pa.chunked_array([gone]))


def _names(value: Any) -> list[str]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [str(name) for name in value]
    return [str(value)]


def _rows(flags: np.ndarray[Any, Any]) -> str:
    rows = np.flatnonzero(flags)[: SHOWN + 1]
    return listed(rows.tolist(), SHOWN)
