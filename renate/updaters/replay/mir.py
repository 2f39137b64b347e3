"""Maximally interfered retrieval."""

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from renate.checks.bounds import above_0, at_least_1
from renate.data.batch import Batch, select
from renate.losses.weighted import example_losses
from renate.updaters.base import Updater
from renate.updaters.shared.replay import together
from renate.updaters.shared.trained import trained


class MIR(Updater):
    """Replay those past examples whose loss the new batch's step would raise most.

    Aljundi et al., 2019, https://arxiv.org/abs/1908.04742, algorithm 1 (ER-MIR), with the rise
    against the model before the step (MI-1).

    Args:
        candidates: Past examples that are looked at in each step.
        replay_batch_size: Those of them that are replayed, besides the new ones.
        virtual_lr: Learning rate of the step that is tried, best that of the optimizer.
    """

    replays = True
    weighs = True

    def __init__(self, candidates: int, replay_batch_size: int, virtual_lr: float) -> None:
        super().__init__()
        at_least_1(replay_batch_size=replay_batch_size)
        if candidates < replay_batch_size:
            raise ValueError(
                f"candidates={candidates}: expected replay_batch_size={replay_batch_size} or more"
            )
        at_least_1(candidates=candidates)
        above_0(virtual_lr=virtual_lr)

        self.candidates = candidates
        self.replay_batch_size = replay_batch_size
        self.virtual_lr = virtual_lr

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion, a scalar, of the batch and of the past examples chosen, if there
        are any, as one batch; then offer the new ones to the memory.
        """
        inputs, targets, weights = batch.inputs, batch.targets, batch.weights
        if len(self.memory):
            inputs, targets, weights = together(batch, self._chosen(model, batch))

        loss = self.mean_loss(model(inputs), targets, weights)
        self.memory.add(batch)

        return loss

    def _chosen(self, model: nn.Module, batch: Batch) -> Batch:
        """The candidates whose losses rise most."""
        drawn = self.memory.sample(self.candidates)
        # One that was drawn twice would be chosen twice
        slots, of_which = drawn.slots.unique(return_inverse=True)
        rows = torch.empty_like(slots)
        rows[of_which] = torch.arange(len(of_which), device=rows.device)
        assert self.memory.transform is not None
        raw = select(drawn.raw, rows)  # the memory, which may lie in files, is read once
        candidates = self.memory.transform(raw)

        rise = self._rise(model, batch, candidates)
        count = min(self.replay_batch_size, len(rows))
        worst = rise.topk(count).indices.sort().values.cpu()

        return self.memory.transform(select(raw, worst))

    def _rise(self, model: nn.Module, batch: Batch, past: Batch) -> Tensor:
        """By how much each past example's loss would rise, [B], were the new batch's step taken;
        times its weight, where examples have some.

        Buffers, as the statistics of batch normalisation, are left as they were.
        """
        parameters = trained(model)
        buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

        outputs = functional_call(model, buffers, (batch.inputs,))
        loss = self.mean_loss(outputs, batch.targets, batch.weights)
        gradients = torch.autograd.grad(loss, [*parameters.values()], materialize_grads=True)

        with torch.no_grad():
            stepped = {
                name: parameter - self.virtual_lr * gradient
                for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True)
            }
            # What is random in the model, as dropout, is the same in both, or it would be the rise
            with same_draws_again(past.targets.device):
                before = functional_call(model, buffers, (past.inputs,))
            after = functional_call(model, buffers | stepped, (past.inputs,))

            then = example_losses(self.criterion, before, past.targets)
            rise = example_losses(self.criterion, after, past.targets) - then
            if past.weights is not None:
                rise = rise * past.weights
            return rise


def same_draws_again(device: torch.device) -> AbstractContextManager[None]:
    """Let random numbers go on afterwards as if none had been drawn within."""
    if device.type == "cpu":
        return torch.random.fork_rng(devices=[])
    return torch.random.fork_rng(devices=[device], device_type=device.type)
