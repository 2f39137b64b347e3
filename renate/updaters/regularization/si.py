"""Synaptic intelligence."""

import torch
from torch import Tensor, nn

from renate.checks.bounds import above_0, at_least_0
from renate.data.batch import Columns
from renate.updaters.regularization.anchors import HoldsWeights, LikeParameters
from renate.updaters.shared.precision import check_precision
from renate.updaters.shared.trained import trained


class SI(HoldsWeights):
    """Hold each weight where it was, the more its way lowered earlier losses; no memory.

    Zenke et al., 2017, https://arxiv.org/abs/1703.04200: the loss is the criterion plus
    c · Σ Ω (weight - anchor)² (eq. 4). Along the way, each weight's ω adds up minus the criterion's
    gradient times the step (eq. 3), and after an update Ω <- Ω + ω / (Δ² + ξ), Δ being how far the
    weight came in it (eq. 5). What would be negative counts as 0.

    Args:
        c: Strength of the penalty, 0 or more.
        xi: Keeps Ω small where a weight hardly moved, above 0.
    """

    def __init__(self, c: float, xi: float) -> None:
        super().__init__(strength=c)
        at_least_0(c=c)
        above_0(xi=xi)
        self.xi = xi
        self._before: list[tuple[Tensor, Tensor]] = []  # of each weight: where it is, its gradient

    def setup(self, model: nn.Module) -> None:
        """Make the anchors, which hold nothing yet, and the sums along the way."""
        super().setup(model)
        self.path = LikeParameters(model, torch.zeros_like)

    @torch.no_grad()
    def start(self, model: nn.Module, data: Columns) -> None:
        """Begin a way here: where the head grew, its new rows have no earlier anchor.

        Raises:
            ConfigError: Weights are of half precision, in which the way's steps vanish.
        """
        found = trained(model)
        check_precision(found.values(), "updater=si")
        anchors = self.anchors.weights.tensors(found)
        for parameter, anchor in zip(found.values(), anchors, strict=True):
            anchor.copy_(parameter)
        for summed in self.path.tensors(found):
            summed.zero_()

    @torch.no_grad()
    def after_backward(self, model: nn.Module) -> None:
        """Note where each weight is, and the criterion's own gradient there."""
        self._before = []
        slopes = self.anchors.slopes(model)
        for parameter, slope in zip(trained(model).values(), slopes, strict=True):
            gradient = torch.zeros_like(parameter)
            if parameter.grad is not None:
                gradient = parameter.grad - self.strength * slope
            self._before.append((parameter.clone(), gradient))

    @torch.no_grad()
    def after_step(self, model: nn.Module) -> None:
        """Add up what each weight's step lowered the loss by."""
        found = trained(model)
        steps = zip(found.values(), self._before, self.path.tensors(found), strict=True)
        for parameter, (before, gradient), summed in steps:
            summed.addcmul_(gradient, parameter - before, value=-1)

    @torch.no_grad()
    def finish(self, model: nn.Module, data: Columns) -> None:
        """Add what each weight did for the new data, and drop anchor here."""
        weights = trained(model)
        anchors = self.anchors.weights.tensors(weights)
        ways = zip(weights.values(), anchors, self.path.tensors(weights), strict=True)
        found = []
        for parameter, begun, summed in ways:
            importance = summed / ((parameter - begun).square() + self.xi)
            found.append(importance.clamp(min=0))

        self.anchors.move(model, found, keep=1.0)
