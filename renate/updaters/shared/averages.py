"""Copies of a model that follow it slowly."""

import copy
from typing import Any, Self

import torch
from torch import Tensor, nn

from renate.checks.bounds import below_1
from renate.data.model_inputs import ModelInputs
from renate.seeds import derive
from renate.updaters.shared.precision import check_precision


class AveragedCopy(nn.Module):
    """An exponential moving average of a model's weights, which may skip steps at random.

    w <- a w + (1 - a) m with a = min(1 - 1 / (step + 1), decay): the plain mean of the weights that
    it has followed until the decay is reached, as in Tarvainen & Valpola, 2017,
    https://arxiv.org/abs/1703.01780. Numbers among the buffers, as the means and variances of batch
    normalisation, are averaged alike; counts are copied. It computes in evaluation mode and without
    gradients.

    An updater makes it in `setup`, as an attribute of its own: it is module state then, moves with
    the updater, is saved with it, and grows with the model's head.

    Args:
        model: What is copied, and followed from then on.
        decay: How much of the average stays at a step, 0 to below 1.
        frequency: Share of the steps at which it follows at all, above 0 to 1.
    """

    steps: Tensor
    seed: Tensor

    def __init__(self, model: nn.Module, decay: float, frequency: float = 1.0) -> None:
        super().__init__()
        below_1(decay=decay)
        if not 0 < frequency <= 1:
            raise ValueError(f"frequency={frequency}: expected more than 0, and 1 at most")

        self.decay = decay
        self.frequency = frequency
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        # Drawn while all processes are alike, so that their copies skip the same steps
        self.register_buffer("seed", torch.randint(2**62, ()))
        self._known: tuple[int, int] | None = None  # steps and seed, as Python has them

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self._known = None

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever is asked for."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, inputs: ModelInputs) -> Tensor:
        """Return the averaged model's outputs [B, K], without gradients."""
        outputs: Tensor = self.model(inputs)
        return outputs

    @torch.no_grad()
    def follow(self, model: nn.Module) -> None:
        """Take one step after the model; called after each of the optimizer's.

        Raises:
            ConfigError: Its weights are of half precision, in which it would stand still.
        """
        if self._known is None:  # read once: each look at a device waits for it
            check_precision(self.model.parameters(), "an average of weights over steps")
            self._known = (int(self.steps), int(self.seed))

        step = self._known[0] + 1
        self._known = (step, self._known[1])
        self.steps += 1
        if self.frequency < 1 and self._draw(step) >= self.frequency:
            return

        weight = 1 - min(1 - 1 / (step + 1), self.decay)
        self._approach(tensors_of(self.model), tensors_of(model), weight)

    def _approach(self, mine: list[Tensor], now: list[Tensor], weight: float) -> None:
        averaged = [tensor.is_floating_point() for tensor in mine]
        ours = [tensor for tensor, is_averaged in zip(mine, averaged, strict=True) if is_averaged]
        theirs = [tensor for tensor, is_averaged in zip(now, averaged, strict=True) if is_averaged]
        if ours:  # one kernel for all of them: a copy costs little beside the step
            torch._foreach_lerp_(ours, theirs, weight)

        for tensor, other, is_averaged in zip(mine, now, averaged, strict=True):
            if not is_averaged:
                tensor.copy_(other)

    def _draw(self, step: int) -> float:
        """A number from 0 to below 1 that follows from the seed and the step alone: a fit that
        was interrupted, and other processes, draw the same.
        """
        assert self._known is not None
        return (derive(self._known[1], "averaged copy", step) % 2**32) / 2**32


def check_average(name: str, frequency: float, decay: float) -> None:
    """Raises ValueError for what no average can follow by, whose settings begin with a name."""
    if not 0 < frequency <= 1:
        raise ValueError(f"{name}_frequency={frequency}: expected more than 0, and 1 at most")
    below_1(**{f"{name}_decay": decay})


def tensors_of(model: nn.Module) -> list[Tensor]:
    """Return a model's parameters and buffers, each once, in an order that copies of it share.

    A copy is followed at every step, and of a small model the generators of `parameters()` and
    `buffers()`, which put names together, took longer than the average itself.
    """
    found: dict[Tensor, None] = {}
    parts = [model]
    known = {model}
    while parts:
        part = parts.pop()
        for tensors in (part._parameters, part._buffers):
            found.update((tensor, None) for tensor in tensors.values() if tensor is not None)

        for child in part._modules.values():
            if child is not None and child not in known:
                known.add(child)
                parts.append(child)

    return [*found]
