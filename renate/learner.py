"""The only LightningModule: lets an updater train a model, watches it, and measures the result."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import Metric

from renate.data.batch import Batch, BatchTransform, Columns, length
from renate.errors import JobError
from renate.problems.base import Problem
from renate.ranks import ALONE, Ranks
from renate.threads import Threads, Work, computing_with
from renate.updaters.base import Updater

Optimizers = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
Schedulers = Callable[[torch.optim.Optimizer], Any]
REMEDY = "try a smaller optimizer.lr or trainer.gradient_clip_val=1.0"
TOGETHER = 1 << 18  # logits that metrics are given at a time, at least
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


@contextmanager
def untouched(*modules: nn.Module) -> Iterator[None]:
    """Let modules compute in evaluation mode and leave each part's mode and buffers as they were.

    Tensors that their code keeps for later aren't spoilt for training, as `inference_mode` would.
    """
    parts = list(dict.fromkeys(part for module in modules for part in module.modules()))
    modes = [part.training for part in parts]
    buffers = [(b, b.detach().clone()) for module in modules for b in module.buffers()]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode
        with torch.no_grad():
            for buffer, kept in buffers:
                buffer.copy_(kept)


def widened(logits: Tensor) -> Tensor:
    """Logits in 32 bits at least: metrics are computed in what they are given."""
    return logits.float() if logits.element_size() < 4 else logits


def number_of(name: str, value: Any) -> float:
    """A metric's value as a number.

    Raises:
        JobError: It is several.
    """
    if isinstance(value, Tensor | int | float) and torch.as_tensor(value).numel() == 1:
        return float(value)

    shape = getattr(value, "shape", None)
    found = f"a {type(value).__name__}" if shape is None else f"values of shape {list(shape)}"
    raise JobError(
        f"metrics.{name} gives {found}, expected one number: give it average=macro or micro where "
        "it knows that, or another metric"
    )


@dataclass
class Measure:
    """Measures a model on columns of data, outside of any fit.

    Attributes:
        metrics: name -> metric of (answers, truths), see `Problem`: of classes logits [B, C] and indices [B].
        criterion: Its mean over the examples is the metric `loss`.
        transform: The test transform; its device is where the model is measured.
        batch_size: Examples at a time.
        outputs: How many of the model's outputs count, None for all: the version in use has none for newer labels.
        threads: What the process may compute with on a CPU; None leaves torch's setting. The work of the first batch
            says how many threads the others get.
    """

    metrics: Mapping[str, Metric]
    criterion: nn.Module
    transform: BatchTransform
    batch_size: int
    problem: Problem
    outputs: int | None = None
    threads: Threads | None = None

    def __call__(
        self, model: nn.Module, updater: Updater, columns: Columns, classes: list[int] | None = None
    ) -> dict[str, float]:
        """Return each metric and the loss; with `classes` also `task_accuracy`, all other classes' logits masked."""
        device = self.transform.device
        model.to(device)
        updater.to(device)
        with untouched(model, updater):
            return self._measured(model, updater, columns, classes)

    def _counted(self, logits: Tensor) -> Tensor:
        """Outputs of which no further one is ever an answer: fresh weights would now and then win."""
        if self.outputs is None or self.outputs >= logits.shape[1]:
            return logits
        known = logits[:, : self.outputs]
        rest = self.problem.never(known).expand(-1, logits.shape[1] - self.outputs)
        return torch.cat([known, rest], 1)

    def _measured(
        self, model: nn.Module, updater: Updater, columns: Columns, classes: list[int] | None
    ) -> dict[str, float]:
        device = self.transform.device
        loss, known = torch.zeros((), device=device), torch.zeros((), device=device, dtype=torch.int64)
        for metric in self.metrics.values():
            metric.to(device).reset()
        rows = length(columns)
        for logits, targets in self._predictions(model, updater, columns):
            loss += self.criterion(logits, targets) * len(targets)
            answers = self.problem.answers(widened(logits))
            truths = self.problem.truths(targets)
            for metric in self.metrics.values():
                metric.update(answers, truths)
            if classes is not None:
                known += self.problem.correct(logits, targets, classes).sum()
        result = {name: number_of(name, metric.compute()) for name, metric in self.metrics.items()}
        result["loss"] = float(loss) / rows
        if classes is not None:
            result["task_accuracy"] = int(known) / rows
        return result

    def _predictions(self, model: nn.Module, updater: Updater, columns: Columns) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits and targets, of so many batches together that what is done with them costs little beside them."""
        waiting: list[tuple[Tensor, Tensor]] = []
        with ExitStack() as threads:
            rows = length(columns)
            for begin in range(0, rows, self.batch_size):
                batch = self.transform({k: v[begin : begin + self.batch_size] for k, v in columns.items()})
                if begin == 0 and rows > self.batch_size and self.threads is not None and batch.inputs.is_cpu:
                    with Work() as work:
                        logits = updater.predict(model, batch.inputs)
                    threads.enter_context(computing_with(self.threads.count(work)))
                else:
                    logits = updater.predict(model, batch.inputs)
                waiting.append((self._counted(logits), batch.targets))
                if sum(part.numel() for part, _ in waiting) > TOGETHER:
                    yield _joined(waiting)
                    waiting = []
            if waiting:
                yield _joined(waiting)


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    logits, targets = zip(*parts, strict=True)
    return (torch.cat(logits), torch.cat(targets)) if len(parts) > 1 else parts[0]
