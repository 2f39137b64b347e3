"""Gradient-based sample selection."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.checks.bounds import at_least_1
from renate.data.batch import Batch, Columns
from renate.errors import ConfigError
from renate.models.own.untouched import untouched
from renate.updaters.base import Updater
from renate.updaters.regularization.example_gradients import example_gradients
from renate.updaters.shared.replay import with_past


class GSS(Updater):
    """Experience replay that tells its memory how much each example's gradient is like others'.

    Aljundi et al., 2019, https://arxiv.org/abs/1903.08671, algorithm 2 (GSS-Greedy): the memory,
    `memory=gradient_diverse`, keeps those that point apart. Each step takes a gradient of every new
    example by itself, and of those that it is compared with.

    Args:
        compared: Past examples that the new ones are compared with.
        replay_batch_size: Past examples in each step, besides the new ones.
    """

    fields = ("score",)
    replays = True
    weighs = True

    def __init__(self, compared: int, replay_batch_size: int) -> None:
        super().__init__()
        at_least_1(compared=compared, replay_batch_size=replay_batch_size)
        self.compared = compared
        self.replay_batch_size = replay_batch_size

    def start(self, model: nn.Module, data: Columns) -> None:
        """Look whether the memory decides by scores; the new data is what is trained on.

        Raises:
            ConfigError: It doesn't.
        """
        policy = self.memory.policy
        if "score" not in policy.needs:
            raise ConfigError(
                f"updater=gss says which examples to keep, and a {policy.name} doesn't listen: "
                "memory=gradient_diverse"
            )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion, a scalar, of the batch and of past examples, if there are any, as
        one batch; then offer the new ones, with their scores, to the memory.
        """
        scores = self.scores(model, batch)
        inputs, targets, weights = with_past(self.memory, batch, self.replay_batch_size)
        loss = self.mean_loss(model(inputs), targets, weights)
        self.memory.add(batch, score=scores)

        return loss

    def scores(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the largest cosine of each example's gradient with those of some past ones, plus
        1, float32 [B]; 1 where there are none.
        """
        if not len(self.memory):
            return torch.ones(len(batch))

        past = self.memory.sample(self.compared)
        cosines = self._directions(model, batch) @ self._directions(model, past).T
        return (cosines.amax(1) + 1).clamp(0, 2).float().cpu()

    def _directions(self, model: nn.Module, batch: Batch) -> Tensor:
        """Each example's gradient, of length 1, [B, P]."""
        with untouched(model):
            gradients, _ = example_gradients(model, self._loss_of_one, batch.inputs, batch.targets)
        return F.normalize(torch.cat([each.flatten(1) for each in gradients], 1), dim=1)

    def _loss_of_one(self, outputs: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = self.criterion(outputs, target)
        return loss
