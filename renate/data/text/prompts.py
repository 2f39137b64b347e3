"""Prompts and answers in tables: what a causal language model learns to generate."""

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
from renate.data.text.prompt_encoder import PromptEncoder
from renate.data.text.read import check_texts, read_texts
from renate.errors import ConfigError
from renate.problems.base import Problem


@dataclass(kw_only=True)
class Prompts(Source):
    """Prompts and answers in files whose suffix says what they are: parquet, csv, json or jsonl.

    They are cut into tokens once, when they are read; a batch is padded to its longest example.

    Args:
        train: A path, a glob, or a list of them; also URLs such as s3://bucket/new/*.parquet.
        test: The same, or name -> such; null holds `test_size` of `train` out.
        test_size: The fraction that is held out where `test` is null, the same for every seed.
        prompt: The column of prompts.
        target: The column of answers.
        tokenizer: A folder that transformers has saved, a tokenizer.json or a name of the Hub; null
            trains one on the first update's texts. Either is kept in the version.
        vocab_size: Tokens at most of one that is trained here.
        lowercase: Whether capitals are small ones in one that is trained here.
        max_length: Tokens of a prompt and its answer; a prompt that is too long loses its
            beginning.
        max_answer: Tokens of an answer, the one that ends it included, of `max_length`.
        end: The token that ends an answer; null takes the tokenizer's own.
        csv: See `Dialect`.
        seen: `new` trains on files that no earlier version has trained on, `again` on all.
        key: The columns that say what an example is, and so on which side of the hold-out; null
            takes the prompt.
        group: The columns of whose equal values all examples stay on one side.
        time: The column by which the newest examples are held out.
    """

    train: Paths
    test: Paths | Mapping[str, Paths] | None
    test_size: float
    prompt: str
    target: str
    tokenizer: str | None
    vocab_size: int
    lowercase: bool
    max_length: int
    max_answer: int
    end: str | None
    csv: Mapping[str, Any] | None = None
    seen: str = AGAIN
    key: str | Sequence[str] | None = None
    group: str | Sequence[str] | None = None
    time: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        marks = {key: getattr(self, key) for key in ("key", "group", "time")}
        self.marks = Roles.of(self.target, None, marks).marks
        check_test_size(self.test, self.test_size)
        self.dialect = Dialect.of(self.csv)
        self.prompt = str(self.prompt)
        self.target = str(self.target)
        if self.target == self.prompt:
            raise ConfigError(f"data.prompt={self.prompt} is data.target: expected two columns")

        self.prompts = PromptEncoder(
            prompt=self.prompt,
            answer=self.target,
            tokenizer=self.tokenizer,
            vocab_size=self.vocab_size,
            lowercase=self.lowercase,
            max_length=self.max_length,
            max_answer=self.max_answer,
            end=self.end,
        )
        self.encoder = self.prompts

    def read(self) -> tuple[Readable, Mapping[str, Readable] | float]:
        """Read the columns of prompts and answers.

        Raises:
            DataError: No such file, or one that can't be read, lacks a column, or holds what isn't
                text.
            ConfigError: `target` isn't that of the state.
        """
        return read_texts(self, [self.prompt], self.seen == AGAIN, self._table)

    def _table(self, rows: Rows, marks: Mapping[str, list[str]], is_test: bool) -> Table:
        check_texts(rows, (self.prompt, self.target))
        whole = rows.whole
        texts = {name: whole.column(name).to_pylist() for name in (self.prompt, self.target)}
        # One prompt, with two answers, on both sides of the hold-out would be known beforehand
        told: dict[str, Any] = {"identity": {self.prompt: texts[self.prompt]}}
        written = self.dialect.date_format
        told |= marks_of(rows.reads, rows.places, marks, written, all_there=not is_test)

        return Table(
            texts,
            rows.targets(),
            files=rows.kept(None),
            target=self.target,
            target_kind=rows.target_kind,
            where=rows.where,
            notes=rows.notes,
            skipped=rows.skipped,
            **told,
        )

    def load(
        self,
        *,
        seed: int,
        known: Known | None = None,
        problem: Problem | None = None,
        training: bool = True,
    ) -> Data:
        """Load as every source does, and say what was too long.

        Raises:
            ConfigError: What is predicted isn't a text that is generated: its inputs would hold the
                answers.
        """
        asked = known.problem if known else problem
        if asked is None or not asked.generates:
            found = "auto" if asked is None else asked.name
            raise ConfigError(
                f"problem={found}: data=prompts has texts to generate, problem=next_token; "
                "data=text has texts to classify"
            )

        self.prompts.encoded = 0
        self.prompts.cut_prompts = 0
        self.prompts.cut_answers = 0
        data = super().load(seed=seed, known=known, problem=problem, training=training)
        data.notes += self._cut()
        return data

    def _cut(self) -> list[str]:
        """What to say of texts that are too long."""
        notes = []
        kept = self.max_length - self.max_answer
        whole = f"of {self.prompts.encoded:,} examples"
        if self.prompts.cut_prompts:
            notes.append(
                f"data.prompt={self.prompt}: {self.prompts.cut_prompts:,} {whole} are longer than "
                f"the {kept} tokens that data.max_length={self.max_length} leaves beside "
                f"data.max_answer={self.max_answer}: their beginning is cut"
            )
        if self.prompts.cut_answers:
            notes.append(
                f"data.target={self.target}: {self.prompts.cut_answers:,} {whole} are longer than "
                f"data.max_answer={self.max_answer} tokens: their end is cut, and none of these is "
                "ever an exact match"
            )
        return notes
