"""Tables in files: parquet, CSV, JSON, read by pyarrow; images inside parquet, decoded by Pillow."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.base import Source, Table, check_tests
from renate.data.fingerprint import expand, fingerprint, hashes_by_file
from renate.data.images import decode
from renate.data.inputs import BOOLEAN, IMAGE, NUMBER, Inputs, match_names
from renate.data.tables import index_columns, read_file
from renate.data.values import EMPTY, LISTS, TEXT, first_empty, first_word, kind_of, labels_of, numbers_of
from renate.errors import ConfigError, DataError, nearest

Paths = str | Sequence[str]
MODEL_INPUTS = (NUMBER, BOOLEAN, IMAGE)


@dataclass(kw_only=True)
class Files(Source):
    """Files whose suffix says what they are: parquet, csv, json or jsonl.

    Numeric columns become one float32 vector per example; one column of encoded images becomes uint8 [C, H, W]. Columns
    are known by their names, in every file and every later update.

    Args:
        train: A path, a glob, or a list of them; also URLs such as s3://bucket/new/*.parquet.
        test: The same, or name -> such, each a column of the accuracy matrix; null holds `test_size` of `train` out.
        test_size: The share that is held out where `test` is null, the same examples for every seed and every update.
        target: The column to predict.
        inputs: The columns to predict from; null takes all others but an index that pandas has written.
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
        check_tests(self.test, self.test_size)
        self.target = str(self.target)  # a column may be called 3
        self.read_from: dict[str, list[str]] = {}
        if isinstance(self.inputs, str):
            raise ConfigError(f"data.inputs={self.inputs}: expected a list of columns, as [{self.inputs}]")
        if self.inputs is not None:
            self.inputs = [str(name) for name in self.inputs]
            if not self.inputs:
                raise ConfigError("data.inputs=[]: expected one column or more, or null for all others")
            if self.target in self.inputs:
                raise ConfigError(f"data.inputs={list(self.inputs)} holds data.target={self.target}: take it out")
        size = self.image_size
        if size is not None and (not isinstance(size, Sequence) or len(size) != 2 or min(size) < 1):
            raise ConfigError(f"data.image_size={size}: expected [height, width], both 1 or more")

    def read(self) -> tuple[Table, dict[str, Table]]:
        if self.known is not None and self.inputs is not None and set(self.inputs) != set(self.known.names):
            raise ConfigError(
                f"data.inputs={list(self.inputs)}: the state's model predicts from {', '.join(self.known.names)}"
            )
        if self.known is not None and self.known.target not in (None, self.target):
            raise ConfigError(f"data.target={self.target}: the state's model predicts '{self.known.target}'")
        table = self._table(self.train, "data.train", self.known)
        facts = self.known or table.facts()
        if self.test is None:
            return table, {}
        named = self.test if isinstance(self.test, Mapping) else {"test": self.test}
        keys = {name: "data.test" if named is not self.test else f"data.test.{name}" for name in named}
        return table, {name: self._table(paths, keys[name], facts) for name, paths in named.items()}

    def files(self) -> dict[str, list[list[str]]]:
        cache = Path(self.cache_dir) if self.cache_dir else None
        return {key: hashes_by_file(files, cache) for key, files in self.read_from.items()}

    def _table(self, paths: Paths, key: str, known: Inputs | None) -> Table:
        files = expand(paths, key)
        self.read_from[key] = files
        tables = [read_file(file) for file in files]
        notes = []
        for place, (file, table) in enumerate(zip(files, tables, strict=True)):
            self._check_twice(file, table)
            kept = [name for name in index_columns(table) if name != self.target]
            if self.inputs is None and (known is None or not set(kept) <= set(known.names)):
                tables[place] = table.drop_columns(kept)
                notes += [f"{file}: column '{name}' is an index, so it is no input" for name in kept]

        names = self._names(tables[0], files[0], known)
        kinds = self._kinds(names, files, tables)
        for file, table in zip(files, tables, strict=True):
            self._check_columns(file, table, names)
        labels = self._labels(files, tables, known)
        parts = [(file, table.num_rows) for file, table in zip(files, tables, strict=True)]
        if [kind for kind in kinds if kind == IMAGE]:
            channels = known.shape[0] if known is not None and len(known.shape) == 3 else None
            columns = {file: table.column(names[0]) for file, table in zip(files, tables, strict=True)}
            inputs = self._images(columns, names[0], None if key == "data.train" else channels)
        else:
            inputs = self._vectors(names, files, tables)
        return Table(inputs, labels, list(zip(names, kinds, strict=True)), self.target, parts, notes[:5])

    def _check_twice(self, file: str, table: Any) -> None:
        twice = [name for name, count in Counter(table.column_names).items() if count > 1]
        if twice:
            raise DataError(f"{file}: column '{twice[0]}' is there twice: rename one")

    def _names(self, first: Any, file: str, known: Inputs | None) -> list[str]:
        """The input columns, in the order in which the model has them."""
        there = first.column_names
        for name in [self.target, *(self.inputs or [])]:
            if name not in there:
                raise DataError(f"{file}: no column '{name}'{nearest(name, there)} ({', '.join(there)})")
        if known is not None and known.columns:
            return known.names
        names = list(self.inputs) if self.inputs is not None else [name for name in there if name != self.target]
        if not names:
            raise DataError(f"{file}: no column but '{self.target}', nothing to predict from")
        return names

    def _check_columns(self, file: str, table: Any, names: Sequence[str]) -> None:
        there = table.column_names
        if self.target not in there:
            raise DataError(f"{file}: no column '{self.target}'{nearest(self.target, there)} ({', '.join(there)})")
        others = [name for name in there if name != self.target]
        match_names(others, names, file, surplus=self.inputs is None)
        for name in (self.target, *names):
            row = first_empty(table.column(name))
            if row is not None:
                raise DataError(
                    f"{file}: row {row + 1}, column '{name}' is empty (rows counted from 1, the header not): "
                    f"{'drop such rows' if name == self.target else 'fill such values or drop the rows'}"
                )

    def _kinds(self, names: Sequence[str], files: Sequence[str], tables: Sequence[Any]) -> list[str]:
        """Kind of each input column, the same in every file."""
        kinds: dict[str, tuple[str, str]] = {}
        for file, table in zip(files, tables, strict=True):
            for name in (name for name in names if name in table.column_names and table.num_rows):
                column = table.column(name)
                kind = kind_of(column.type)
                if kind == EMPTY:
                    raise DataError(f"{file}: column '{name}' is empty in every row: fill it, or leave it out")
                if kind not in MODEL_INPUTS:
                    self._refuse(file, name, column, kind, table)
                before, other = kinds.setdefault(name, (kind, file))
                if kind != before:
                    raise DataError(f"{file}: column '{name}' holds {kind}s, in {other} it holds {before}s")
        images = [name for name, (kind, _) in kinds.items() if kind == IMAGE]
        if images and len(names) > 1:
            raise DataError(f"{files[0]}: column '{images[0]}' holds images: data.inputs=[{images[0]}] uses it alone")
        return [kinds.get(name, (NUMBER, ""))[0] for name in names]

    def _refuse(self, file: str, name: str, column: Any, kind: str, table: Any) -> None:
        """Say what a column holds that no model takes, and which columns are left without it."""
        usable = [
            other
            for other in table.column_names
            if other != self.target and kind_of(table.column(other).type) in (NUMBER, BOOLEAN)
        ]
        advice = f"data.inputs=[{','.join(usable)}] leaves it out" if usable else "no column of numbers is left"
        words = {TEXT: "text", LISTS: "lists"}.get(kind, str(column.type))
        example = ""
        if kind == TEXT:
            row = first_word(column)
            example = f": {column[row].as_py()!r:.40} in row {row + 1}"
        raise DataError(
            f"{file}: column '{name}' is {column.type} ({words}{example}), expected numbers or images: {advice} "
            "(docs/limits.md)"
        )

    def _labels(self, files: Sequence[str], tables: Sequence[Any], known: Inputs | None) -> np.ndarray[Any, Any]:
        """The labels of all files, of one kind."""
        found: list[tuple[str, np.ndarray[Any, Any]]] = []
        for file, table in zip(files, tables, strict=True):
            if table.num_rows:
                found.append((file, labels_of(table.column(self.target), f"{file}: column '{self.target}'")))
        text = [file for file, labels in found if labels.dtype.kind == "U"]
        integers = [file for file, labels in found if labels.dtype.kind != "U"]
        if text and integers:
            raise DataError(
                f"{text[0]}: column '{self.target}' is text, in {integers[0]} it holds integers: "
                "label all in one way (007 is text, 7 is not)"
            )
        if known is not None and found and (known.target_kind == "text") != bool(text):
            now = "text" if text else "integers"
            raise DataError(
                f"{found[0][0]}: column '{self.target}' holds {now}, the state's labels are "
                f"{'text' if known.target_kind == 'text' else 'integers'}: label all in one way (007 is text, 7 is not)"
            )
        return np.concatenate([labels for _, labels in found]) if found else np.empty(0, np.int64)

    def _vectors(self, names: Sequence[str], files: Sequence[str], tables: Sequence[Any]) -> Tensor:
        rows = sum(table.num_rows for table in tables)
        vectors = np.empty((rows, len(names)), np.float32)
        begin = 0
        for file, table in zip(files, tables, strict=True):
            end = begin + table.num_rows
            for index, name in enumerate(names):
                if table.num_rows:
                    vectors[begin:end, index] = numbers_of(table.column(name), f"{file}: column '{name}'")
            begin = end
        return torch.from_numpy(vectors)

    def _images(self, columns: dict[str, Any], name: str, channels: int | None) -> Tensor:
        cache = Path(self.cache_dir or "~/.cache/renate").expanduser()
        size = tuple(self.image_size) if self.image_size is not None else None
        key = f"{fingerprint([list(columns)], cache)}/{name}/{size}/{channels}"
        named = {f"{file}: column '{name}'": column for file, column in columns.items() if len(column)}
        return decode(named, cache, key, size, channels)
