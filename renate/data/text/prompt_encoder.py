"""Prompts, with their answers or without, as the ids that a causal language model takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch

from renate.data.base import Encoder
from renate.data.ragged import Ragged
from renate.data.tables.encoding.cells import CellError
from renate.data.text.answers import AnswerTokenizer
from renate.errors import DataError, nearest


@dataclass(kw_only=True)
class PromptEncoder(Encoder):
    """Two ragged inputs: `ids`, a prompt's tokens and then its answer's, and `types`, 0 for the
    former and 1 for the latter.

    Raw are prompts alone, a list or by name, which a model is to answer; or, by name, prompts and
    answers, from which it learns.

    Args:
        prompt: The column of prompts.
        answer: The column of answers.
        tokenizer: See `AnswerTokenizer`, as those that follow.
        vocab_size: See there.
        lowercase: See there.
        max_length: See there.
        max_answer: See there.
        end: See there.

    Attributes:
        encoded: How many examples were encoded so far.
        cut_prompts: How many prompts of them have lost their beginning.
        cut_answers: How many answers of them have lost their end.
    """

    prompt: str
    answer: str
    tokenizer: str | None
    vocab_size: int
    lowercase: bool
    max_length: int
    max_answer: int
    end: str | None
    encoded: int = field(default=0, init=False, compare=False)
    cut_prompts: int = field(default=0, init=False, compare=False)
    cut_answers: int = field(default=0, init=False, compare=False)

    def __post_init__(self) -> None:
        self.tokens = AnswerTokenizer(
            self.tokenizer,
            self.vocab_size,
            self.lowercase,
            self.max_length,
            max_answer=self.max_answer,
            end=self.end,
        )

    @property
    def raw_columns(self) -> dict[str, str]:
        """The prompts' name -> `text`: what is there when a model is to answer."""
        return {self.prompt: "text"}

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments; of another's tokenizer its name, wherever it lies."""
        return super().settings | {"tokenizer": self.tokens.name}

    @property
    def facts(self) -> dict[str, int]:
        """See `AnswerTokenizer.facts`."""
        return self.tokens.facts

    def fit(self, raw: Any) -> None:
        """Train the tokenizer on prompts and answers, or read another's."""
        prompts, answers = self._texts(raw)
        self.tokens.fit([*prompts, *(answers or [])])

    def encode(self, raw: Any) -> dict[str, Ragged]:
        """Return the ids of each example's tokens, and their types.

        Raises:
            DataError: What isn't text, other columns, or a prompt without a token.
        """
        texts, answers = self._texts(raw)
        prompts = self.tokens.prompt_ids(texts)
        for row, ids in enumerate(prompts):
            if not ids:
                raise CellError(
                    self.prompt,
                    row,
                    "is a text without a token, after which nothing can be said: drop that row, or "
                    "give it a beginning",
                )

        known: list[list[int]] = [[] for _ in prompts]
        if answers is not None:
            known = self.tokens.answer_ids(answers)
            self.cut_answers += self.tokens.cut_answers
        self.encoded += len(prompts)
        self.cut_prompts += self.tokens.truncated

        lengths = [len(p) + len(a) for p, a in zip(prompts, known, strict=True)]
        rows = list(zip(prompts, known, strict=True))
        tokens = chain.from_iterable(chain(p, a) for p, a in rows)
        types = chain.from_iterable(chain([0] * len(p), [1] * len(a)) for p, a in rows)
        padding = self.tokens.facts["padding_id"]

        return {"ids": _ragged(tokens, lengths, padding), "types": _ragged(types, lengths, 0)}

    def answer_ids(self, answers: Sequence[str]) -> list[list[int]]:
        """Return the ids of each answer's tokens, see `AnswerTokenizer.answer_ids`."""
        return self.tokens.answer_ids(answers)

    def texts_of(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each row of ids, see `AnswerTokenizer.texts_of`."""
        return self.tokens.texts_of(rows)

    def _texts(self, raw: Any) -> tuple[list[str], list[str] | None]:
        """Prompts, and answers where there are any."""
        if isinstance(raw, Mapping):
            if self.prompt not in raw:
                raise DataError(
                    f"no column '{self.prompt}'{nearest(self.prompt, raw)} "
                    f"({', '.join(map(str, raw))})"
                )
            answers = raw.get(self.answer)
            return list(raw[self.prompt]), None if answers is None else list(answers)

        if not isinstance(raw, list | tuple | np.ndarray):
            raise DataError(f"expected a list of prompts, found a {type(raw).__name__}")
        return list(raw), None

    def summary(self) -> list[str]:
        """Say how many tokens there are."""
        facts = self.facts
        made = "trained on the first update's texts"
        if self.tokenizer is not None:
            made = f"of {self.tokens.name}"

        return [
            f"inputs: '{self.prompt}', and '{self.answer}' of at most {self.max_answer} tokens, as "
            f"text, by a tokenizer of {facts['vocab_size']:,} tokens, {made}"
        ]

    def state(self) -> dict[str, Any]:
        """Return the tokenizer, see `Tokenizer.state`."""
        return self.tokens.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned.

        Raises:
            ValueError: It isn't that.
        """
        self.tokens.restore(state)


def _ragged(values: Any, lengths: Sequence[int], padding: int) -> Ragged:
    whole = torch.from_numpy(np.fromiter(values, np.int64, sum(lengths)))
    return Ragged.packed(whole, torch.tensor(lengths, dtype=torch.int64), padding)
