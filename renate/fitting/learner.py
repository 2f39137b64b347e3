"""The only LightningModule: lets an updater train a model."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from renate.data.batch import Batch
from renate.errors import JobError
from renate.fitting.progress import Progress
from renate.fitting.sharding.weights import Weights
from renate.libraries.lightning import QuickHookName
from renate.updaters.base import Updater

Optimizers = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
REMEDY = "try a smaller optimizer.lr or trainer.gradient_clip_val=1.0"
CHECK_EVERY = 50  # batches between looks at the loss on a device where a look waits for the device


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes during a fit.

    Attributes:
        make: Makes the scheduler from an optimizer.
        interval: When it steps, `epoch` or `step`.
        monitor: The metric that a scheduler such as ReduceLROnPlateau waits for.
    """

    make: Callable[[torch.optim.Optimizer], Any]
    interval: str
    monitor: str = "train_loss"


class Learner(QuickHookName, pl.LightningModule):
    """Automatic optimization of `updater.loss`: clipping, precision, strategies and the like work.

    Args:
        model: The network.
        updater: Says what to minimise. Its own parameters, if any, are trained as well.
        optimizer: Makes the optimizer from parameters.
        schedule: How the learning rate changes; None keeps it.
        progress: Counts batches and losses.
        weights: Those that are trained, where they are shared out among processes; None has them
            whole.
        graphs: Whether the model is launched as CUDA graphs, which are told of each step's begin.
    """

    def __init__(
        self,
        model: nn.Module,
        updater: Updater,
        optimizer: Optimizers,
        schedule: Schedule | None,
        progress: Progress,
        *,
        weights: Weights | None = None,
        graphs: bool = False,
    ) -> None:
        super().__init__()
        self.weights = weights or Weights(model)
        self.model = self.weights.trained
        self.updater = updater
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.progress = progress
        self.graphs = graphs

    def configure_optimizers(self) -> Any:
        """Return the optimizer of all parameters that require gradients, the updater's own among
        them, with the scheduler, where there is one, in the dict that Lightning takes.

        An updater that has an `after_step` hears of each of the optimizer's steps.
        """
        optimizer = self.make_optimizer([p for p in self.parameters() if p.requires_grad])
        if self.updater.replays:
            self._watch(optimizer)
        if type(self.updater).after_step is not Updater.after_step:
            optimizer.register_step_post_hook(lambda *_: self.updater.after_step(self.model))
        if self.schedule is None:
            return optimizer

        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": self.schedule.make(optimizer),
                "interval": self.schedule.interval,
                "monitor": self.schedule.monitor,
                "strict": False,
            },
        }

    def _watch(self, optimizer: torch.optim.Optimizer) -> None:
        """Let an optimizer that computes the loss several times a step fail at the first one: an
        updater offers a batch to its memory each time.
        """
        kind = type(optimizer)
        if kind.__module__.startswith("torch.optim.") and kind is not torch.optim.LBFGS:
            return

        before = 0

        def begin(*_: Any) -> None:
            nonlocal before
            before = self.progress.batches

        def end(*_: Any) -> None:
            passes = self.progress.batches - before
            if passes > 1:
                raise JobError(
                    f"optimizer: {kind.__name__} computes the loss {passes} times a step, and "
                    f"{type(self.updater).__name__} offers the batch to its memory each time: take "
                    "one that computes it once, as optimizer=sgd, or updater=fine_tuning"
                )

        optimizer.register_step_pre_hook(begin)
        optimizer.register_step_post_hook(end)

    def transfer_batch_to_device(
        self,
        batch: Batch,
        device: torch.device,
        dataloader_idx: int,
    ) -> Batch:
        """Return the batch as it is: `BatchTransform` has moved it."""
        return batch

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the updater's loss of a batch, a scalar, and count the batch.

        Raises:
            JobError: The loss is NaN or infinite; on another device than the CPU only each
                `CHECK_EVERY`th step looks.
        """
        if self.graphs:  # what the last step's graphs gave out may be written over
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

        loss = self.updater.loss(self.model, batch)
        value = loss.detach()

        progress = self.progress
        progress.count(value, len(batch))
        if value.device.type == "cpu" or progress.batches % CHECK_EVERY == 0:
            self.check_loss(value)

        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Let the updater see the gradients, unscaled and before they are clipped."""
        self.updater.after_backward(self.model)

    def check_loss(self, value: Tensor | float) -> None:
        """Return if a loss, or a mean of losses, is a number.

        Raises:
            JobError: It is NaN or infinite.
        """
        if math.isfinite(value):
            return

        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        raise JobError(
            f"the loss is {float(value)} at step {self.progress.batches} with learning rate "
            f"{rate:g}: nothing is published; {REMEDY}",
        )

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a scheduler; those that wait for a metric are stepped by `Validation`."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()
