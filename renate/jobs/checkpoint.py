"""What lets an interrupted fit go on within an epoch, bit for bit."""

import random
import signal
import sys
import time
import warnings
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from renate.data.batch import Batches
from renate.errors import JobError
from renate.fitting.learner import Learner, Watch
from renate.jobs.directory import START
from renate.jobs.parts import Job

Saved = dict[str, Any]


class Checkpoint(pl.Callback):
    """Writes everything a fit consists of into the job's directory, now and then and when the job is told to end.

    Weights, updater, optimizer, schedulers, memory, the place within the epoch, and every generator's state. Loaded
    with `weights_only=True`; the file is gone once the fit is over. Of a job that a tuner may clone, also one
    file after each epoch, `epoch-<n>.pt`, which the tuner deletes; the clone begins with it, as its own `start.pt`.

    Several processes write one file each, all after the same step, and keep the one before: a kill may come when some
    have written and others not. They go on from the last step that all of them have.

    Args:
        job: Its directory holds the file.
        update: The update's number; a checkpoint of another one is of no use.
        every: Seconds between checkpoints; None writes one only when told to end.
        batches: The epoch's batches, whose place is kept.
        watch: Holds the best epoch so far.
    """

    def __init__(self, job: Job, update: int, every: float | None, batches: Batches, watch: Watch) -> None:
        self.folder, self.update, self.every = job.directory.path, update, every
        self.batches, self.watch, self.ranks = batches, watch, job.ranks
        self.agreed: tuple[bool, bool] | None = None  # what several processes wish together
        self.ending, self.next = False, time.monotonic() + (every or 0)
        self.short = False  # whether the current epoch is the rest of an interrupted one
        self.clonable = "clonable" in job.record and not job.prefix
        self.saved, self.cloned = self._newest(), False
        if self.saved is None and (self.folder / START).exists():
            self.saved, self.cloned = self._load(self.folder / START), True
            if self.saved is None:
                raise JobError(f"{self.folder / START}: unreadable, so the clone can't begin")
        self.directory = job.directory
        if self.ranks.first:
            self._recall(job)

    def _recall(self, job: Job) -> None:
        """Let metrics.jsonl hold what was reported until the checkpoint; a launcher that missed some hears of it."""
        if self.saved is None or self.cloned:
            job.directory.forget(job.prefix, after=self.saved["epochs"] if self.saved else 0)
            return
        job.directory.recall(self.saved["reports"])
        job.emit({"event": "resumed", "reports": self.saved["reports"]})

    def _newest(self) -> Saved | None:
        if self.ranks.alone:
            alone = self._load(self.folder / "checkpoint.pt")
            return alone if alone is not None and self._has_best(alone) else None
        steps = self.ranks.gather([int(file.stem.rpartition("-")[2]) for file in self._files()])
        for step in sorted(set.intersection(*map(set, steps)), reverse=True):
            saved = self._load(self._file(step))
            usable = saved is not None and saved["ranks"] == self.ranks.size
            if all(self.ranks.gather(usable and (not self.ranks.first or self._has_best(saved or {})))):
                self._keep(self._file(step))
                return saved
        self._keep()
        return None

    def _keep(self, *files: Path) -> None:
        """Remove this process's other files: steps that not all have would take the place of those that all will."""
        for file in self._files():
            if file not in files:
                file.unlink()

    def _file(self, step: int) -> Path:
        return self.folder / ("checkpoint.pt" if self.ranks.alone else f"checkpoint-{self.ranks.rank}-{step:09d}.pt")

    def _files(self) -> list[Path]:
        """Every checkpoint of this process, the newest last."""
        return sorted(self.folder.glob("checkpoint.pt" if self.ranks.alone else f"checkpoint-{self.ranks.rank}-*.pt"))

    def _load(self, file: Path) -> Saved | None:
        try:
            saved: Saved = torch.load(file, weights_only=True, map_location="cpu")
        except (OSError, RuntimeError, EOFError, UnpicklingError):  # none, or torn: the update starts over
            return None
        return saved if saved["update"] == self.update else None

    def _has_best(self, saved: Saved) -> bool:
        """Whether the best weights are at hand, or younger ones, that will be made again; an older file is of no use.

        On a disk they are: they are written first. Where both files are mirrored, one may lag behind the other.
        """
        if saved["best"] is None:
            return True
        best = self._load(self.watch.file)
        return best is not None and bool(best["epoch"] >= saved["best_epoch"])

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.saved is None:
            return
        assert isinstance(module, Learner)
        saved, updater = self.saved, module.updater
        module.model.load_state_dict(saved["model"])
        updater.load_state_dict(saved["updater"])
        updater.memory.revert(saved["memory"])
        trainer.precision_plugin.load_state_dict(saved["precision"])
        self.batches.resume(saved["position"], saved["order"])
        set_generators(saved["generators"])
        if self.cloned:
            self._begin_as_clone(trainer, saved)
        else:
            trainer.optimizers[0].load_state_dict(saved["optimizer"])
            for config, state in zip(trainer.lr_scheduler_configs, saved["schedulers"], strict=True):
                config.scheduler.load_state_dict(state)
            loss = saved["meter"]["loss"].to(module.device)
            vars(module.meter).update(saved["meter"] | {"loss": loss})
            self.watch.best, self.watch.best_epoch = saved["best"], saved["best_epoch"]
        self.saved, self.short = None, not self.cloned and saved["position"] > 0

    def _begin_as_clone(self, trainer: pl.Trainer, saved: Saved) -> None:
        """The parent's momenta, the clone's own settings, and its own schedule, as far on as its parent was."""
        optimizer, epochs = trainer.optimizers[0], saved["epochs"]
        own = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
        optimizer.load_state_dict(saved["optimizer"])
        for group, settings in zip(optimizer.param_groups, own, strict=True):
            group.update(settings)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Detected call of `lr_scheduler.step"
            )  # the parent's optimizer has stepped
            for config, state in zip(trainer.lr_scheduler_configs, saved["schedulers"], strict=True):
                if config.reduce_on_plateau:
                    config.scheduler.load_state_dict(state)
                    continue
                per_epoch = -(-len(self.batches) // trainer.accumulate_grad_batches)
                a_time = per_epoch if config.interval == "step" else 1
                scheduler: Any = config.scheduler
                for _ in range(epochs * a_time):
                    scheduler.step()

    def listen(self, trainer: pl.Trainer) -> None:
        """Hear SIGTERM during the fit, in place of Lightning, whose handler would talk to the other processes at once,
        in the middle of whatever they are saying, and tell the loop to end after this batch, checkpoint or not."""
        trainer._signal_connector._sigterm_notifier_fn = self._told_to_end  # type: ignore[method-assign,assignment]

    def _told_to_end(self, *_: object) -> None:
        self.ending = True

    def wishes(self) -> tuple[bool, bool]:
        """Whether a checkpoint is due, and whether the job was told to end."""
        return self.every is not None and time.monotonic() >= self.next, self.ending

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        due, ending = self.agreed or self.wishes()
        if not due and not ending:
            return
        accumulating = self.batches.position % trainer.accumulate_grad_batches != 0
        if accumulating or self.batches.position == len(self.batches):
            return  # what an epoch's last step wishes is granted before the next one begins
        self._grant(trainer, module, ending=ending)

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Save between two epochs: the one before is measured and reported, and the schedulers have stepped."""
        if trainer.current_epoch == 0:  # nothing was trained since what this fit began with
            return
        due, ending = self.agreed or self.wishes()
        if not due and not ending:
            return
        self.batches.begin()
        self._grant(trainer, module, ending=ending)

    def _grant(self, trainer: pl.Trainer, module: pl.LightningModule, *, ending: bool) -> None:
        assert isinstance(module, Learner)
        self._save(trainer, module)
        self.agreed = None if self.ranks.alone else (False, False)
        self.next = time.monotonic() + (self.every or 0)
        if ending:
            sys.exit(128 + signal.SIGTERM)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.short:  # Lightning sees fewer batches than an epoch has, and leaves its schedulers alone
            for config in trainer.lr_scheduler_configs:
                scheduler: Any = config.scheduler
                if config.interval == "epoch" and not config.reduce_on_plateau:
                    scheduler.step()
        self.short = False
        if self.clonable:  # before the epoch is reported: who hears of it may clone it
            assert isinstance(module, Learner)
            done, generator = self.watch.epochs_before + trainer.current_epoch + 1, self.batches.generator
            order = None if generator is None else generator.get_state()
            self._write(
                self.folder / f"epoch-{done}.pt",
                self._everything(trainer, module) | {"epochs": done, "position": 0, "order": order},
            )

    def _save(self, trainer: pl.Trainer, module: Learner) -> None:
        earlier = self._files()
        saved = self._everything(trainer, module)
        file = self._file(saved["steps"])
        self._write(file, saved)
        if not self.ranks.alone:
            self._keep(file, *earlier[-1:])

    def _everything(self, trainer: pl.Trainer, module: Learner) -> Saved:
        watch, updater = self.watch, module.updater
        meter = vars(module.meter) | {"loss": torch.as_tensor(module.meter.loss).clone()}
        return {
            "update": self.update,
            "ranks": self.ranks.size,
            "epochs": watch.epochs_before + trainer.current_epoch,
            "steps": watch.steps_before + trainer.global_step,
            "position": self.batches.position,
            "order": self.batches.order,
            "model": module.model.state_dict(),
            "updater": updater.state_dict(),
            "memory": updater.memory.snapshot(),
            "optimizer": trainer.optimizers[0].state_dict(),
            "schedulers": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
            "precision": trainer.precision_plugin.state_dict(),
            "meter": meter,
            "best": watch.best,
            "best_epoch": watch.best_epoch,
            "generators": generators(),
            "reports": self.directory.reports() if self.ranks.first else [],
        }

    def _write(self, file: Path, saved: Saved) -> None:
        temporary = file.with_suffix(".tmp")
        torch.save(saved, temporary)
        temporary.replace(file)

    def done(self) -> None:
        """The fit is over."""
        self._keep()


def generators() -> dict[str, Any]:
    """The state of every global generator, as tensors, numbers and lists."""
    name, key, *rest = np.random.get_state()  # noqa: NPY002 (the user's own code may draw from it)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.from_numpy(np.asarray(key).astype(np.int64)), *rest],
        "python": [*random.getstate()],
    }


def set_generators(saved: dict[str, Any]) -> None:
    torch.set_rng_state(saved["torch"])
    if saved["cuda"]:
        torch.cuda.set_rng_state_all(saved["cuda"])
    name, key, *rest = saved["numpy"]
    np.random.set_state((name, key.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, internal, gauss = saved["python"]
    random.setstate((version, tuple(internal), gauss))
