"""Texts in tables: one column of text, or several, and a target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from renate.data.base import Data, Known, Source
from renate.data.kept.reading import check_test_size
from renate.data.kept.trained import AGAIN
from renate.data.named.rows import Paths, Rows
from renate.data.table import Readable, Table
from renate.data.tables.csv_files.dialect import Dialect
from renate.data.tables.roles.marks import marks_of
from renate.data.tables.roles.roles import Roles
from renate.data.text.encoder import TextEncoder
from renate.data.text.read import check_texts, read_texts
from renate.errors import ConfigError
from renate.problems.base import Problem


@dataclass(kw_only=True)
class Texts(Source):
    """Texts in files whose suffix says what they are: parquet, csv, json or jsonl.

    They are cut into tokens once, when they are read; a batch is padded to its longest text.

    Args:
        train: A path, a glob, or a list of them; also URLs such as s3://bucket/new/*.parquet.
        test: The same, or name -> such; null holds `test_size` of `train` out.
        test_size: The fraction that is held out where `test` is null, the same for every seed.
        text: The column of texts, or several, which are read one after the other.
        target: The column to predict.
        tokenizer: A folder that transformers has saved, a tokenizer.json or a name of the Hub; null
            trains one on the first update's texts. Either is kept in the version.
        vocab_size: Tokens at most of one that is trained here.
        lowercase: Whether capitals are small ones in one that is trained here.
        max_length: Tokens that are kept of each example.
        csv: See `Dialect`.
        seen: `new` trains on files that no earlier version has trained on, `again` on all.
        weight: The column of each example's weight in the loss, 0 or more; null weighs all alike.
        key: The columns that say what an example is, and so on which side of the hold-out; null
            takes the texts.
        group: The columns of whose equal values all examples stay on one side.
        time: The column by which the newest examples are held out.
    """

    train: Paths
    test: Paths | Mapping[str, Paths] | None
    test_size: float
    text: Paths
    target: str
    tokenizer: str | None
    vocab_size: int
    lowercase: bool
    max_length: int
    csv: Mapping[str, Any] | None = None
    seen: str = AGAIN
    weight: str | None = None
    key: str | Sequence[str] | None = None
    group: str | Sequence[str] | None = None
    time: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        marks = {key: getattr(self, key) for key in ("weight", "key", "group", "time")}
        self.marks = Roles.of(self.target, None, marks).marks
        check_test_size(self.test, self.test_size)
        self.dialect = Dialect.of(self.csv)
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
        return read_texts(self, self.columns, self.seen == AGAIN, self._table)

    def _table(self, rows: Rows, marks: Mapping[str, list[str]], is_test: bool) -> Table:
        check_texts(rows, self.columns)
        whole = rows.whole
        texts = {name: whole.column(name).to_pylist() for name in self.columns}

        return Table(
            texts if len(texts) > 1 else texts[self.columns[0]],
            rows.targets(),
            files=rows.kept(None),
            target=self.target,
            target_kind=rows.target_kind,
            where=rows.where,
            notes=rows.notes,
            skipped=rows.skipped,
            **marks_of(
                rows.reads,
                rows.places,
                marks,
                self.dialect.date_format,
                all_there=not is_test,
            ),
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
        if self.texts.cut:
            data.notes.append(
                f"data.text={self.text}: {self.texts.cut:,} of {self.texts.encoded:,} examples are "
                f"longer than data.max_length={self.max_length} tokens, and cut there"
            )

        return data
