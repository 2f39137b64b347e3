"""Which columns of tables are inputs and which are targets."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from renate.data.kept.inputs import Inputs, is_name
from renate.data.tables.csv_files.typed import is_boolean, is_number
from renate.data.tables.matching import OtherKindError, index_columns, kind_of, match_columns
from renate.data.tables.parquet import Read
from renate.errors import ConfigError, DataError, nearest, shortened


@dataclass(frozen=True)
class ColumnChoice:
    """Which columns a config and a state ask for.

    Attributes:
        targets: The columns to predict.
        inputs: Those to predict from; None takes all others.
        no_inputs: Columns that are none unless `inputs` names them, the targets among them.
        known: The inputs of the state; None at a first update.
        stored: (name, kind as files hold it) of the columns that the state's encoder takes; None
            where it has none, and `known` tells them.
    """

    targets: Sequence[str]
    inputs: Sequence[str] | None
    no_inputs: Collection[str]
    known: Inputs | None
    stored: Sequence[tuple[str, str]] | None = None

    @property
    def _of_state(self) -> dict[str, str] | None:
        """name -> kind of the state's columns; None where there is no state, or it has no names."""
        if self.known is None:
            return None
        if self.stored is not None:
            return dict(self.stored)
        if not self.known.named:
            return None
        return {column.name: column.kind for column in self.known.columns}

    def wanted(
        self, schemas: Sequence[Any], files: Sequence[str], like: Sequence[tuple[str, str]] | None
    ) -> tuple[dict[str, str], str]:
        """Return name -> kind of the inputs, and what has them: the state, data.train, or the first
        file.

        Args:
            schemas: Of the files' tables.
            files: Their names.
            like: (name, kind) of the training data's inputs, for a test table.

        Raises:
            DataError: A column isn't there, or there is none to predict from.
            ConfigError: What the config names isn't what the state has.
        """
        of_state = self._of_state
        if of_state is not None:
            self._check_state(list(of_state))
            return of_state, "the state"
        if like is not None:
            return dict(like), "data.train"

        first = schemas[0]
        file = files[0]
        for name in [*self.targets, *self._asked(first.names)]:
            if name not in first.names:
                hint = nearest(name, first.names)
                raise DataError(f"{file}: no column '{name}'{hint} ({', '.join(first.names)})")

        names = self._names(first)
        if not names:
            raise DataError(f"{file}: no column but '{self.targets[-1]}', nothing to predict from")

        odd = [name for name in [*self.targets, *names] if not is_name(name)]
        if odd:
            raise DataError(
                f"{file}: column {odd[0][:100]!r} has a name with control characters: rename it"
            )

        return {name: _first_kind(schemas, name) for name in names}, file

    def _check_state(self, names: Sequence[str]) -> None:
        """Check what the config says against the state's inputs."""
        assert self.known is not None
        asked = self._asked(names)
        if self.inputs is not None and set(asked) != set(names):
            odd = sorted(set(asked) ^ set(names))[0]
            raise ConfigError(
                f"data.inputs: '{odd}' is in only one of it and the state's inputs, "
                f"{', '.join(names[:10])}: give those"
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

    def _names(self, schema: Any) -> list[str]:
        if self.inputs is not None:
            return self._asked(schema.names)
        index = index_columns(schema)
        return [name for name in schema.names if name not in index and name not in self.no_inputs]

    def check(self, file: str, read: Read, wanted: Mapping[str, str], origin: str) -> list[str]:
        """Check one file's columns; return what to say about those that are left out.

        Args:
            file: Its name.
            read: Its table.
            wanted: name -> kind of the inputs.
            origin: What has them, see `wanted`.

        Raises:
            DataError: A column is missing, left over, or of another kind.
        """
        table = read.table
        names = table.column_names

        for target in self.targets:
            if target not in names:
                raise DataError(
                    f"{file}: no column '{target}'{nearest(target, names)} ({', '.join(names)})"
                )

        index = [
            name
            for name in index_columns(table.schema)
            if name not in wanted and name not in self.targets
        ]
        left_out = {*index, *self.no_inputs}
        kinds = {
            name: kind_of(table.schema.field(name).type) for name in names if name not in left_out
        }
        if not table.num_rows:  # says nothing of what its columns hold
            kinds |= {name: kind for name, kind in wanted.items() if name in kinds}

        try:
            match_columns(file, kinds, wanted, origin=origin, surplus=self.inputs is not None)
        except OtherKindError as error:
            raise DataError(f"{error}{_odd_value(read, error.name, wanted)}") from error

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


def _first_kind(schemas: Sequence[Any], name: str) -> str:
    """What the first file that has a value of a column holds it as; `null` where none has."""
    kinds = (
        kind_of(schema.field(name).type) for schema in schemas if schema.get_field_index(name) >= 0
    )
    return next((kind for kind in kinds if kind != "null"), "null")


def _odd_value(read: Read, name: str, wanted: Mapping[str, str]) -> str:
    """Where the first text stands that makes a column of another kind one of texts."""
    column = read.column(name)
    if kind_of(column.type) != "text":
        return ""

    is_right: Callable[[str], bool] = {"number": is_number, "boolean": is_boolean}.get(
        wanted[name], lambda text: False
    )
    for row, scalar in enumerate(column):
        value = scalar.as_py()
        if value is not None and not is_right(value):
            return f" (row {row} holds {shortened(value, 40)!r})"

    return ""
