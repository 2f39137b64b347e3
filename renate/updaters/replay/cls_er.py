"""Experience replay with a fast and a slow memory of the weights."""

import torch.nn.functional as F
from torch import Tensor, nn

from renate.checks.bounds import at_least_0
from renate.data.batch import Batch
from renate.data.model_inputs import ModelInputs
from renate.updaters.base import Updater
from renate.updaters.shared.averages import AveragedCopy, check_average
from renate.updaters.shared.distillation import better_of
from renate.updaters.shared.replay import together
from renate.updaters.shared.weights import check_count, replay_count


class CLSER(Updater):
    """Replay that stays close to the better of two averages of the model, and predict by the slow
    one.

    Arani et al., 2022, https://arxiv.org/abs/2201.12604, algorithm 1: a plastic copy follows the
    model fast, a stable one slowly; of each past example the copy that knows it better says what
    the outputs should be.

    Args:
        consistency: Weight of staying close to the better copy's outputs.
        plastic_frequency: Share of the steps at which the plastic copy follows, 0 to 1.
        plastic_decay: How much of it stays then.
        stable_frequency: The same of the stable copy.
        stable_decay: The same of the stable copy.
        replay_batch_size: Past examples in each step, besides the new ones: a number, or below 1 a
            fraction of the batch.
    """

    replays = True
    weighs = True

    def __init__(
        self,
        consistency: float,
        plastic_frequency: float,
        plastic_decay: float,
        stable_frequency: float,
        stable_decay: float,
        replay_batch_size: float,
    ) -> None:
        super().__init__()
        at_least_0(consistency=consistency)
        check_count(replay_batch_size)
        check_average("plastic", plastic_frequency, plastic_decay)
        check_average("stable", stable_frequency, stable_decay)

        self.consistency = consistency
        self.plastic_frequency = plastic_frequency
        self.plastic_decay = plastic_decay
        self.stable_frequency = stable_frequency
        self.stable_decay = stable_decay
        self.replay_batch_size = replay_batch_size

    def setup(self, model: nn.Module) -> None:
        """Make both copies."""
        self.plastic = AveragedCopy(model, self.plastic_decay, self.plastic_frequency)
        self.stable = AveragedCopy(model, self.stable_decay, self.stable_frequency)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch and of past examples, as one batch, plus the mean
        square of what past examples' outputs and the better copy's differ by, where there are any,
        a scalar; then offer the new ones to the memory.
        """
        if not len(self.memory):
            loss = self.mean_loss(model(batch.inputs), batch.targets, batch.weights)
            self.memory.add(batch)
            return loss

        past = self.memory.sample(replay_count(self.replay_batch_size, batch))
        stable = self.stable(past.inputs)
        close = better_of(self.criterion, stable, self.plastic(past.inputs), past.targets)
        distance = F.mse_loss(model(past.inputs), close)

        inputs, targets, weights = together(batch, past)
        loss = self.mean_loss(model(inputs), targets, weights)
        self.memory.add(batch)

        return loss + self.consistency * distance

    def after_step(self, model: nn.Module) -> None:
        """Let both copies follow."""
        self.plastic.follow(model)
        self.stable.follow(model)

    def predict(self, model: nn.Module, inputs: ModelInputs) -> Tensor:
        """Return the stable copy's outputs [B, K]."""
        outputs: Tensor = self.stable(inputs)
        return outputs
