"""Tables in files: parquet, CSV and JSON by pyarrow, images inside parquet by Pillow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from renate.data.base import Source
from renate.data.fingerprint import contents
from renate.data.images.column import ImageColumn
from renate.data.images.rules import ImageRules
from renate.data.kept.encoders import KeptEncoder, target_of
from renate.data.kept.fresh import check_unchanged
from renate.data.kept.reading import check_test_size
from renate.data.kept.trained import AGAIN
from renate.data.mapped.numbers import mapped_vectors, read_by_parts
from renate.data.named.found import found_files
from renate.data.named.rows import check_target
from renate.data.table import File, Readable, Table
from renate.data.tables.choice import ColumnChoice, check_names
from renate.data.tables.csv_files.dialect import Dialect
from renate.data.tables.encoding.encoder import TableEncoder
from renate.data.tables.encoding.raw import RawTables, check_filled
from renate.data.tables.matching import target_kind_of
from renate.data.tables.parquet import Read
from renate.data.tables.read import joined, read_files
from renate.data.tables.roles.marks import marks_of
from renate.data.tables.roles.roles import Roles
from renate.data.tables.standardize import Standardize
from renate.data.tables.values import Places, spread, vectors
from renate.errors import ConfigError

Paths = str | Sequence[str]


@dataclass(kw_only=True)
class Files(Source):
    """Files whose suffix says what they are: parquet, csv, json or jsonl, the last three also
    packed by gzip.

    Numbers and booleans of which none is missing become one float32 vector per example, as they
    are; one column of encoded images becomes uint8 [C, H, W]. Any other table goes through a
    `TableEncoder`, which is fitted at the first update and kept in the version.

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
        image_fit: How an image of another shape gets to `image_size`: `stretch`, `crop` or `pad`.
        standardize: Whether numeric columns are brought to mean 0 and deviation 1, as those of the
            first update's training examples; the scales are kept in the version. Null does so
            where there is a `TableEncoder`.
        missing: See `Rules`, as the next four.
        missing_target: What becomes of rows without a target: `error`, or `drop`.
        csv: See `Dialect`.
        weight: The column of each example's weight in the loss, 0 or more; null weighs all alike.
        task_id: The column of 0, 1, 2, …: which of the model's heads an example is of.
        key: The columns that say what an example is, and so on which side of the hold-out; null
            takes all inputs.
        group: The columns of whose equal values all examples stay on one side.
        time: The column by which the newest examples are held out.
        seen: `new` trains on files that no earlier version has trained on, `again` on all.
        tokenizer: See `Rules`, as the next three.
        hub: The Hub's data set that the files come from, for who hasn't got them.
        max_ram: Bytes of numbers, or of decoded images, that still lie in memory; more lie in
            mapped files in `cache_dir`. Null is no bound.
    """

    train: Paths
    test: Paths | Mapping[str, Paths] | None
    test_size: float
    target: str | Sequence[str]
    inputs: Sequence[str] | None
    image_size: Sequence[int] | None
    cache_dir: str | None
    # What follows isn't given by configs of before
    image_fit: str = "stretch"
    standardize: bool | None = False
    missing: str = "auto"
    unseen: str = "other"
    categories: str = "one_hot"
    max_categories: int = 100
    kinds: Mapping[str, str] | None = None
    missing_target: str = "error"
    csv: Mapping[str, Any] | None = None
    weight: str | None = None
    task_id: str | None = None
    key: str | Sequence[str] | None = None
    group: str | Sequence[str] | None = None
    time: str | None = None
    seen: str = AGAIN
    tokenizer: str | None = None
    vocab_size: int = 8000
    lowercase: bool = True
    max_length: int = 256
    hub: str | None = None
    max_ram: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        marks = {key: getattr(self, key) for key in ("weight", "task_id", "key", "group", "time")}
        self.roles = Roles.of(self.target, self.inputs, marks)
        self.dialect = Dialect.of(self.csv)
        table_encoder = self._table_encoder()
        if self.missing in ("median", "flag") or self.categories == "embed":
            self.encoder = table_encoder
        elif self.standardize:
            self.encoder = Standardize()

        check_test_size(self.test, self.test_size)
        if self.missing_target not in ("error", "drop"):
            raise ConfigError(f"data.missing_target={self.missing_target}: expected error or drop")

        self.rules = ImageRules(self.image_size, self.image_fit)

    def _table_encoder(self) -> TableEncoder:
        return TableEncoder(
            missing=self.missing,
            unseen=self.unseen,
            categories=self.categories,
            max_categories=self.max_categories,
            standardize=True if self.standardize is None else self.standardize,
            kinds=None if self.kinds is None else {str(k): v for k, v in self.kinds.items()},
            tokenizer=self.tokenizer,
            vocab_size=self.vocab_size,
            lowercase=self.lowercase,
            max_length=self.max_length,
        )

    def take_up(self, known: KeptEncoder | None) -> None:
        """Let the encoder be the state's; only at a first update data say whether there is one."""
        if known is not None and known.target == target_of(self._table_encoder()):
            self.encoder = self._table_encoder()
        super().take_up(known)

    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        """Read all files, and match the columns of the test files to those of `train`.

        Raises:
            DataError: No such file, or one that can't be read or used, or lacks a column.
            ConfigError: `target` or `inputs` aren't those of the state.
        """
        check_target(", ".join(self.roles.targets), self.known.target if self.known else None)
        named = found_files(
            self.train, self.test, self._cache, self.trained, copies=self.seen == AGAIN
        )
        # together, so that a column of CSV is text in all of them or in none
        found = self._by_parts(named.all)
        if found is None:
            found = {
                file: read._replace(table=spread(file, read.table, but=self.roles.targets))
                for file, read in read_files(named.all, self.dialect, self._spelt).items()
            }

        table = self._table(named.train, found)._replace(skipped=named.skipped)
        check_unchanged(table.files, named.contents)
        if isinstance(self.encoder, TableEncoder):
            self.encoder.scratch = self.scratch

        table = table.noted(named.notes)
        if self.test is None:
            return table, self.test_size

        return table, {
            name: self._table(files, found, like=table).noted(named.test_notes[name])
            for name, files in named.tests.items()
        }

    def _by_parts(self, files: list[str]) -> dict[str, Read] | None:
        """What was read of the files, their numbers still there; None where they are read whole."""
        encoded = isinstance(self.encoder, TableEncoder) or self.kinds
        if self.scratch is None or encoded or self.missing_target == "drop":
            return None

        found = read_by_parts(files, self.dialect, self.roles, self.scratch)
        if found is None or not self.first or self.missing == "error":
            return found

        # Values that are missing are flagged by an encoder, which takes whole columns
        columns = chain(*(read.unread.values() for read in found.values()))
        return None if any(column.lacks_some for column in columns) else found

    @property
    def _spelt(self) -> set[str]:
        """Columns of CSV that stay as they are spelt: what they hold is known."""
        stored = self.encoder.stored if isinstance(self.encoder, TableEncoder) else ()
        asked = {str(k) for k, kind in (self.kinds or {}).items() if kind in ("category", "text")}
        return asked | {name for name, kind in stored if kind == "text"}

    def _marks(self, reads: Sequence[Read], places: Places, *, all_there: bool) -> Any:
        asked = self.roles.marks
        if not all_there:  # when test examples were says in which chunk they are measured
            asked = {key: names for key, names in asked.items() if key in ("time", "task_id")}
        return marks_of(reads, places, asked, self.dialect.date_format, all_there=all_there)

    def _table(
        self, files: list[str], found: Mapping[str, Read], like: Table | None = None
    ) -> Table:
        """Tables whose columns are matched by name to the state's, else to those of `like`, else
        the first.
        """
        reads = [found[file] for file in files]
        for file, read in zip(files, reads, strict=True):
            check_names(file, read.table.column_names)

        wanted, notes = self._matched(files, reads, like)
        images = ImageColumn(self.rules, self._cache, self.show)
        decoded = images.decoded(files, reads, wanted)
        reads, kept, said = self.roles.with_targets(
            files, reads, drop=self.missing_target == "drop"
        )
        notes += said

        rows = [read.table.num_rows for read in reads]
        places = Places(files, rows, kept)
        raw = RawTables(reads, places, self.dialect.date_format)
        made = self._table_encoder()
        if like is None and self.first and raw.are_encoded(wanted, self.encoder, made):
            self.encoder = made
        if decoded is None and not raw.are_filled(wanted):  # what was decoded had no empty value
            self._check_filled(files, reads, list(wanted))

        hashed = [read.sha256 for read in reads]
        whole = joined(files, [read.table.select(self.roles.targets) for read in reads])
        targets, target_names, where = self.roles.target_values(whole, places)
        inputs: Any
        if "image" in wanted.values():
            where, inputs, said = images.read(files, reads, wanted, decoded, self.known, like)
            notes += said
        elif isinstance(self.encoder, TableEncoder):
            inputs = raw.cells(self.encoder)
        else:
            inputs = self._vectors(reads, places, list(wanted))

        marks = self._marks(raw.reads, places, all_there=like is None)

        return Table(
            inputs,
            targets,
            columns=tuple(wanted.items()),
            files=tuple(map(File, files, rows, contents(files, self._cache), hashed)),
            target=", ".join(self.roles.targets),
            target_kind=target_kind_of(whole.schema.field(self.roles.targets[0]).type),
            notes=tuple(dict.fromkeys(notes)),
            where=where,
            target_names=target_names,
            kept=kept,
            **marks,
        )

    def _vectors(self, reads: list[Read], places: Places, names: list[str]) -> torch.Tensor:
        """Columns of numbers, float32 [N, C], in memory or mapped."""
        if self.scratch is not None and reads[0].unread:
            return mapped_vectors(reads, places, names, self.scratch)

        tables = [read.table.select(names) for read in reads]
        return torch.from_numpy(vectors(joined(places.files, tables), places))

    def _matched(
        self, files: list[str], reads: list[Read], like: Table | None
    ) -> tuple[dict[str, str], list[str]]:
        """name -> kind of the inputs, and what to say of the columns."""
        stored = None
        if isinstance(self.encoder, TableEncoder) and self.known is not None:
            stored = self.encoder.stored

        roles = self.roles
        choice = ColumnChoice(roles.targets, roles.inputs, roles.no_inputs, self.known, stored)
        columns = like.columns if like is not None else None
        wanted, origin = choice.wanted([read.table.schema for read in reads], files, columns)
        notes: list[str] = []
        for file, read in zip(files, reads, strict=True):
            notes += choice.check(file, read, wanted, origin)

        return wanted, notes

    def _check_filled(self, files: list[str], reads: list[Read], names: list[str]) -> None:
        remedy = "fill them or drop the rows"
        if isinstance(self.encoder, TableEncoder):
            if self.missing != "error":
                return
        elif not self.first:
            remedy += "; the state's first update had none, one with data.missing=flag is ready"

        for file, read in zip(files, reads, strict=True):
            check_filled(file, read, names, remedy)

    @property
    def _cache(self) -> Path:
        return Path(self.cache_dir or "~/.cache/renate").expanduser()
