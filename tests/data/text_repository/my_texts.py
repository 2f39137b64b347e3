"""Texts as ids of words, and a bag of their embeddings."""

import json
from collections import Counter
from dataclasses import dataclass

from torch import nn

from renate.data.base import Encoder, Source
from renate.data.ragged import Ragged

PAD, UNKNOWN = 0, 1


@dataclass(kw_only=True)
class Words(Encoder):
    """Ids of the words that came often in the first update's texts."""

    least: int

    def __post_init__(self):
        self.words = []

    def fit(self, raw):
        count = Counter(word for text in raw for word in text.split())
        self.words = sorted(word for word, times in count.items() if times >= self.least)

    def encode(self, raw):
        index = {word: number for number, word in enumerate(self.words, start=2)}
        rows = [[index.get(word, UNKNOWN) for word in text.split()] for text in raw]
        return {"ids": Ragged.of(rows, padding=PAD)}

    def state(self):
        return {"words": self.words}

    def restore(self, state):
        self.words = list(state["words"])

    @property
    def facts(self):
        return {"num_words": len(self.words) + 2}


@dataclass(kw_only=True)
class Texts(Source):
    """JSON lines."""

    corpus: str
    vocab: str | None
    held_out: str | None
    encoder: Words

    def files(self):
        named = {"corpus": self.corpus, "vocab": self.vocab, "held_out": self.held_out}
        return {key: path for key, path in named.items() if path is not None}

    def read(self):
        tests = 0.2 if self.held_out is None else {"test": self.table(self.held_out)}
        return self.table(self.corpus), tests

    def table(self, file):
        known = None
        if self.vocab is not None:
            with self.open(self.vocab) as lines:
                known = set(lines.read().decode().split())

        with self.open(file) as lines:
            rows = [json.loads(line) for line in lines]
        texts = [row["text"] for row in rows]
        if known is not None:
            texts = [" ".join(word for word in text.split() if word in known) for text in texts]

        return texts, [row["label"] for row in rows]


class Bag(nn.Module):
    """The mean of the words' embeddings, and a linear layer."""

    def __init__(self, num_words, num_classes, width):
        super().__init__()
        self.embedding = nn.Embedding(num_words, width, padding_idx=PAD)
        self.head = nn.Linear(width, num_classes)

    def forward(self, inputs):
        summed = self.embedding(inputs["ids"]).sum(1)
        count = inputs["ids_lengths"].clamp(min=1)[:, None]
        return self.head(summed / count)
