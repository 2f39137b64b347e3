"""The only LightningModule: lets an updater train a model, and watches it."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from renate.data.batch import Batch
from renate.errors import JobError
from renate.ranks import ALONE, Ranks
from renate.updaters.base import Updater

Optimizers = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
Schedulers = Callable[[torch.optim.Optimizer], Any]
REMEDY = "try a smaller optimizer.lr or trainer.gradient_clip_val=1.0"
CHECK_EVERY = 50  # steps between looks at the loss on a device where a look waits for the device


@dataclass
class Meter:
    """Counters of one fit. No attributes of the learner: those pass through the slow nn.Module.__setattr__."""

    steps: int = 0
    examples: int = 0
    losses: int = 0
    loss: Tensor | float = 0.0

    def mean(self, ranks: Ranks) -> float:
        """Return the mean loss of all processes since the last call."""
        loss, losses = ranks.total(float(self.loss), self.losses)
        self.loss, self.losses = 0.0, 0
        return loss / max(1, losses)


class Learner(pl.LightningModule):
    """Automatic optimization of `updater.loss`, so that clipping, accumulation, precision and strategies work.

    Args:
        model: The network.
        updater: Says what to minimise. Its own parameters, if any, are trained as well.
        optimizer: Makes the optimizer from parameters.
        scheduler: Makes a learning-rate scheduler from the optimizer, or None.
        interval: When the scheduler steps, `epoch` or `step`.
        monitor: The metric that a scheduler such as ReduceLROnPlateau waits for.
    """

    def __init__(
        self,
        model: nn.Module,
        updater: Updater,
        optimizer: Optimizers,
        scheduler: Schedulers | None,
        interval: str,
        monitor: str = "train_loss",
    ) -> None:
        super().__init__()
        self.model, self.updater = model, updater
        self.make_optimizer, self.make_scheduler, self.interval = optimizer, scheduler, interval
        self.monitor = monitor
        self.meter = Meter()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_current_fx_name":  # Lightning writes it 44 times a step; saves 0.07 ms of each
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer([p for p in self.parameters() if p.requires_grad])
        if type(self.updater).after_step is not Updater.after_step:
            optimizer.register_step_post_hook(lambda *_: self.updater.after_step(self.model))
        if self.make_scheduler is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": self.make_scheduler(optimizer),
                "interval": self.interval,
                "monitor": self.monitor,
                "strict": False,
            },
        }

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        return batch  # BatchTransform has moved it already

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.updater.loss(self.model, batch)
        meter, value = self.meter, loss.detach()
        meter.steps += 1
        meter.losses += 1
        meter.examples += len(batch)
        meter.loss += value
        if value.device.type == "cpu" or meter.steps % CHECK_EVERY == 0:
            self.check_loss(value)
        return loss

    def check_loss(self, value: Tensor | float) -> None:
        """Return if a loss, or a mean of losses, is a number.

        Raises:
            JobError: It is NaN or infinite.
        """
        if math.isfinite(value):
            return

        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        raise JobError(
            f"the loss is {float(value)} at step {self.meter.steps} with learning rate {rate:g}: "
            f"nothing is published; {REMEDY}"
        )

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a scheduler; those that wait for a metric are stepped by `Watch`, which measures it."""
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()


@dataclass
class Watch(pl.Callback):
    """After each epoch, or as `Midway` says: measure, report, keep the best weights, stop when nothing gets better.

    Attributes:
        measure: Returns the metrics of the current weights on validation data, `val_…`; {} without such data.
        report: Takes each epoch's metrics.
        tick: Takes (steps done, steps in all, text) a few times a second.
        metric: The objective; None keeps the last epoch's weights.
        mode: `max` or `min`. A value that is no number is worse than any, whichever it is.
        patience: Epochs without a better objective before the fit ends; None never ends it.
        file: Where the best weights are kept during the fit.
        update: The update's number, kept with them.
        epochs_before: Whole epochs of an interrupted fit that this one continues.
        steps_before: Its steps.
        total: Steps of the whole fit.
        ranks: The processes that train together; each must decide the same.
        by_epoch: Whether to look after each epoch.
        undefined: Whether the objective was no number at the last look.
    """

    measure: Callable[[], dict[str, float]]
    report: Callable[..., None]
    tick: Callable[[int, int, str], None]
    metric: str | None
    mode: str | None
    patience: int | None
    file: Path
    update: int = 1
    epochs_before: int = 0
    steps_before: int = 0
    total: int = 0
    ranks: Ranks = ALONE
    by_epoch: bool = True
    best: float | None = None
    undefined: bool = False
    best_epoch: int = 0
    _next: float = field(default=0.0, repr=False)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + 0.2
        epoch, last = self.epochs_before + trainer.current_epoch + 1, self.epochs_before + (trainer.max_epochs or 0)
        self.tick(self.steps_before + trainer.global_step, self.total, f"epoch {epoch}/{last}")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.by_epoch:
            self.look(trainer, module)

    def look(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Measure and report the weights as they are now."""
        assert isinstance(module, Learner)
        epoch, step = self.epochs_before + trainer.current_epoch + 1, self.steps_before + trainer.global_step
        train_loss = module.meter.mean(self.ranks)
        module.check_loss(train_loss)
        metrics = {"train_loss": train_loss, **self.measure()}
        # What EarlyStopping and its like look up.
        trainer.callback_metrics.update({name: torch.tensor(v) for name, v in metrics.items()})
        self._step_plateaus(trainer, module, metrics)
        for logger in trainer.loggers:
            logger.log_metrics(metrics, step=step)
        if self.metric is not None and self.metric.startswith(("val_", "train_")):
            value = metrics[self.metric]
            self.undefined = not math.isfinite(value)
            if self._is_better(value):
                self.best, self.best_epoch = value, epoch
                if self.ranks.first:
                    weights = {"model": module.model.state_dict(), "updater": module.updater.state_dict()}
                    temporary = self.file.with_suffix(".tmp")
                    torch.save({"update": self.update, "epoch": epoch, **weights}, temporary)
                    temporary.replace(self.file)
            elif self.patience is not None and epoch - self.best_epoch >= self.patience:
                trainer.should_stop = True
        self.report(epoch=epoch, step=step, **metrics)

    def _is_better(self, value: float) -> bool:
        """Whether a value beats the best one so far."""
        if not math.isfinite(value):
            return False

        sign = 1 if self.mode == "max" else -1
        return self.best is None or sign * value > sign * self.best

    def _step_plateaus(self, trainer: pl.Trainer, module: Learner, metrics: Mapping[str, float]) -> None:
        """Step the schedulers that wait for a metric, each time it was measured.

        Raises:
            JobError: Nothing of that name is measured.
        """
        for config in trainer.lr_scheduler_configs:
            if not config.reduce_on_plateau:
                continue
            if module.monitor not in metrics:
                raise JobError(
                    f"lr_scheduler.monitor={module.monitor}: not measured in this fit ({', '.join(metrics)})"
                )
            scheduler: Any = config.scheduler
            scheduler.step(metrics[module.monitor])

    def restore(self, model: nn.Module, updater: Updater) -> None:
        """Put the best epoch's weights back, where an objective chose one; the memory stays as the fit left it."""
        if self.best is not None and self.ranks.first:
            best = torch.load(self.file, weights_only=True, map_location="cpu")
            model.load_state_dict(best["model"])
            updater.load_state_dict(best["updater"])
        if self.ranks.first:
            self.file.unlink(missing_ok=True)
        self.ranks.align(model)
        self.ranks.align(updater)


class Midway(pl.Callback):
    """Lets a `Watch` look after every so many steps; before a checkpoint of that step is written, which knows of it.

    Args:
        watch: Looks.
        every: Optimizer steps.
    """

    def __init__(self, watch: Watch, every: int) -> None:
        self.watch, self.every, self.last = watch, every, 0

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        step = self.watch.steps_before + trainer.global_step
        if step % self.every == 0 and step != self.last:  # with accumulated gradients, not every batch is a step
            self.last = step
            self.watch.look(trainer, module)
