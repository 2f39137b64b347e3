"""What sources of texts read alike: named columns of text, and a target."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from renate.data.named.rows import Rows, check_target, read_named
from renate.data.table import Readable, Table
from renate.data.tables.columns import is_text
from renate.errors import DataError

AsTable = Callable[[Rows, Mapping[str, list[str]], bool], Table]


def read_texts(
    source: Any, columns: Sequence[str], copies: bool, as_table: AsTable
) -> tuple[Readable, Mapping[str, Readable] | float]:
    """Read a source's files.

    Args:
        source: Of texts; what it is asked for are its own attributes.
        columns: Of texts.
        copies: See `read_named`.
        as_table: Makes a table of rows, of what they are marked with, and of whether they are a
            test's.

    Raises:
        DataError: No such file, or one that can't be read, lacks a column, or holds what isn't
            text.
        ConfigError: `target` isn't that of the state.
    """
    check_target(source.target, source.known.target if source.known else None)
    train, tests = read_named(
        source.train,
        source.test,
        columns,
        source.target,
        source.dialect,
        source.trained,
        copies=copies,
    )
    table = as_table(train, source.marks, False)
    if source.test is None:
        return table, source.test_size

    when = {key: names for key, names in source.marks.items() if key == "time"}
    return table, {name: as_table(rows, when, True) for name, rows in tests.items()}


def check_texts(rows: Rows, columns: Sequence[str]) -> None:
    """Check that columns hold texts.

    Raises:
        DataError: One of a file's doesn't.
    """
    for file, read in zip(rows.files, rows.reads, strict=True):
        table: Any = read.table
        for name in columns:
            column = table.column(name)
            if table.num_rows and not is_text(column.type):
                texts = [other for other in table.column_names if is_text(table.column(other).type)]
                raise DataError(
                    f"{file}: column '{name}' is {column.type}, expected text; its columns of text "
                    f"are {texts}"
                )
