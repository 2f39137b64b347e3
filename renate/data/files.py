"""Tables in files: parquet, CSV, JSON, read by pyarrow; images inside parquet, decoded by
Pillow.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.data.base import Source
from renate.data.fingerprint import contents, expand, fingerprint
from renate.data.images.cache import decode, mapped
from renate.data.images.decode import VERSION
from renate.data.images.shapes import as_those_before
from renate.data.kept.fresh import check_unchanged, unread
from renate.data.kept.reading import check_test_size
from renate.data.table import File, Readable, Table
from renate.data.tables.choice import ColumnChoice, check_names
from renate.data.tables.columns import is_image, to_numpy
from renate.data.tables.exact import float32
from renate.data.tables.matching import target_kind_of
from renate.data.tables.parquet import Read
from renate.data.tables.read import joined, read_files
from renate.data.tables.standardize import Standardize
from renate.data.tables.targets import of_arrow
from renate.data.tables.values import Places, is_numeric, no_numbers, numbers, spread
from renate.errors import ConfigError, DataError
from renate.state.trained import AGAIN

Paths = str | Sequence[str]


@dataclass(kw_only=True)
class Files(Source):
    """Files whose suffix says what they are: parquet, csv, json or jsonl.

    Numeric columns become one float32 vector per example; one column of encoded images becomes
    uint8 [C, H, W].

    Args:
        train: A path, a glob, or a list of them; also URLs such as s3://bucket/new/*.parquet.
        test: The same, or name -> such, each a column of the accuracy matrix; null holds
            `test_size` of `train` out.
        test_size: The fraction that is held out where `test` is null, the same for every seed.
        target: The column to predict, or several.
        inputs: The columns to predict from; null takes all others, less what a writer kept as an
            index.
        image_size: [height, width] to resize images to; null takes them as they are, all of one
            size.
        cache_dir: Where decoded images are kept; null is ~/.cache/renate.
        standardize: Whether numeric columns are brought to mean 0 and deviation 1, as those of the
            first update's training examples; the scales are kept in the version.
        seen: `new` trains on files that no earlier version has trained on, `again` on all.
    """

    train: Paths
    test: Paths | Mapping[str, Paths] | None
    test_size: float
    target: str | Sequence[str]
    inputs: Sequence[str] | None
    image_size: Sequence[int] | None
    cache_dir: str | None
    standardize: bool = False  # not given by configs of before
    seen: str = AGAIN  # the same

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.standardize:
            self.encoder = Standardize()
        check_test_size(self.test, self.test_size)
        # a column may be named by a number
        several = isinstance(self.target, Sequence) and not isinstance(self.target, str)
        if several:
            self.target = [str(name) for name in self.target]
        else:
            self.target = str(self.target)

        if not self.target:
            raise ConfigError("data.target=[]: name the column to predict, or several")
        if len(set(self.targets)) < len(self.targets):
            raise ConfigError(f"data.target={self.target} names a column twice")
        if isinstance(self.inputs, str | int):
            raise ConfigError(
                f"data.inputs={self.inputs}: expected a list of columns, as [{self.inputs}]"
            )

        if self.inputs is not None:
            self.inputs = [str(name) for name in self.inputs]
            if not self.inputs:
                raise ConfigError(
                    "data.inputs=[]: name a column, or give null for all but data.target"
                )

        both = [name for name in self.inputs or [] if name in self.targets]
        if both:
            raise ConfigError(
                f"data.inputs={list(self.inputs or [])} holds data.target={both[0]}: take it out"
            )

        size = self.image_size
        if size is not None and (not isinstance(size, Sequence) or len(size) != 2 or min(size) < 1):
            raise ConfigError(f"data.image_size={size}: expected [height, width], both 1 or more")

    @property
    def targets(self) -> list[str]:
        """The columns to predict."""
        return [self.target] if isinstance(self.target, str) else list(self.target)

    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        """Read all files, and match the columns of the test files to those of `train`.

        Raises:
            DataError: No such file, or one that can't be read, lacks a column, or holds what can't
                be used.
            ConfigError: `target` or `inputs` aren't those of the state.
        """
        train = expand(self.train, "data.train")
        before = dict(zip(train, contents(train, self._cache), strict=True))
        named: Mapping[str, Paths] = {}
        if self.test is not None:
            named = self.test if isinstance(self.test, Mapping) else {"test": self.test}

        tests = {str(name): expand(paths, "data.test") for name, paths in named.items()}
        skipped = unread(before, self.trained, needed=self.test is None)
        train = [file for file in train if file not in skipped]
        # together, so that a column of CSV is text in all of them or in none
        files = list(dict.fromkeys([*train, *chain(*tests.values())]))
        reads = read_files(files).items()
        found = {
            file: read._replace(table=spread(file, read.table, but=self.targets))
            for file, read in reads
        }
        table = self._table(train, found)._replace(skipped=tuple(skipped.values()))
        check_unchanged(table.files, before)
        if self.test is None:
            return table, self.test_size

        return table, {name: self._table(files, found, like=table) for name, files in tests.items()}

    def _table(
        self, files: list[str], found: Mapping[str, Read], like: Table | None = None
    ) -> Table:
        """Tables whose columns are matched by name to the state's, else to those of `like`, else
        the first.
        """
        reads = [found[file] for file in files]
        for file, read in zip(files, reads, strict=True):
            check_names(file, read.table.column_names)

        choice = ColumnChoice(self.targets, self.inputs, self.known)
        columns = like.columns if like is not None else None
        wanted, origin = choice.wanted(reads[0].table, files[0], columns)
        decoded = self._decoded(files, reads, wanted)
        notes: list[str] = []
        for file, read in zip(files, reads, strict=True):
            notes += choice.check(file, read, wanted, origin, decoded is not None)

        names = list(wanted)
        parts = [read.table.select([*names, *self.targets]) for read in reads]
        whole = joined(files, parts)
        kept = tuple(
            File(file, part.num_rows, content, found[file].sha256)
            for file, part, content in zip(files, parts, contents(files, self._cache), strict=True)
        )
        places = Places(files, [part.num_rows for part in parts])
        targets, target_names, where = self._targets(whole, places)
        images = [name for name in names if is_image(whole.column(name).type)]

        if images and len(names) > 1:
            raise DataError(
                f"{files[0]}: column '{images[0]}' holds images: data.inputs=['{images[0]}'] uses "
                "it alone"
            )

        if images:
            inputs = self._images(files, reads, images[0]) if decoded is None else decoded
            where = f"{files[0]}: column '{images[0]}'"
            inputs, said = self._of_the_shape_before(inputs, like, where)
            notes += said
        else:
            inputs = self._vectors(whole.select(names), places)

        kind = target_kind_of(whole.schema.field(self.targets[0]).type)

        return Table(
            inputs,
            targets,
            columns=tuple(wanted.items()),
            files=kept,
            target=", ".join(self.targets),
            target_kind=kind,
            notes=tuple(dict.fromkeys(notes)),
            where=where,
            target_names=target_names,
        )

    def _of_the_shape_before(
        self, images: Tensor, like: Table | None, where: str
    ) -> tuple[Tensor, list[str]]:
        """Images as the state's are, else as those of `like`, and what was done to them."""
        is_test = like is not None
        if self.known is not None:
            return as_those_before(images, self.known.shape, "the state", where, is_test=is_test)

        shape = None
        if like is not None:
            shape = like.inputs.shape[1:]

        return as_those_before(images, shape, "data.train", where, is_test=is_test)

    @property
    def _cache(self) -> Path:
        return Path(self.cache_dir or "~/.cache/renate").expanduser()

    def _targets(
        self, table: Any, places: "Places"
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

    def _vectors(self, table: Any, places: "Places") -> Tensor:
        """Return float32 [N, C], a column after the other."""
        bad = [name for name in table.column_names if not is_numeric(table.column(name).type)]
        if bad:
            good = [name for name in table.column_names if name not in bad]
            raise DataError(no_numbers(table.column(bad[0]), bad[0], good, places))

        vectors = np.empty((table.num_rows, table.num_columns), np.float32)
        for index, name in enumerate(table.column_names):
            column = numbers(table.column(name), name, places)
            vectors[:, index] = float32(to_numpy(column), f"{places.title}: column '{name}'")

        return torch.from_numpy(vectors)

    def _decoded(
        self, files: list[str], reads: list[Read], wanted: Mapping[str, str]
    ) -> Tensor | None:
        """The images of these files as they were decoded before, if they were."""
        name = next(iter(wanted))
        if list(wanted.values()) != ["image"] or any(
            name not in read.table.column_names for read in reads
        ):
            return None

        path = self._place_of(files, name)
        for read in reads:
            if name in read.unread:
                # Or the path would be that of other content than was read
                read.unread[name].check()

        return mapped(path, sum(read.table.num_rows for read in reads), self._size)

    def _images(self, files: list[str], reads: list[Read], name: str) -> Tensor:
        columns = [
            (f"{file}: column '{name}'", read.column(name))
            for file, read in zip(files, reads, strict=True)
        ]
        return decode(columns, self._place_of(files, name), self._size, self.show)

    @property
    def _size(self) -> tuple[int, ...] | None:
        return tuple(self.image_size) if self.image_size is not None else None

    def _place_of(self, files: list[str], name: str) -> Path:
        """Where decoded images are kept, by all that decides the pixels: content, column, size,
        and what decodes.
        """
        import PIL

        key = json.dumps(
            [fingerprint([files], self._cache), name, self._size, VERSION, PIL.__version__]
        )
        return self._cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
