"""Three texts or more as one row of ids: what a tokenizer puts between two stands between all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from renate.errors import ConfigError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Frame:
    """Ids that are no text's own.

    Attributes:
        begin: Before the first text.
        between: After each text but the last.
        end: After the last one.
    """

    begin: list[int]
    between: list[int]
    end: list[int]

    @classmethod
    def of(cls, tokenizer: Any) -> "Frame":
        """Return what a tokenizer of the package tokenizers puts around a pair."""
        encoding = tokenizer.encode("text", "text")
        owners = encoding.sequence_ids
        ids = encoding.ids
        last = len(owners) - owners[::-1].index(0)
        second = owners.index(1)
        behind = len(owners) - owners[::-1].index(1)
        return cls(ids[: owners.index(0)], ids[last:second], ids[behind:])

    def room(self, texts: int, max_length: int) -> int:
        """Return how many ids are left for the texts themselves.

        Raises:
            ConfigError: Not one for each.
        """
        taken = len(self.begin) + (texts - 1) * len(self.between) + len(self.end)
        if max_length - taken < texts:
            raise ConfigError(
                f"data.max_length={max_length}: {texts} texts and what stands between them need "
                f"{taken + texts} tokens at least"
            )
        return max_length - taken

    def rows(
        self, columns: Sequence[Sequence[Sequence[int]]], max_length: int
    ) -> Iterator[tuple[Array, Array, bool]]:
        """Yield each row's ids and types, int64 [L], L at most `max_length`, and whether it was
        cut. Types say which text a token is of, from 0; what stands behind a text is of its type.

        Args:
            columns: The ids of each text alone, a list of rows for each column.
            max_length: Where the texts are longer together, the longest are cut first.
        """
        room = self.room(len(columns), max_length)
        for texts in zip(*columns, strict=True):
            lengths = [len(text) for text in texts]
            kept = shares(lengths, room)
            ids = [*self.begin]
            types = [0] * len(self.begin)

            for number, (text, share) in enumerate(zip(texts, kept, strict=True)):
                behind = self.between if number < len(texts) - 1 else self.end
                ids += [*text[:share], *behind]
                types += [number] * (share + len(behind))

            yield np.array(ids, np.int64), np.array(types, np.int64), sum(lengths) > room


def shares(lengths: Sequence[int], room: int) -> list[int]:
    """Return how much of each text is kept so that all fit: the longest are cut to one length."""
    kept = [0] * len(lengths)
    left = room
    ascending = sorted(range(len(lengths)), key=lambda place: lengths[place])
    for rank, place in enumerate(ascending):
        kept[place] = min(lengths[place], left // (len(lengths) - rank))
        left -= kept[place]

    return kept
