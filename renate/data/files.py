"""Tables in files: parquet, CSV, JSON, read by pyarrow; images inside parquet, decoded by Pillow."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.base import Source, Table, check_test_size, hold_out
from renate.data.csv_text import is_number
from renate.data.exact import float32, whole_labels
from renate.data.fingerprint import expand, fingerprint
from renate.data.images import VERSION, decode
from renate.data.tables import empty_values, first_line, is_image, is_text, read_files
from renate.errors import ConfigError, DataError, nearest

Paths = str | Sequence[str]


@dataclass(kw_only=True)
class Files(Source):
    """Files whose suffix says what they are: parquet, csv, json or jsonl.

    Numeric columns become one float32 vector per example; one column of encoded images becomes uint8 [C, H, W].

    Args:
        train: A path, a glob, or a list of them; also URLs such as s3://bucket/new/*.parquet.
        test: The same, or name -> such, each a column of the accuracy matrix; null splits `test_size` off `train`.
        test_size: The fraction that is split off where `test` is null, the same for every seed.
        target: The column to predict.
        inputs: The columns to predict from; null takes all others.
        image_size: [height, width] to resize images to; null takes them as they are, all of one size.
        cache_dir: Where decoded images are kept; null is ~/.cache/renate.
    """

    train: Paths
    test: Paths | Mapping[str, Paths] | None
    test_size: float
    target: str
    inputs: Sequence[str] | None
    image_size: Sequence[int] | None
    cache_dir: str | None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_test_size(self.test, self.test_size)
        if isinstance(self.inputs, str):
            raise ConfigError(f"data.inputs={self.inputs}: expected a list of columns, as [{self.inputs}]")
        if self.inputs is not None and not len(self.inputs):
            raise ConfigError("data.inputs=[]: name a column, or give null for all but data.target")
        if self.inputs is not None and self.target in self.inputs:
            raise ConfigError(f"data.inputs={list(self.inputs)} holds data.target={self.target}: take it out")
        size = self.image_size
        if size is not None and (not isinstance(size, Sequence) or len(size) != 2 or min(size) < 1):
            raise ConfigError(f"data.image_size={size}: expected [height, width], both 1 or more")

    def read(self) -> tuple[Table, dict[str, Table]]:
        train = expand(self.train, "data.train")
        named: Mapping[str, Paths] = {}
        if self.test is not None:
            named = self.test if isinstance(self.test, Mapping) else {"test": self.test}
        tests = {name: expand(paths, "data.test") for name, paths in named.items()}

        # together, so that a column of CSV is text in all of them or in none
        tables = read_files(list(dict.fromkeys([*train, *chain(*tests.values())])))
        table = self._table(train, tables)
        if self.test is None:
            return hold_out(table, self.test_size)
        return table, {name: self._table(files, tables) for name, files in tests.items()}

    def _table(self, files: list[str], read: Mapping[str, Any]) -> Table:
        tables = [read[file] for file in files]
        for file, table in zip(files, tables, strict=True):
            self._check_columns(file, table, tables[0].column_names, files[0])
        whole = self._concatenate(files, tables)

        places = Places(files, [table.num_rows for table in tables])
        labels = self._labels(whole.column(self.target), places)
        names = self._names(whole.column_names)
        if not names:
            raise DataError(f"{files[0]}: no column but '{self.target}', nothing to predict from")
        images = [name for name in names if is_image(whole.column(name).type)]
        if images and len(names) > 1:
            raise DataError(f"{files[0]}: column '{images[0]}' holds images: data.inputs=['{images[0]}'] uses it alone")
        if images:
            columns = {f: t.column(images[0]) for f, t in zip(files, tables, strict=True)}
            return self._images(columns, images[0]), labels
        return self._vectors(whole.select(names), places), labels

    def _concatenate(self, files: list[str], tables: list[Any]) -> Any:
        import pyarrow as pa

        schema = tables[0].schema
        for file, table in zip(files, tables, strict=True):
            if table.schema.equals(schema):
                continue
            try:
                schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise DataError(f"{file}: its columns differ in kind from {files[0]}: {first_line(error)}") from error
        try:
            return pa.concat_tables(tables, promote_options="permissive")
        except pa.ArrowException as error:  # a value that the common kind can't hold
            raise DataError(f"{files[0]} and others: columns of several kinds: {first_line(error)}") from error

    def _names(self, columns: Sequence[str]) -> list[str]:
        return list(self.inputs) if self.inputs is not None else [name for name in columns if name != self.target]

    def _check_columns(self, file: str, table: Any, first: list[str], other: str) -> None:
        names = table.column_names
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise DataError(f"{file}: column '{twice[0]}' is there twice: rename one")
        for name in [self.target, *(self.inputs or [])]:
            if name not in names:
                raise DataError(f"{file}: no column '{name}'{nearest(name, names)} ({', '.join(names)})")
        if self.inputs is None and set(names) != set(first):
            odd = sorted(set(names) ^ set(first))[0]
            raise DataError(f"column '{odd}' is in only one of {other} and {file}: name the columns by data.inputs=[…]")
        if empty := empty_values(table.column(self.target)):
            raise DataError(f"{file}: column '{self.target}' has {empty} empty values: drop those rows")
        for name in self._names(names):
            if empty := table.column(name).null_count:
                raise DataError(f"{file}: column '{name}' has {empty} empty values: fill them or drop the rows")

    def _labels(self, column: Any, places: "Places") -> np.ndarray[Any, Any]:
        import pyarrow as pa

        kind = column.type
        what = f"{places.title}: column '{self.target}'"
        if is_text(kind):
            values: np.ndarray[Any, Any] = column.to_numpy()
            return values
        if pa.types.is_decimal(kind):
            column = column.cast(pa.float64())
        elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
            raise DataError(f"{what} is {kind}, a label is an integer, a boolean or text")
        return whole_labels(column.to_numpy(), what)

    def _vectors(self, table: Any, places: "Places") -> Tensor:
        """Return float32 [N, width]: a number is one value of it, a list of equal length as many as it holds."""
        bad = [name for name in table.column_names if not _is_numeric(table.column(name).type)]
        if bad:
            good = [name for name in table.column_names if name not in bad]
            raise DataError(_no_numbers(table.column(bad[0]), bad[0], good, places))

        parts = []
        for name in table.column_names:
            values = _matrix(table.column(name), name, places)
            for index in range(values.shape[1]):
                position = f"[{index}]" if _is_list(table.column(name).type) else ""
                parts.append(float32(values[:, index], f"{places.title}: column '{name}'{position}"))
        vectors = np.empty((table.num_rows, len(parts)), np.float32)
        for index, part in enumerate(parts):
            vectors[:, index] = part
        return torch.from_numpy(vectors)

    def _images(self, columns: dict[str, Any], name: str) -> Tensor:
        import PIL

        cache = Path(self.cache_dir or "~/.cache/renate").expanduser()
        size = tuple(self.image_size) if self.image_size is not None else None
        # all that decides the pixels: content, column, size, and what decodes them
        key = json.dumps([fingerprint([list(columns)], cache), name, size, VERSION, PIL.__version__])
        named = {f"{file}: column '{name}'": column for file, column in columns.items()}
        return decode(named, cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy", size)


@dataclass(frozen=True)
class Places:
    """Where the rows of several files that were read one after the other came from.

    Args:
        files: In their order.
        rows: How many each has.
    """

    files: list[str]
    rows: list[int]

    @property
    def title(self) -> str:
        """The file; of several the first, and how many more: for messages about all their rows."""
        more = len(self.files) - 1
        return f"{self.files[0]} and {more} more" if more else self.files[0]

    def of(self, row: int) -> tuple[str, int]:
        """Return the file of a row of all files, and the row there, from 0."""
        for file, count in zip(self.files, self.rows, strict=True):
            if row < count:
                return file, row
            row -= count
        raise AssertionError("a row of no file")


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_numeric(kind: Any) -> bool:
    import pyarrow as pa

    if _is_list(kind):
        return _is_numeric(kind.value_type) and not _is_list(kind.value_type)
    types = pa.types
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return bool(number or types.is_decimal(kind))


def _no_numbers(column: Any, name: str, good: list[str], places: Places) -> str:
    """Say what a column that isn't numbers holds, where, and what to do."""
    remedy = f"make numbers of it, or use data.inputs={good}"
    if not good:
        remedy = "make numbers of it, no other column has any"
    text = is_text(column.type)
    for row, scalar in enumerate(column if text else []):
        value = scalar.as_py()
        if value is None or is_number(value):
            continue
        file, row = places.of(row)
        shown = value if len(value) <= 40 else f"{value[:40]}…"
        what = f"{file}: column '{name}' is {column.type}"
        return f"{what}, expected numbers or images (row {row} holds {shown!r}): {remedy}"

    what = f"{places.title}: column '{name}' is {column.type}"
    found = ""
    if text and len(column):
        found = f" (row 0 holds {column[0].as_py()!r}: text, or digits beyond int64)"
    return f"{what}, expected numbers or images{found}: {remedy}"


def _matrix(column: Any, name: str, places: Places) -> np.ndarray[Any, Any]:
    """Return a column's numbers [N, width], in the kind that they have.

    Raises:
        DataError: Lists of several lengths, or with values that aren't there.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    width = 1
    rows = len(column)
    if _is_list(column.type):
        lengths = pc.list_value_length(column).to_numpy()
        width = int(lengths[0]) if rows else 0
        odd = np.flatnonzero(lengths != width)
        if len(odd):
            file, row = places.of(int(odd[0]))
            raise DataError(
                f"{file}: column '{name}': row {row} holds {lengths[odd[0]]} values, the first {width}: "
                "expected lists of one length"
            )
        if rows and not width:
            raise DataError(f"{places.title}: column '{name}' holds empty lists, expected numbers")
        column = pc.list_flatten(column)
        if column.null_count:
            raise DataError(f"{places.title}: column '{name}' has {column.null_count} empty values in its lists")
    if pa.types.is_decimal(column.type):
        column = column.cast(_decimal_as(column, name, places))
    return np.asarray(column.to_numpy()).reshape(rows, width)


def _decimal_as(column: Any, name: str, places: Places) -> Any:
    """Return int64 for whole decimals, float64 for those with digits behind the point."""
    import pyarrow as pa

    if column.type.scale > 0:
        return pa.float64()
    try:
        column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise DataError(f"{places.title}: column '{name}' holds whole numbers beyond int64: divide them") from error
    return pa.int64()
