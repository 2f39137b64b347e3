"""Texts -> ids of tokens, by a tokenizer that was trained on them or by one that others made."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch

from renate.data.ragged import Ragged
from renate.data.text.pretrained import read_pretrained
from renate.data.text.several import Frame
from renate.errors import ConfigError, DataError
from renate.extras import load

# Of the tokenizer that is trained here. Padding first: ids of a batch are padded with 0.
PAD = "[PAD]"
BEGIN = "[CLS]"
END = "[SEP]"
SPECIAL = (PAD, BEGIN, END)
# Every byte has a token, so that no text is unknown.
LEAST_VOCABULARY = 256 + len(SPECIAL)
# Begin, end, the end of a pair, and some text between.
LEAST_LENGTH = 8
# Texts that are encoded together; their encodings take some hundred bytes a token.
TOGETHER = 8192


class Tokenizer:
    """Cuts texts into tokens, whose numbers are their ids.

    Without another's tokenizer it is byte-level byte-pair encoding (Radford et al., 2019, "Language
    models are unsupervised multitask learners", 2.2), trained once by `fit`, the same from the same
    texts: the pairs that come most often are tokens, and what is rare falls apart into bytes. A
    text lies between a token that begins and one that ends it; of a pair, the second text and what
    ends it are of type 1.

    Args:
        tokenizer: Another's: a folder that transformers has saved, a tokenizer.json, or a name of
            the Hub; None trains one.
        vocab_size: Of one that is trained here: tokens at most.
        lowercase: Of one that is trained here: whether capitals are small ones.
        max_length: Tokens that are kept of a text, or of a pair together, of which the longer one
            is cut first.

    Attributes:
        truncated: How many texts the last call to encode has cut.
    """

    def __init__(
        self, tokenizer: str | None, vocab_size: int, lowercase: bool, max_length: int
    ) -> None:
        if tokenizer is None and vocab_size < LEAST_VOCABULARY:
            raise ConfigError(
                f"data.vocab_size={vocab_size}: expected {LEAST_VOCABULARY} or more, one for "
                f"each byte and {len(SPECIAL)} of its own"
            )
        if max_length < LEAST_LENGTH:
            raise ConfigError(
                f"data.max_length={max_length}: expected {LEAST_LENGTH} or more tokens"
            )

        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.lowercase = lowercase
        self.max_length = max_length
        self.truncated = 0
        self._fitted: Any = None
        self._padding = 0

    @property
    def name(self) -> str | None:
        """What another's tokenizer is called, wherever it lies; None of one that is trained."""
        if self.tokenizer is None:
            return None
        return PurePosixPath(self.tokenizer).name

    @property
    def facts(self) -> dict[str, int]:
        """Of a fitted one: `vocab_size`, which no id reaches, `max_length`, and `padding_id`."""
        vocabulary = self._ready().get_vocab(with_added_tokens=True)
        return {
            "vocab_size": 1 + max(vocabulary.values()),
            "max_length": self.max_length,
            "padding_id": self._padding,
        }

    def fit(self, texts: Sequence[str]) -> None:
        """Train it, or read another's.

        Args:
            texts: Of the training examples; what another's was trained on is another matter.

        Raises:
            ConfigError: There is no such tokenizer, or a package is missing.
            DataError: One of the texts is none.
        """
        package = load("tokenizers", "hf", "data: a tokenizer of texts")
        if self.tokenizer is not None:
            content, self._padding = read_pretrained(self.tokenizer)
            self._take(content)
            return

        fresh = package.Tokenizer(package.models.BPE())
        steps = [package.normalizers.NFC()]
        if self.lowercase:
            steps.append(package.normalizers.Lowercase())
        fresh.normalizer = package.normalizers.Sequence(steps)
        fresh.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=True)
        fresh.decoder = package.decoders.ByteLevel()

        trainer = package.trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            special_tokens=list(SPECIAL),
            initial_alphabet=sorted(package.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        check_texts(texts)
        fresh.train_from_iterator(texts, trainer)
        fresh.post_processor = package.processors.TemplateProcessing(
            single=f"{BEGIN} $A {END}",
            pair=f"{BEGIN} $A {END} $B:1 {END}:1",
            special_tokens=[(token, SPECIAL.index(token)) for token in (BEGIN, END)],
        )
        self._padding = SPECIAL.index(PAD)
        self._take(fresh.to_str())

    def encode(self, texts: Sequence[str]) -> Ragged:
        """Return the ids of each text, int64, at most `max_length`.

        Raises:
            DataError: One of them is no text.
        """
        check_texts(texts)
        (ids,) = self._encoded(texts, ("ids",))
        return ids

    def encode_pairs(self, first: Sequence[str], second: Sequence[str]) -> tuple[Ragged, Ragged]:
        """Return the ids of each pair of texts, one after the other, and the type of each token: 0
        for the first text's, 1 for the second's; int64, at most `max_length`.

        Raises:
            DataError: One of them is no text.
        """
        check_texts(first)
        check_texts(second)
        ids, types = self._encoded(list(zip(first, second, strict=True)), ("ids", "type_ids"))
        return ids, types

    def encode_several(self, columns: Sequence[Sequence[str]]) -> tuple[Ragged, Ragged]:
        """Return the ids of the texts of each row, one after the other, and which text each token
        is of, from 0; int64, at most `max_length`. Two are a pair.

        Args:
            columns: Two or more, as long as each other.

        Raises:
            DataError: One of them is no text.
            ConfigError: `max_length` is too short for so many.
        """
        if len(columns) == 2:
            return self.encode_pairs(*columns)

        for texts in columns:
            check_texts(texts)

        ready = self._ready()
        frame = Frame.of(ready)
        frame.room(len(columns), self.max_length)
        self.truncated = 0
        ids: list[np.ndarray[Any, Any]] = [np.empty(0, np.int64)]
        types = [*ids]
        for start in range(0, len(columns[0]), TOGETHER):
            parts = [list(texts[start : start + TOGETHER]) for texts in columns]
            alone = [
                [found.ids for found in ready.encode_batch_fast(part, add_special_tokens=False)]
                for part in parts
            ]
            for row_ids, row_types, is_cut in frame.rows(alone, self.max_length):
                ids.append(row_ids)
                types.append(row_types)
                self.truncated += is_cut

        lengths = torch.tensor([len(row) for row in ids[1:]], dtype=torch.int64)
        together = [torch.from_numpy(np.concatenate(rows)) for rows in (ids, types)]
        return (
            Ragged.packed(together[0], lengths, self._padding),
            Ragged.packed(together[1], lengths, 0),
        )

    def _encoded(self, texts: Sequence[Any], fields: Sequence[str]) -> list[Ragged]:
        self.truncated = 0
        found: dict[str, list[np.ndarray[Any, Any]]] = {field: [] for field in fields}
        lengths: list[int] = []

        for encodings in self._batches(texts):
            lengths += [len(encoding) for encoding in encodings]
            self.truncated += sum(bool(encoding.overflowing) for encoding in encodings)
            for field, parts in found.items():
                values = chain.from_iterable(getattr(encoding, field) for encoding in encodings)
                parts.append(np.fromiter(values, np.int64))

        return [
            Ragged.packed(
                torch.from_numpy(np.concatenate([np.empty(0, np.int64), *parts])),
                torch.tensor(lengths, dtype=torch.int64),
                self._padding if field == "ids" else 0,
            )
            for field, parts in found.items()
        ]

    def _batches(self, texts: Sequence[Any]) -> Iterator[list[Any]]:
        ready = self._ready()
        for start in range(0, len(texts), TOGETHER):
            yield ready.encode_batch_fast(list(texts[start : start + TOGETHER]))

    def state(self) -> dict[str, Any]:
        """Return all that `fit` found: the tokenizer's JSON as its bytes, uint8 [K], for which a
        text would be too long, and the id of padding; nothing before.
        """
        if self._fitted is None:
            return {}

        content = np.frombuffer(self._fitted.to_str().encode(), np.uint8).copy()
        return {"tokenizer": torch.from_numpy(content), "padding": self._padding}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned.

        Raises:
            ValueError: It isn't that.
            ConfigError: A package is missing.
        """
        content = state.get("tokenizer")
        padding = state.get("padding")
        if state.keys() != {"tokenizer", "padding"} or not isinstance(content, torch.Tensor):
            raise ValueError(f"it holds {sorted(state)}, expected 'padding' and 'tokenizer'")
        if content.dtype != torch.uint8 or content.ndim != 1:
            raise ValueError(f"tokenizer is {content.dtype} {list(content.shape)}, expected bytes")
        if type(padding) is not int or not 0 <= padding < 2**31:
            raise ValueError(f"padding is {padding!r}, expected an id")

        self._padding = padding
        self._take(content.cpu().numpy().tobytes().decode(errors="replace"))
        if padding >= self.facts["vocab_size"]:
            raise ValueError(f"padding is {padding}, which the tokenizer has no token for")

    def _take(self, content: str) -> None:
        """Make the tokenizer of its JSON, with our rule for what is too long.

        Raises:
            ValueError: It is none.
        """
        package = load("tokenizers", "hf", "data: a tokenizer of texts")
        try:
            made = package.Tokenizer.from_str(content)
            made.no_padding()
            made.enable_truncation(self.max_length)
            made.encode_batch_fast(["text", ("text", "text")])
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:  # a panic of the library's is no Exception
            raise ValueError(
                f"no tokenizer that the package tokenizers can read: {error}"
            ) from error

        if not made.get_vocab_size(with_added_tokens=True):
            raise ValueError("a tokenizer without tokens")
        # Or a text that says [SEP] would end there
        made.encode_special_tokens = True
        self._fitted = made

    def _ready(self) -> Any:
        if self._fitted is None:
            raise DataError("data: the tokenizer hasn't been fitted yet")
        return self._fitted


def check_texts(texts: Sequence[Any]) -> None:
    """Return if all are texts.

    Raises:
        DataError: One isn't, or holds half of a character.
    """
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"item {row} (the first is 0) is {type(text).__name__}, expected text")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise DataError(
                f"item {row} (the first is 0) holds half of a character (a lone surrogate): "
                "drop it, or read the text in the encoding that it was written in"
            )
