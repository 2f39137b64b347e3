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

from renate.data.base import File, Readable, Source, Table, check_test_size
from renate.data.fingerprint import contents, expand, fingerprint
from renate.data.images import decode
from renate.data.inputs import is_name, match_columns
from renate.data.matching import index_columns, kind_of, target_kind_of
from renate.data.tables import empty_values, first_line, is_image, is_text, read_file
from renate.errors import ConfigError, DataError, nearest

Paths = str | Sequence[str]


@dataclass(kw_only=True)
class Files(Source):
    """Files whose suffix says what they are: parquet, csv, json or jsonl.

    Numeric columns become one float32 vector per example; one column of encoded images becomes uint8 [C, H, W].

    Args:
        train: A path, a glob, or a list of them; also URLs such as s3://bucket/new/*.parquet.
        test: The same, or name -> such, each a column of the accuracy matrix; null holds `test_size` of `train` out.
        test_size: The fraction that is held out where `test` is null, the same for every seed.
        target: The column to predict.
        inputs: The columns to predict from; null takes all others, less what a writer kept as an index.
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
        self.target = str(self.target)  # a column may be named by a number
        if isinstance(self.inputs, str | int):
            raise ConfigError(f"data.inputs={self.inputs}: expected a list of columns, as [{self.inputs}]")
        if self.inputs is not None:
            self.inputs = [str(name) for name in self.inputs]
        if self.inputs is not None and self.target in self.inputs:
            raise ConfigError(f"data.inputs={list(self.inputs)} holds data.target={self.target}: take it out")
        size = self.image_size
        if size is not None and (not isinstance(size, Sequence) or len(size) != 2 or min(size) < 1):
            raise ConfigError(f"data.image_size={size}: expected [height, width], both 1 or more")

    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        table = self._table(self.train, "data.train")
        if self.test is None:
            return table, self.test_size
        named = self.test if isinstance(self.test, Mapping) else {"test": self.test}
        tests: dict[str, Readable] = {}
        for name, paths in named.items():
            tests[str(name)] = self._table(paths, "data.test", like=table)
        return table, tests

    def _table(self, paths: Paths, key: str, like: Table | None = None) -> Table:
        """Read files whose columns are matched by name to the state's, else to those of `like`, else the first."""
        files = expand(paths, key)
        tables = [read_file(file) for file in files]
        for file, table in zip(files, tables, strict=True):
            _check_names(file, table.column_names)
        wanted, origin = self._wanted(tables[0], files[0], like)
        notes: list[str] = []
        for file, table in zip(files, tables, strict=True):
            notes += self._check_columns(file, table, wanted, origin)

        names = list(wanted)
        parts = [table.select([*names, self.target]) for table in tables]
        whole = _joined(files, parts)
        kept = tuple(
            File(file, part.num_rows, content)
            for file, part, content in zip(files, parts, contents(files, self._cache), strict=True)
        )
        labels = self._labels(whole.column(self.target), files[0])
        images = [name for name in names if is_image(whole.column(name).type)]
        if images and len(names) > 1:
            raise DataError(f"{files[0]}: column '{images[0]}' holds images: data.inputs=['{images[0]}'] uses it alone")
        if images:
            columns = {f: t.column(images[0]) for f, t in zip(files, parts, strict=True)}
            inputs = self._images(columns, images[0])
            inputs, said = self._fitted(inputs, like, f"{files[0]}: column '{images[0]}'")
            notes += said
        else:
            inputs = self._vectors(whole.select(names), files[0])
        kind = target_kind_of(whole.schema.field(self.target).type)
        named = tuple(wanted.items())
        return Table(inputs, labels, named, kept, self.target, kind, tuple(dict.fromkeys(notes)))

    @property
    def _cache(self) -> Path:
        return Path(self.cache_dir or "~/.cache/renate").expanduser()

    def _wanted(self, first: Any, file: str, like: Table | None) -> tuple[dict[str, str], str]:
        """name -> kind of the inputs, and what has them: the state, data.train, or the first file."""
        if self.known is not None and self.known.named:
            self._check_state()
            return {column.name: column.kind for column in self.known.columns}, "the state"
        if like is not None:
            return dict(like.columns), "data.train"
        for name in [self.target, *(self.inputs or [])]:
            if name not in first.column_names:
                hint = nearest(name, first.column_names)
                raise DataError(f"{file}: no column '{name}'{hint} ({', '.join(first.column_names)})")
        names = self._names(first)
        if not names:
            raise DataError(f"{file}: no column but '{self.target}', nothing to predict from")
        odd = [name for name in [self.target, *names] if not is_name(name)]
        if odd:
            raise DataError(f"{file}: column {odd[0][:100]!r} has a name with control characters: rename it")
        return {name: kind_of(first.schema.field(name).type) for name in names}, file

    def _check_state(self) -> None:
        """Check what the config says against the state's inputs."""
        assert self.known is not None
        if self.known.target is not None and self.known.target != self.target:
            raise ConfigError(
                f"data.target={self.target}: the state's target is '{self.known.target}': "
                "rename the column, or start another state"
            )
        if self.inputs is not None and set(self.inputs) != set(self.known.names):
            odd = sorted(set(self.inputs) ^ set(self.known.names))[0]
            raise ConfigError(
                f"data.inputs: '{odd}' is in only one of it and the state's inputs, "
                f"{', '.join(self.known.names[:10])}: give those"
            )

    def _names(self, table: Any) -> list[str]:
        if self.inputs is not None:
            return list(self.inputs)
        index = index_columns(table)
        return [name for name in table.column_names if name != self.target and name not in index]

    def _check_columns(self, file: str, table: Any, wanted: Mapping[str, str], origin: str) -> list[str]:
        """Check one file's columns; return what to say about those that are left out."""
        names = table.column_names
        if self.target not in names:
            raise DataError(f"{file}: no column '{self.target}'{nearest(self.target, names)} ({', '.join(names)})")
        index = [name for name in index_columns(table) if name not in wanted and name != self.target]
        kinds = {n: kind_of(table.schema.field(n).type) for n in names if n != self.target and n not in index}
        match_columns(file, kinds, wanted, origin=origin, surplus=self.inputs is not None)
        if empty := empty_values(table.column(self.target)):
            raise DataError(f"{file}: column '{self.target}' has {empty} empty values: drop those rows")
        for name in wanted:
            if empty := table.column(name).null_count:
                raise DataError(f"{file}: column '{name}' has {empty} empty values: fill them or drop the rows")
        if not index or self.inputs is not None:
            return []
        return [f"{file}: column '{index[0]}' is its writer's index, no input: data.inputs=[…] takes it nevertheless"]

    def _fitted(self, images: Tensor, like: Table | None, where: str) -> tuple[Tensor, list[str]]:
        """Images in the channels and size of those that they are held against.

        Only test images are turned from grey into colour, where nothing is lost by it.
        """
        shape = self.known.shape if self.known is not None else like and tuple(like.inputs.shape[1:])
        if not shape or len(shape) != 3 or tuple(images.shape[1:]) == tuple(shape):
            return images, []
        origin = "the state" if self.known is not None else "data.train"
        if images.shape[2:] != shape[1:]:
            size = "×".join(map(str, images.shape[2:]))
            height, width = shape[1:]
            raise DataError(
                f"{where} is {size} pixels, the images of {origin} are {height}×{width}: "
                f"data.image_size=[{height},{width}] resizes them"
            )
        if like is not None and images.shape[1] == 1:
            return images.expand(-1, shape[0], -1, -1), [f"{where} is grey, {origin} has colour: read as colour"]
        found = "grey" if images.shape[1] == 1 else "in colour"
        wanted = "grey" if shape[0] == 1 else "in colour"
        raise DataError(f"{where} is {found}, the images of {origin} are {wanted}: convert the images to that")

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
        cache = self._cache
        size = tuple(self.image_size) if self.image_size is not None else None
        key = f"{fingerprint([list(columns)], cache)}/{name}/{size}"
        named = {f"{file}: column '{name}'": column for file, column in columns.items()}
        return decode(named, cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy", size)


def _check_names(file: str, names: Sequence[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{file}: column '{twice[0]}' is there twice: rename one")


def _joined(files: Sequence[str], tables: Sequence[Any]) -> Any:
    """One table of several with the same columns in the same order."""
    import pyarrow as pa

    schema = tables[0].schema
    for file, table in zip(files, tables, strict=True):
        if table.schema.equals(schema):
            continue
        try:
            schema = pa.unify_schemas([schema, table.schema], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise DataError(f"{file}: its columns differ in kind from {files[0]}: {first_line(error)}") from error
    return pa.concat_tables(tables, promote_options="permissive")
