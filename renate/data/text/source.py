"""Texts in tables: one column of text, or a pair, and a target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from renate.data.base import Data, Known, Source
from renate.data.fingerprint import contents, expand
from renate.data.kept.reading import check_test_size
from renate.data.table import File, Readable, Table
from renate.data.tables.choice import check_names
from renate.data.tables.columns import is_text
from renate.data.tables.matching import target_kind_of
from renate.data.tables.parquet import Read
from renate.data.tables.read import empty_values, joined, read_files
from renate.data.tables.targets import of_arrow
from renate.data.tables.values import Places
from renate.data.text.encoder import TextEncoder
from renate.errors import ConfigError, DataError, nearest
from renate.problems.base import Problem

Paths = str | Sequence[str]


@dataclass(kw_only=True)
class Texts(Source):
    """Texts in files whose suffix says what they are: parquet, csv, json or jsonl.

    They are cut into tokens once, when they are read; a batch is padded to its longest text.

    Args:
        train: A path, a glob, or a list of them; also URLs such as s3://bucket/new/*.parquet.
        test: The same, or name -> such; null holds `test_size` of `train` out.
        test_size: The fraction that is held out where `test` is null, the same for every seed.
        text: The column of texts, or two of them, which are read as a pair.
        target: The column to predict.
        tokenizer: A folder that transformers has saved, a tokenizer.json or a name of the Hub; null
            trains one on the first update's texts. Either is kept in the version.
        vocab_size: Tokens at most of one that is trained here.
        lowercase: Whether capitals are small ones in one that is trained here.
        max_length: Tokens that are kept of each example.
    """

    train: Paths
    test: Paths | Mapping[str, Paths] | None
    test_size: float
    text: Paths
    target: str
    tokenizer: Paths | None
    vocab_size: int
    lowercase: bool
    max_length: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_test_size(self.test, self.test_size)
        self.columns = list(self.text)
        if isinstance(self.text, str | int):
            self.columns = [str(self.text)]

        self.target = str(self.target)
        if self.target in self.columns:
            raise ConfigError(f"data.text={self.text} holds data.target={self.target}: take it out")

        self.texts = TextEncoder(
            texts=self.columns,
            tokenizer=self.tokenizer,
            vocab_size=self.vocab_size,
            lowercase=self.lowercase,
            max_length=self.max_length,
        )
        self.encoder = self.texts

    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        """Read the columns of text, and the target.

        Raises:
            DataError: No such file, or one that can't be read, lacks a column, or holds what isn't
                text.
            ConfigError: `target` isn't that of the state.
        """
        if self.known is not None and self.known.target not in (None, self.target):
            raise ConfigError(
                f"data.target={self.target}: the state's target is '{self.known.target}': rename "
                "the column, or start another state"
            )

        train = expand(self.train, "data.train")
        named: Mapping[str, Paths] = {}
        if self.test is not None:
            named = self.test if isinstance(self.test, Mapping) else {"test": self.test}
        tests = {str(name): expand(paths, "data.test") for name, paths in named.items()}

        # together, so that a column of CSV is text in all of them or in none
        found = read_files(list(dict.fromkeys([*train, *chain(*tests.values())])))
        table = self._table(train, found)
        if self.test is None:
            return table, self.test_size

        return table, {name: self._table(files, found) for name, files in tests.items()}

    def _table(self, files: list[str], found: Mapping[str, Read]) -> Table:
        for file in files:
            self._check(file, found[file].table)

        parts = [found[file].table.select([*self.columns, self.target]) for file in files]
        whole = joined(files, parts)
        rows = [part.num_rows for part in parts]
        hashes = contents(files, None)
        texts = {name: whole.column(name).to_pylist() for name in self.columns}
        where = f"{Places(files, rows).title}: column '{self.target}'"

        return Table(
            texts if len(texts) > 1 else texts[self.columns[0]],
            of_arrow(whole.column(self.target), where),
            files=tuple(map(File, files, rows, hashes)),
            target=self.target,
            target_kind=target_kind_of(whole.schema.field(self.target).type),
            where=where,
        )

    def _check(self, file: str, table: Any) -> None:
        """Check one file's columns.

        Raises:
            DataError: One is missing, is no text, or has empty values.
        """
        names = table.column_names
        check_names(file, names)
        for name in [*self.columns, self.target]:
            if name not in names:
                raise DataError(
                    f"{file}: no column '{name}'{nearest(name, names)} ({', '.join(names)})"
                )

        for name in self.columns:
            column = table.column(name)
            if table.num_rows and not is_text(column.type):
                texts = [other for other in names if is_text(table.column(other).type)]
                raise DataError(
                    f"{file}: column '{name}' is {column.type}, expected text; its columns of text "
                    f"are {texts}"
                )
            if column.null_count:
                row = column.is_null().index(True).as_py()
                raise DataError(
                    f"{file}: column '{name}' has {column.null_count} empty values, the first in "
                    f"row {row} (the first is 0): fill them or drop the rows"
                )

        if empty := empty_values(table.column(self.target)):
            raise DataError(
                f"{file}: column '{self.target}' has {empty} empty values: drop those rows"
            )

    def load(
        self,
        *,
        seed: int,
        known: Known | None = None,
        problem: Problem | None = None,
        training: bool = True,
    ) -> Data:
        """Load as every source does, and say what became of the texts."""
        self.texts.encoded = 0
        self.texts.cut = 0
        data = super().load(seed=seed, known=known, problem=problem, training=training)
        if known is None:
            data.notes.append(
                f"data.text={self.text}: a vocabulary of {self.texts.facts['vocab_size']:,} tokens"
            )
        if self.texts.cut:
            data.notes.append(
                f"data.text={self.text}: {self.texts.cut:,} of {self.texts.encoded:,} examples are "
                f"longer than data.max_length={self.max_length} tokens, and cut there"
            )

        return data
