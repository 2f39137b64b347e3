"""Which columns of tables are inputs and which are targets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from renate.data.kept.inputs import Inputs, is_name
from renate.data.tables.matching import index_columns, kind_of, match_columns
from renate.data.tables.parquet import Read
from renate.data.tables.read import empty_values
from renate.errors import ConfigError, DataError, nearest


@dataclass(frozen=True)
class ColumnChoice:
    """Which columns a config and a state ask for.

    Attributes:
        targets: The columns to predict.
        inputs: Those to predict from; None takes all others.
        known: The inputs of the state; None at a first update.
    """

    targets: Sequence[str]
    inputs: Sequence[str] | None
    known: Inputs | None

    def wanted(
        self, first: Any, file: str, like: Sequence[tuple[str, str]] | None
    ) -> tuple[dict[str, str], str]:
        """Return name -> kind of the inputs, and what has them: the state, data.train, or the first
        file.

        Args:
            first: The first file's table.
            file: Its name.
            like: (name, kind) of the training data's inputs, for a test table.

        Raises:
            DataError: A column isn't there, or there is none to predict from.
            ConfigError: What the config names isn't what the state has.
        """
        if self.known is not None and self.known.named:
            self._check_state()
            return {column.name: column.kind for column in self.known.columns}, "the state"
        if like is not None:
            return dict(like), "data.train"

        for name in [*self.targets, *self._asked(first.column_names)]:
            if name not in first.column_names:
                hint = nearest(name, first.column_names)
                raise DataError(
                    f"{file}: no column '{name}'{hint} ({', '.join(first.column_names)})"
                )

        names = self._names(first)
        if not names:
            raise DataError(f"{file}: no column but '{self.targets[-1]}', nothing to predict from")

        odd = [name for name in [*self.targets, *names] if not is_name(name)]
        if odd:
            raise DataError(
                f"{file}: column {odd[0][:100]!r} has a name with control characters: rename it"
            )

        return {name: kind_of(first.schema.field(name).type) for name in names}, file

    def _check_state(self) -> None:
        """Check what the config says against the state's inputs."""
        assert self.known is not None
        if self.known.target is not None and self.known.target != ", ".join(self.targets):
            raise ConfigError(
                f"data.target={', '.join(self.targets)}: the state's target is "
                f"'{self.known.target}': "
                "rename the column, or start another state"
            )

        asked = self._asked(self.known.names)
        if self.inputs is not None and set(asked) != set(self.known.names):
            odd = sorted(set(asked) ^ set(self.known.names))[0]
            raise ConfigError(
                f"data.inputs: '{odd}' is in only one of it and the state's inputs, "
                f"{', '.join(self.known.names[:10])}: give those"
            )

    def _asked(self, there: Sequence[str]) -> list[str]:
        """What `inputs` names; of a column of lists each place."""
        found: list[str] = []
        for name in self.inputs or []:
            places = [
                other for other in there if other.startswith(f"{name}[") and other.endswith("]")
            ]
            found += [name] if name in there or not places else places

        return found

    def _names(self, table: Any) -> list[str]:
        if self.inputs is not None:
            return self._asked(table.column_names)
        index = index_columns(table)
        return [
            name for name in table.column_names if name not in index and name not in self.targets
        ]

    def check(
        self, file: str, read: Read, wanted: Mapping[str, str], origin: str, decoded: bool
    ) -> list[str]:
        """Check one file's columns; return what to say about those that are left out.

        Args:
            file: Its name.
            read: Its table.
            wanted: name -> kind of the inputs.
            origin: What has them, see `wanted`.
            decoded: Whether its images were decoded before, and so are all there.

        Raises:
            DataError: A column is missing, left over, of another kind, or has empty values.
        """
        table = read.table
        names = table.column_names

        for target in self.targets:
            if target not in names:
                raise DataError(
                    f"{file}: no column '{target}'{nearest(target, names)} ({', '.join(names)})"
                )

        index = [
            name for name in index_columns(table) if name not in wanted and name not in self.targets
        ]
        left_out = {*index, *self.targets}
        kinds = {
            name: kind_of(table.schema.field(name).type) for name in names if name not in left_out
        }
        if not table.num_rows:  # says nothing of what its columns hold
            kinds |= {name: kind for name, kind in wanted.items() if name in kinds}

        match_columns(file, kinds, wanted, origin=origin, surplus=self.inputs is not None)
        for target in self.targets:
            if empty := empty_values(read.column(target)):
                raise DataError(
                    f"{file}: column '{target}' has {empty} empty values: drop those rows"
                )

        for name in wanted if not decoded else ():  # what was decoded had none
            if empty := read.column(name).null_count:
                raise DataError(
                    f"{file}: column '{name}' has {empty} empty values: fill them or drop the rows"
                )

        if not index or self.inputs is not None:
            return []

        return [
            f"{file}: column '{index[0]}' is its writer's index, no input: data.inputs=[…] takes "
            "it nevertheless"
        ]


def check_names(file: str, names: Sequence[str]) -> None:
    """Return if no name is there twice.

    Raises:
        DataError: One is.
    """
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{file}: column '{twice[0]}' is there twice: rename one")
