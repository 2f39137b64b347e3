"""Tables in files: parquet, CSV, JSON, read by pyarrow; images inside parquet, decoded by Pillow."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.base import Source, Table, check_test_size, hold_out
from renate.data.fingerprint import expand, fingerprint
from renate.data.images import decode
from renate.data.tables import empty_values, first_line, is_image, is_text, read_file
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
        if self.inputs is not None and self.target in self.inputs:
            raise ConfigError(f"data.inputs={list(self.inputs)} holds data.target={self.target}: take it out")
        size = self.image_size
        if size is not None and (not isinstance(size, Sequence) or len(size) != 2 or min(size) < 1):
            raise ConfigError(f"data.image_size={size}: expected [height, width], both 1 or more")

    def read(self) -> tuple[Table, dict[str, Table]]:
        table = self._table(self.train, "data.train")
        if self.test is None:
            return hold_out(table, self.test_size)
        named = self.test if isinstance(self.test, Mapping) else {"test": self.test}
        return table, {name: self._table(paths, "data.test") for name, paths in named.items()}

    def _table(self, paths: Paths, key: str) -> Table:
        import pyarrow as pa

        files = expand(paths, key)
        tables = [read_file(file) for file in files]
        schema = tables[0].schema
        for file, table in zip(files, tables, strict=True):
            self._check_columns(file, table, tables[0].column_names, files[0])
            if table.schema.equals(schema):
                continue
            try:
                schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise DataError(f"{file}: its columns differ in kind from {files[0]}: {first_line(error)}") from error
        whole = pa.concat_tables(tables, promote_options="permissive")
        labels = self._labels(whole.column(self.target), files[0])
        names = self._names(whole.column_names)
        if not names:
            raise DataError(f"{files[0]}: no column but '{self.target}', nothing to predict from")
        images = [name for name in names if is_image(whole.column(name).type)]
        if images and len(names) > 1:
            raise DataError(f"{files[0]}: column '{images[0]}' holds images: data.inputs=['{images[0]}'] uses it alone")
        if images:
            return self._images({f: t.column(images[0]) for f, t in zip(files, tables, strict=True)}, images[0]), labels
        return self._vectors(whole.select(names), files[0]), labels

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

    def _labels(self, column: Any, file: str) -> np.ndarray[Any, Any]:
        import pyarrow as pa

        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        kind = column.type
        if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind) or is_text(kind)):
            raise DataError(f"{file}: column '{self.target}' is {kind}, a label is an integer, a boolean or text")
        values: np.ndarray[Any, Any] = column.to_numpy()
        return values.astype(np.int64) if pa.types.is_boolean(kind) else values

    def _vectors(self, table: Any, file: str) -> Tensor:
        import pyarrow as pa

        vectors = np.empty((table.num_rows, table.num_columns), np.float32)
        for index, name in enumerate(table.column_names):
            column, kind = table.column(name), table.column(name).type
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
                others = [n for n in table.column_names if n != name]
                raise DataError(
                    f"{file}: column '{name}' is {kind}, expected numbers or images: use data.inputs={others}"
                )
            with np.errstate(over="ignore"):  # what float32 can't hold becomes infinite, which `check` refuses
                vectors[:, index] = column.to_numpy()
        return torch.from_numpy(vectors)

    def _images(self, columns: dict[str, Any], name: str) -> Tensor:
        cache = Path(self.cache_dir or "~/.cache/renate").expanduser()
        size = tuple(self.image_size) if self.image_size is not None else None
        key = f"{fingerprint([list(columns)], cache)}/{name}/{size}"
        named = {f"{file}: column '{name}'": column for file, column in columns.items()}
        return decode(named, cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy", size)
