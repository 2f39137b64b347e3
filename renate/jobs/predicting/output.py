"""Where predictions go: parquet, CSV or JSON lines, written whole or not at all."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from renate.data.tables.columns import first_line
from renate.errors import ConfigError, DataError, JobError, nearest
from renate.files import replacing
from renate.jobs.directory import strict
from renate.jobs.predicting.answer_table import ANSWER

SUFFIXES = (".parquet", ".csv", ".jsonl")
STDOUT = "-"
MARK = b"renate.predictions"  # of our own parquet files, in their metadata

Write = Callable[[Any], None]  # takes an Arrow table


def check_output(output: object, inputs: list[str], *, overwrite: bool) -> Path:
    """Return where predictions may be written.

    Args:
        output: What the config says.
        inputs: The files that are read.
        overwrite: Whether any file may be replaced that isn't read.

    Raises:
        ConfigError: It isn't a path of a known kind, or holds something else already.
    """
    if not isinstance(output, str) or not output:
        raise ConfigError("job=predict needs output=…, as output=pred.parquet; - prints them")
    if "://" in output:
        raise ConfigError(f"output={output}: expected a path of this machine")

    path = Path(output).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        close = nearest(path.suffix, SUFFIXES)
        raise ConfigError(f"output={output}: expected {', '.join(SUFFIXES)}{close}, or -")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"output={output}: there is no folder {path.parent}")
    if path.is_dir():
        raise ConfigError(f"output={output} is a folder: name a file")
    if any(_is_same(path, file) for file in inputs):
        raise ConfigError(f"output={output} is one of the files that are read: name another")
    if path.exists() and not overwrite and not _is_ours(path):
        raise ConfigError(
            f"output={output} holds something else than predictions: name another file, or "
            "job.overwrite=true"
        )

    return path


def _is_same(path: Path, file: str) -> bool:
    with suppress(OSError):
        return path.samefile(file.removeprefix("file://"))
    return False


def _is_ours(path: Path) -> bool:
    """Whether a file was written here: by parquet's metadata, else by how it begins."""
    try:
        if path.suffix.lower() == ".parquet":
            import pyarrow.parquet

            return MARK in (pyarrow.parquet.read_schema(path).metadata or {})

        with path.open(encoding="utf-8") as file:
            line = file.readline(100_000)
        if path.suffix.lower() == ".csv":
            return _are_answers(line.replace('"', "").strip().split(","))
        return _are_answers(list(json.loads(line)))
    except (OSError, ValueError, TypeError):
        return False


def _are_answers(names: list[str]) -> bool:
    """Whether columns are those of predictions: of several numbers each ends the row by its own."""
    if ANSWER in names:
        return True
    return len(names) > 1 and all(name.startswith(f"{ANSWER}_") for name in names[-2:])


@contextmanager
def writing(path: Path) -> Iterator[Write]:
    """Yield what writes tables, one after the other, into a file that is there once all are.

    The first table says which columns there are, and of which kinds.

    Raises:
        JobError: It can't be written.
    """
    try:
        with replacing(path) as temporary, ExitStack() as opened:
            writer = Writer(temporary, path.suffix.lower(), opened)
            yield writer
    except OSError as error:
        raise JobError(f"output={path}: can't be written: {error.strerror or error}") from error


class Writer:
    """Writes tables into one file.

    Args:
        path: The file.
        suffix: What it will be, one of `SUFFIXES`.
        opened: Closes it.
    """

    def __init__(self, path: Path, suffix: str, opened: ExitStack) -> None:
        self.path = path
        self.suffix = suffix
        self.opened = opened
        self.schema: Any = None
        self.write: Write | None = None

    def __call__(self, table: Any) -> None:
        """Write some rows.

        Raises:
            DataError: A column is of another kind than in the first rows, or of one that the file
                can't hold.
        """
        import pyarrow as pa

        if self.suffix != ".parquet":
            table = _printable(table, self.suffix, lists=self.suffix == ".csv")
        if self.write is None:
            self.schema = table.schema.with_metadata({MARK: b"1"})
            self.write = self._begin()

        for index, field in enumerate(self.schema):
            if table.schema.field(index).type == field.type:
                continue
            try:
                table = table.set_column(index, field.name, table.column(index).cast(field.type))
            except pa.ArrowException as error:
                raise DataError(
                    f"job.keep: column '{field.name}' is {table.schema.field(index).type} in one "
                    f"file and {field.type} in another: {first_line(error)}"
                ) from error

        self.write(table.replace_schema_metadata(self.schema.metadata))

    def _begin(self) -> Write:
        if self.suffix == ".parquet":
            import pyarrow.parquet

            parquet = pyarrow.parquet.ParquetWriter(self.path, self.schema)
            self.opened.enter_context(parquet)
            return lambda table: parquet.write_table(table)

        if self.suffix == ".csv":
            import pyarrow.csv

            lines = pyarrow.csv.CSVWriter(self.path, self.schema)
            self.opened.enter_context(lines)
            return lambda table: lines.write_table(table)

        file = self.opened.enter_context(self.path.open("w", encoding="utf-8"))

        def write(table: Any) -> None:
            for row in table.to_pylist():
                file.write(json.dumps(strict(row), ensure_ascii=False, default=str) + "\n")

        return write


def _holds_bytes(kind: Any) -> bool:
    """Whether an Arrow type is bytes, or has such in it, as the Hub's images do."""
    import pyarrow as pa

    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return True
    return any(_holds_bytes(kind.field(place).type) for place in range(kind.num_fields))


def _printable(table: Any, suffix: str, *, lists: bool) -> Any:
    """A table as text files can hold it: in CSV lists are JSON.

    Raises:
        DataError: A column holds bytes, which only parquet keeps.
    """
    import pyarrow as pa

    for index, field in enumerate(table.schema):
        kind = field.type
        if _holds_bytes(kind):
            raise DataError(f"job.keep: column '{field.name}' holds bytes, which {suffix} can't")
        if pa.types.is_nested(kind) and lists:
            values = [
                None if value is None else json.dumps(value, ensure_ascii=False, default=str)
                for value in table.column(index).to_pylist()
            ]
            table = table.set_column(index, field.name, pa.array(values, pa.string()))

    return table
