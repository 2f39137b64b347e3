"""Tables in files: parquet, CSV, JSON lines, read by pyarrow; images inside parquet, decoded by Pillow."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.base import Source, Table, hold_out
from renate.data.fingerprint import expand, fingerprint
from renate.data.images import decode
from renate.errors import DataError, nearest

Paths = str | Sequence[str]


@dataclass(kw_only=True)
class Files(Source):
    """Files whose suffix says what they are: parquet, csv, json or jsonl.

    Numeric columns become one float32 vector per example; one column of encoded images becomes uint8 [C, H, W].

    Args:
        train: A path, a glob, or a list of them.
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

    def read(self) -> tuple[Table, dict[str, Table]]:
        table = self._table(self.train, "data.train")
        if self.test is None:
            return hold_out(table, self.test_size)
        named = self.test if isinstance(self.test, Mapping) else {"test": self.test}
        return table, {name: self._table(paths, "data.test") for name, paths in named.items()}

    def _table(self, paths: Paths, key: str) -> Table:
        files = expand(paths, key)
        tables = [read_file(file) for file in files]
        for file, table in zip(files, tables, strict=True):
            self._check_columns(file, table.column_names, tables[0].column_names, files[0])
        import pyarrow as pa

        try:
            table = pa.concat_tables(tables, promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(f"{key}: the files' columns differ in kind: {first_line(error)}") from error
        labels = self._labels(table.column(self.target), files[0])
        names = list(self.inputs) if self.inputs is not None else [n for n in table.column_names if n != self.target]
        if not names:
            raise DataError(f"{files[0]}: no column but '{self.target}', nothing to predict from")
        images = [name for name in names if is_image(table.column(name).type)]
        if images and len(names) > 1:
            raise DataError(f"{files[0]}: column '{images[0]}' holds images: data.inputs=['{images[0]}'] uses it alone")
        if images:
            return self._images(table.column(images[0]), images[0], files), labels
        return self._vectors(table.select(names), files[0]), labels

    def _check_columns(self, file: str, names: list[str], first: list[str], other: str) -> None:
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise DataError(f"{file}: column '{twice[0]}' is there twice: rename one")
        for name in [self.target, *(self.inputs or [])]:
            if name not in names:
                raise DataError(f"{file}: no column '{name}'{nearest(name, names)} ({', '.join(names)})")
        if self.inputs is None and set(names) != set(first):
            odd = sorted(set(names) ^ set(first))[0]
            raise DataError(f"column '{odd}' is in only one of {other} and {file}: name the columns by data.inputs=[…]")

    def _labels(self, column: Any, file: str) -> np.ndarray[Any, Any]:
        import pyarrow as pa

        if column.null_count:
            raise DataError(f"{file}: column '{self.target}' has {column.null_count} empty values: drop those rows")
        kind = column.type
        if pa.types.is_dictionary(kind):
            column, kind = column.cast(kind.value_type), kind.value_type
        if not (
            pa.types.is_integer(kind)
            or pa.types.is_boolean(kind)
            or pa.types.is_string(kind)
            or pa.types.is_large_string(kind)
        ):
            raise DataError(f"{file}: column '{self.target}' is {kind}, a label is an integer, a boolean or text")
        values: np.ndarray[Any, Any] = column.to_numpy()
        return values.astype(np.int64) if pa.types.is_boolean(kind) else values

    def _vectors(self, table: Any, file: str) -> Tensor:
        import pyarrow as pa

        columns = []
        for name in table.column_names:
            column, kind = table.column(name), table.column(name).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
                others = [n for n in table.column_names if n != name]
                raise DataError(
                    f"{file}: column '{name}' is {kind}, expected numbers or images: use data.inputs={others}"
                )
            if column.null_count:
                raise DataError(
                    f"{file}: column '{name}' has {column.null_count} empty values: fill them or drop the rows"
                )
            columns.append(column.to_numpy().astype(np.float32))
        return torch.from_numpy(np.stack(columns, 1))

    def _images(self, column: Any, name: str, files: list[str]) -> Tensor:
        cache = Path(self.cache_dir) if self.cache_dir else Path.home() / ".cache" / "renate"
        size = tuple(self.image_size) if self.image_size is not None else None
        key = f"{fingerprint(list(files), cache)}/{name}/{size}"
        return decode(
            column,
            cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy",
            size,
            f"{files[0]}: column '{name}'",
        )


def is_image(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def read_file(file: str) -> Any:
    """Read one file as an Arrow table.

    Raises:
        DataError: An unknown suffix, or content that isn't what the suffix says.
    """
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.json
    import pyarrow.parquet
    from pyarrow import fs

    suffix = Path(file).suffix.lower()
    readers: dict[str, Any] = {
        ".parquet": lambda source: pyarrow.parquet.ParquetFile(source).read(),  # no `a=1` of a path becomes a column
        ".csv": pyarrow.csv.read_csv,
        ".json": pyarrow.json.read_json,
        ".jsonl": pyarrow.json.read_json,
    }
    if suffix not in readers:
        raise DataError(f"{file}: unknown suffix '{suffix}', expected one of {', '.join(readers)}")
    try:
        if "://" in file:
            system, path = fs.FileSystem.from_uri(file)
            with system.open_input_file(path) as stream:
                table = readers[suffix](stream)
        else:
            table = readers[suffix](file)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowKeyError, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: not readable as {suffix[1:]}: {first_line(error)}") from error
    schema = table.schema
    odd = [name for name, kind in zip(schema.names, schema.types, strict=True) if pa.types.is_binary(kind)]
    if odd and suffix == ".csv":  # what pyarrow makes of text that isn't UTF-8
        raise DataError(f"{file}: not readable as csv: column '{odd[0]}' isn't UTF-8, save the file as such")
    return table


def first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
