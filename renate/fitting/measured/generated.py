"""Metrics of generated texts, by the tokens of the answers."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from renate.metrics import exact_matches


class Perplexity(Metric):
    """exp of the mean, over all tokens of all answers, of minus their natural log-probability
    after the prompt and the answer's own tokens before them (Jurafsky & Martin, Speech and Language
    Processing, 3rd edition, section 3.3).

    Other than torchmetrics' it takes log-probabilities from logits: of a probability that rounds to
    0 the logarithm is infinite.
    """

    higher_is_better = False
    is_differentiable = False
    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Take logits [B, V, A] and the ids of the answers' tokens [B, A], below 0 behind ends."""
        counted = targets >= 0
        losses = F.cross_entropy(outputs, targets.masked_fill(~counted, 0), reduction="none")
        self.total += losses[counted].to(self.total.dtype).sum()
        self.count += counted.sum()

    def compute(self) -> Any:
        """Return the perplexity of all tokens so far, 1 or more."""
        return (self.total / self.count).exp()


class ExactMatch(Metric):
    """The share of answers that greedy generation gives exactly, see `exact_matches`.

    Args:
        end: The id of the token that ends an answer.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False

    right: Tensor
    count: Tensor

    def __init__(self, end: int) -> None:
        super().__init__()
        self.end = end
        self.add_state("right", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Take logits [B, V, A] and the ids of the answers' tokens [B, A], below 0 behind ends."""
        self.right += exact_matches(outputs, targets, self.end).sum()
        self.count += len(targets)

    def compute(self) -> Any:
        """Return the share of all answers so far, 0 to 1."""
        return self.right / self.count
