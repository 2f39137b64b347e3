"""Counts a model's answers while it is measured."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from renate.problems.base import Problem
from renate.state.measured.answer_counts import BINS, AnswerCounts, Bin


@dataclass
class AnswerCounter:
    """Counts answers batch by batch, of problems with classes.

    Attributes:
        problem: What is predicted.
        outputs: How many of the model's outputs count; None for all. What stands in the place of
            the others takes no share of the probabilities.
    """

    problem: Problem
    outputs: int | None = None
    pairs: list[Tensor] = field(default_factory=list)
    bins: list[Tensor] = field(default_factory=list)

    def take(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch.

        Args:
            logits: [B, K].
            targets: Indices of the true classes, int64 [B].
        """
        answers = logits.argmax(1)
        found = self.problem.probabilities(logits[:, : self.outputs])
        assert found is not None, f"{self.problem.name} has no probabilities"
        confidence = found.amax(1).double().cpu()
        right = (answers == targets).double().cpu()

        # Both ends: a probability of exactly 0 belongs to the first bin
        at = (confidence * BINS).ceil().long().sub(1).clamp(0, BINS - 1)
        counted = [at.bincount(minlength=BINS).double()]
        counted += [at.bincount(weights, BINS) for weights in (right, confidence)]
        self.bins.append(torch.stack(counted, 1))
        self.pairs.append(torch.stack([targets.cpu(), answers.cpu()], 1))

    def counts(self) -> AnswerCounts | None:
        """Return what was counted; None where nothing was."""
        if not self.pairs:
            return None

        truths, answers = torch.cat(self.pairs).unbind(1)
        # As one number each: unique pairs take forty times what unique numbers do
        width = int(answers.max()) + 1
        pairs, examples = torch.unique(truths * width + answers, return_counts=True)
        confusion = {
            divmod(pair, width): count
            for pair, count in zip(pairs.tolist(), examples.tolist(), strict=True)
        }
        rows = torch.stack(self.bins).sum(0).tolist()
        bins = tuple(Bin(int(count), int(right), sure) for count, right, sure in rows)
        return AnswerCounts(confusion, bins)
