"""A multi-layer perceptron with embeddings, for tables."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from renate.checks.bounds import all_at_least_1, at_least_1, below_1, count
from renate.errors import DataError
from renate.models.texts import mask_of


class TabularMLP(nn.Module):
    """Numbers beside an embedding of each category, and the mean of those of a text's tokens,
    through layers with ReLU between them (Guo and Berkhahn, 2016,
    https://arxiv.org/abs/1604.06737).

    A column's embedding is half as wide as the column has categories, and at most
    `embedding_width`.

    Args:
        num_numbers: Columns of `numbers`; with 0 there are none.
        cardinalities: Of each column of `categories` how many codes there are.
        vocab_size: Tokens; 0 where there is no text.
        num_classes: Outputs.
        embedding_width: The widest embedding of a category.
        text_width: Of the embedding of a token.
        hidden_sizes: Widths of the hidden layers.
        dropout: The share of features that are left out in training.
    """

    def __init__(
        self,
        num_numbers: int,
        cardinalities: Sequence[int],
        vocab_size: int,
        num_classes: int,
        embedding_width: int,
        text_width: int,
        hidden_sizes: Sequence[int],
        dropout: float,
    ) -> None:
        super().__init__()
        if num_numbers is None or cardinalities is None or vocab_size is None:
            raise ValueError(
                "num_numbers and cardinalities are null, and these data don't say them: "
                "data.categories=embed does, or model=mlp takes what there is"
            )
        count(num_numbers=num_numbers, vocab_size=vocab_size)
        at_least_1(embedding_width=embedding_width, text_width=text_width)
        all_at_least_1(cardinalities=cardinalities, hidden_sizes=hidden_sizes)
        below_1(dropout=dropout)

        widths = [min(embedding_width, (size + 1) // 2) for size in cardinalities]
        self.num_numbers = num_numbers
        self.embeddings = nn.ModuleList(
            nn.Embedding(size, width) for size, width in zip(cardinalities, widths, strict=True)
        )

        self.tokens = nn.Embedding(vocab_size, text_width) if vocab_size else None

        width = num_numbers + sum(widths) + (text_width if vocab_size else 0)
        sizes = [width, *hidden_sizes]
        layers: list[nn.Module] = [nn.Dropout(dropout)]
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]

        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], num_classes)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return logits [B, num_classes] of `numbers`, float [B, num_numbers], `categories`, int64
        [B, len(cardinalities)], and `ids` of tokens [B, L] with `ids_lengths` [B]; what a table has
        none of is left out.

        Raises:
            DataError: One that is expected isn't there.
        """
        features = []
        if self.num_numbers:
            features.append(_of(inputs, "numbers"))

        if len(self.embeddings):
            codes = _of(inputs, "categories")
            features += [
                embedding(codes[:, place]) for place, embedding in enumerate(self.embeddings)
            ]

        if self.tokens is not None:
            mask = mask_of({"ids": _of(inputs, "ids"), "ids_lengths": _of(inputs, "ids_lengths")})
            total = (self.tokens(inputs["ids"]) * mask[:, :, None]).sum(1)
            features.append(total / mask.sum(1, keepdim=True).clamp(min=1))

        logits: Tensor = self.head(self.layers(torch.cat(features, dim=1)))
        return logits


def _of(inputs: Mapping[str, Tensor], name: str) -> Tensor:
    if not isinstance(inputs, Mapping) or name not in inputs:
        found = ", ".join(inputs) if isinstance(inputs, Mapping) else "one tensor"
        raise DataError(f"model=tabular takes '{name}', these inputs are {found}")
    return inputs[name]
