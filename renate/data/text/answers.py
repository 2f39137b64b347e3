"""A tokenizer of prompts and of the answers that a model generates."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from renate.data.text.tokenizer import END, TOGETHER, Tokenizer, check_texts
from renate.errors import ConfigError, nearest

# What ends a text is called where the config doesn't say it, in the order of how many use it.
ENDS = ("<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|im_end|>", "<|eot_id|>", END)
ENDINGS_SHOWN = 5


class AnswerTokenizer(Tokenizer):
    """Cuts prompts and answers into tokens, each by itself, so that what an answer's tokens are
    doesn't depend on its prompt.

    A prompt has the special tokens that the tokenizer gives a text, and loses its beginning where
    it is too long: its end lies next to the answer. An answer has none but the one that ends it.

    Args:
        tokenizer: See `Tokenizer`, as the next three.
        vocab_size: See there.
        lowercase: See there.
        max_length: Tokens of a prompt and its answer together.
        max_answer: Tokens of an answer, the one that ends it included.
        end: The token that ends an answer; None takes the tokenizer's own.

    Attributes:
        cut_answers: How many answers the last call has cut.
    """

    def __init__(
        self,
        tokenizer: str | None,
        vocab_size: int,
        lowercase: bool,
        max_length: int,
        *,
        max_answer: int,
        end: str | None,
    ) -> None:
        super().__init__(tokenizer, vocab_size, lowercase, max_length)
        if not 1 <= max_answer < max_length:
            raise ConfigError(
                f"data.max_answer={max_answer}: expected 1 to less than "
                f"data.max_length={max_length}, of which it leaves the rest to the prompt"
            )
        self.max_answer = max_answer
        self.end = end
        self.cut_answers = 0
        self._end_id: int | None = None

    @property
    def facts(self) -> dict[str, int]:
        """Those of every tokenizer, with `max_answer` and `end_id`.

        Raises:
            ConfigError: It has no token that ends a text.
        """
        return super().facts | {"max_answer": self.max_answer, "end_id": self.end_id}

    @property
    def end_id(self) -> int:
        """The id of the token that ends an answer.

        Raises:
            ConfigError: There is none.
        """
        if self._end_id is None:
            self._end_id = self._found_end()
        return self._end_id

    def _found_end(self) -> int:
        vocabulary: dict[str, int] = self._ready().get_vocab(with_added_tokens=True)
        if self.end is not None:
            if self.end not in vocabulary:
                special = [
                    each.content for each in self._ready().get_added_tokens_decoder().values()
                ]
                raise ConfigError(
                    f"data.end={self.end}: the tokenizer has no such token"
                    f"{nearest(self.end, special)} ({', '.join(special[:ENDINGS_SHOWN])})"
                )
            return vocabulary[self.end]

        for name in ENDS:
            if name in vocabulary:
                return vocabulary[name]
        raise ConfigError(
            "data.end=null: the tokenizer has none of the tokens that usually end a text "
            f"({', '.join(ENDS)}): name the one that does"
        )

    def prompt_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each prompt's tokens, of those that are too long the last ones.

        Raises:
            DataError: One of them is no text.
        """
        check_texts(texts)
        self.truncated = 0
        with self._cutting(self.max_length - self.max_answer) as ready:
            found: list[list[int]] = []
            for begin in range(0, len(texts), TOGETHER):
                for encoding in ready.encode_batch(list(texts[begin : begin + TOGETHER])):
                    self.truncated += bool(encoding.overflowing)
                    found.append(encoding.ids)

        return found

    def answer_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each answer's tokens, and of the one that ends it; of those that are
        too long the first `max_answer`, which have no end.

        Raises:
            DataError: One of them is no text.
        """
        check_texts(texts)
        self.cut_answers = 0
        end = self.end_id
        found: list[list[int]] = []
        with self._cutting(None) as ready:
            for begin in range(0, len(texts), TOGETHER):
                part = list(texts[begin : begin + TOGETHER])
                for encoding in ready.encode_batch_fast(part, add_special_tokens=False):
                    ids = [*encoding.ids, end]
                    self.cut_answers += len(ids) > self.max_answer
                    found.append(ids[: self.max_answer])

        return found

    def texts_of(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """Return the text of each row of ids, up to the token that ends it."""
        end = self.end_id
        parts = [list(row[: row.index(end)] if end in row else row) for row in rows]
        texts: list[str] = self._ready().decode_batch(parts, skip_special_tokens=True)
        if self.tokenizer is not None:
            return texts
        # One that is trained here puts a space before each text
        return [text.removeprefix(" ") for text in texts]

    @contextmanager
    def _cutting(self, length: int | None) -> Iterator[Any]:
        """Let the tokenizer cut texts at their beginning, or not at all, for a while."""
        ready = self._ready()
        if length is None:
            ready.no_truncation()
        else:
            ready.enable_truncation(length, direction="left")
        try:
            yield ready
        finally:
            ready.enable_truncation(self.max_length)
