"""Elastic weight consolidation, online."""

import torch
from torch import Tensor, nn

from renate.checks.bounds import at_least_0, at_least_1, share
from renate.data.batch import Columns
from renate.updaters.regularization.anchors import HoldsWeights
from renate.updaters.regularization.importance import mean_over_examples

FISHERS = ("observed", "weighted")


class EWC(HoldsWeights):
    """Hold each weight where it was, the more the surer earlier data were of it; no memory.

    Kirkpatrick et al., 2017, https://arxiv.org/abs/1612.00796, eq. 3, with one running Fisher
    information as in Schwarz et al., 2018, https://arxiv.org/abs/1805.06370, eq. 9: the loss is the
    criterion plus strength · Σ F (weight - anchor)², and after an update F <- gamma F + F of its
    data. Kirkpatrick's λ is twice this strength.

    F is the mean of the squared gradients of the examples' log-likelihoods, each example's by
    itself; minus the criterion is taken for the log-likelihood.

    Args:
        strength: Of the penalty, 0 or more.
        gamma: Share of the earlier Fisher information that an update keeps, 0 to 1.
        fisher: observed: of the targets as they are, the empirical Fisher information. weighted:
            each example's counts by the likelihood of its target, its part of the expectation over
            the model's own answers, as Mammoth has it, whose best known strengths go with that.
        fisher_batch_size: Examples whose gradients are taken at once, as many times the weights
            are in memory then; where all layers are linear neither holds.
    """

    def __init__(self, strength: float, gamma: float, fisher: str, fisher_batch_size: int) -> None:
        super().__init__(strength)
        at_least_0(strength=strength)
        share(gamma=gamma)
        at_least_1(fisher_batch_size=fisher_batch_size)
        if fisher not in FISHERS:
            raise ValueError(f"fisher={fisher!r}: expected {' or '.join(FISHERS)}")

        self.gamma = gamma
        self.fisher = fisher
        self.fisher_batch_size = fisher_batch_size

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Add the Fisher information of the new data, and drop anchor here."""
        found = mean_over_examples(
            self,
            model,
            data,
            self.criterion,
            torch.square,
            torch.ones_like if self.fisher == "observed" else likelihoods,
            self.fisher_batch_size,
        )
        self.anchors.move(model, found, self.gamma)


def likelihoods(losses: Tensor) -> Tensor:
    """Return what negative log-likelihoods [B] stand for."""
    return torch.exp(-losses)
