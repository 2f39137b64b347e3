"""A bag of embeddings: the baseline for texts."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from renate.checks.bounds import all_at_least_1, at_least_1, below_1
from renate.models.texts import ids_of, mask_of


class TextBag(nn.Module):
    """The mean of a text's token embeddings, through a multi-layer perceptron; the order of tokens
    has no say (Joulin et al., 2017, https://arxiv.org/abs/1607.01759, with hidden layers).

    Of several texts each has a mean of its own.

    Args:
        vocab_size: Tokens.
        num_texts: How many texts an example has.
        num_classes: Outputs.
        width: Of an embedding.
        hidden_sizes: Widths of the hidden layers.
        dropout: Share of a text's features that are left out in training.
    """

    def __init__(
        self,
        vocab_size: int,
        num_texts: int,
        num_classes: int,
        width: int,
        hidden_sizes: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        if vocab_size is None or num_texts is None:
            raise ValueError("vocab_size is null, and the data has no texts: data=text reads them")
        at_least_1(vocab_size=vocab_size, num_texts=num_texts, width=width)
        all_at_least_1(hidden_sizes=hidden_sizes)
        below_1(dropout=dropout)

        self.num_texts = num_texts
        self.embedding = nn.Embedding(vocab_size, width)
        sizes = [num_texts * width, *hidden_sizes]
        layers: list[nn.Module] = [nn.Dropout(dropout)]
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]

        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], num_classes)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits [B, num_classes] of `ids` [B, L], `ids_lengths` [B] and, of several texts,
        `types` [B, L]; what is behind a row's length counts for nothing.
        """
        ids = ids_of(inputs)
        mask = mask_of(inputs)
        embedded = self.embedding(ids)
        means = [_mean(embedded, mask & within) for within in self._parts(inputs)]
        logits: Tensor = self.head(self.layers(torch.cat(means, dim=1)))
        return logits

    def _parts(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Which tokens [B, L] are each text's."""
        if self.num_texts == 1:
            return [torch.ones_like(inputs["ids"], dtype=torch.bool)]
        return [inputs["types"] == number for number in range(self.num_texts)]


def _mean(embedded: Tensor, mask: Tensor) -> Tensor:
    """The mean [B, W] of the embeddings [B, L, W] that a mask [B, L] has; of none 0."""
    weights = mask.to(embedded.dtype)
    return torch.einsum("blw,bl->bw", embedded, weights) / weights.sum(1, True).clamp(min=1)
