"""A learning rate that rises first."""

import warnings
from collections.abc import Callable

import torch
from torch.optim.lr_scheduler import ConstantLR, LinearLR, LRScheduler, SequentialLR


class Warmup(SequentialLR):
    """Raises the learning rate linearly, then lets another schedule begin.

    Args:
        optimizer: Whose learning rate changes.
        length: Steps until the optimizer's own learning rate is reached.
        start_factor: What share of it the first step has, above 0 and up to 1.
        then: Makes the schedule that follows, which counts from its own beginning; None keeps the
            learning rate.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        length: int,
        start_factor: float,
        then: Callable[[torch.optim.Optimizer], LRScheduler] | None = None,
    ) -> None:
        if length < 1:
            raise ValueError(f"length={length}: expected 1 or more")

        rise = LinearLR(optimizer, start_factor=start_factor, total_iters=length)
        if then is None:
            rest: LRScheduler = ConstantLR(optimizer, factor=1.0)
        else:
            rest = then(optimizer)

        self.length = length
        super().__init__(optimizer, [rise, rest], milestones=[length])

    def step(self) -> None:  # type: ignore[override]
        """Go on by one."""
        if self.last_epoch + 1 != self.length:
            super().step()
            return

        with warnings.catch_warnings():
            # torch 2.6 begins the next schedule by a call that it warns of itself
            warnings.filterwarnings("ignore", "The epoch parameter", UserWarning)
            super().step()
