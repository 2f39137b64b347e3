"""Experience replay with asymmetric cross-entropy."""

import torch
from torch import Tensor, nn

from renate.checks.bounds import at_least_1
from renate.data.batch import Batch, Columns
from renate.losses.masked import NEVER, check_masking
from renate.updaters.base import Updater


class ERACE(Updater):
    """Let new examples compete among the classes of their own batch, past ones among all.

    Caccia et al., 2022, https://arxiv.org/abs/2104.05025, eq. 3: new classes don't push those of
    before aside. New examples of a batch that has one class alone change nothing.

    Args:
        replay_batch_size: Past examples in each step, besides the new ones.
    """

    replays = True
    weighs = True
    problems = ("classification",)

    def __init__(self, replay_batch_size: int) -> None:
        super().__init__()
        at_least_1(replay_batch_size=replay_batch_size)
        self.replay_batch_size = replay_batch_size

    def start(self, model: nn.Module, data: Columns) -> None:
        """Look whether the criterion is one among some classes; the new data is what is trained on.

        Raises:
            ConfigError: It isn't.
        """
        check_masking(self.criterion, self.problem.outputs, "updater=er_ace")

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch among its own classes, plus that of past examples,
        where there are any, a scalar; then offer the batch to the memory.
        """
        logits = model(batch.inputs)
        logits = logits.masked_fill(~_classes_of(batch.targets, logits.shape[1]), NEVER)
        loss = self.mean_loss(logits, batch.targets, batch.weights)
        if len(self.memory):
            past = self.memory.sample(self.replay_batch_size)
            loss = loss + self.mean_loss(model(past.inputs), past.targets, past.weights)

        self.memory.add(batch)
        return loss


def _classes_of(targets: Tensor, classes: int) -> Tensor:
    """Which classes targets are of, bool [K]; mixed ones, [B, K], have a share of several."""
    if targets.ndim > 1:
        return (targets > 0).any(0)

    there = torch.zeros(classes, dtype=torch.bool, device=targets.device)
    there[targets] = True
    return there
