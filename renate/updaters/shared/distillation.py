"""Losses that compare a model's outputs with those of another, or of an earlier one."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.model_inputs import ModelInputs
from renate.losses.weighted import example_losses


class Teacher:
    """A model as it is now: a copy that nothing trains, in evaluation mode.

    It is no module, and so no part of a state: whoever needs it again makes it anew, from the
    model that a version holds.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def __call__(self, inputs: ModelInputs) -> Tensor:
        """Return its outputs [B, K], without gradients."""
        outputs: Tensor = self.model(inputs)
        return outputs

    @torch.no_grad()
    def of_every_head(self, inputs: ModelInputs) -> Tensor:
        """Return the outputs of all its heads, [B, heads, K], without gradients, where it has a
        head for each task.
        """
        model: Any = self.model
        outputs: Tensor = model.of_every_head(inputs)
        return outputs


def softened_cross_entropy(now: Tensor, then: Tensor, temperature: float) -> Tensor:
    """Return -Σ_k p_k log q_k, mean over the examples, of softmaxes p of `then` and q of `now` at a
    temperature (Hinton et al., 2015, https://arxiv.org/abs/1503.02531).

    Args:
        now: Logits [B, K], of what is trained.
        then: Logits [B, K], of what it should stay close to.
        temperature: Above 1 the smaller probabilities count for more.
    """
    wanted = (then / temperature).softmax(1)
    return -(wanted * (now / temperature).log_softmax(1)).sum(1).mean()


def double_distillation(now: Tensor, then: Tensor) -> Tensor:
    """Return ½ (now - (then - mean over the outputs))², mean over outputs and examples (Zhang et
    al., 2020, https://arxiv.org/abs/1903.07864, eq. 3 and 4).

    Args:
        now: Logits [B, K], of what is trained.
        then: Logits [B, K], of the one or the other teacher.
    """
    return 0.5 * F.mse_loss(now, then - then.mean(1, keepdim=True))


@torch.no_grad()
def better_of(criterion: nn.Module, first: Tensor, second: Tensor, targets: Tensor) -> Tensor:
    """Return of each example the outputs [B, K], of two models, that lose less (Arani et al., 2022,
    https://arxiv.org/abs/2201.12604, algorithm 1).

    Args:
        criterion: A loss that gives one of each example where asked to.
        first: Outputs [B, K].
        second: Outputs [B, K]; they win a tie.
        targets: As the criterion takes them.
    """
    loses_less = example_losses(criterion, first, targets) < example_losses(
        criterion, second, targets
    )
    return torch.where(loses_less[:, None], first, second)


def shares_of_classes(targets: Tensor, logits: Tensor) -> Tensor:
    """Return what probabilities [B, K] targets stand for, in the precision of logits [B, K].

    Args:
        targets: Classes [B], or of mixed examples the shares of several [B, K].
        logits: Of the same examples.
    """
    if targets.ndim > 1:
        return targets
    return F.one_hot(targets, logits.shape[1]).to(logits.dtype)
