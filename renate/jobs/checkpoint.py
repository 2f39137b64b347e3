"""What lets an interrupted fit go on within an epoch, bit for bit."""

import random
import signal
import sys
import threading
import time
from pickle import UnpicklingError
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from renate.data.batch import Batches
from renate.jobs.parts import Job
from renate.learner import Learner, Watch

Saved = dict[str, Any]


class Checkpoint(pl.Callback):
    """Writes everything a fit consists of into the job's directory, now and then and when the job is told to end.

    Weights, updater, optimizer, schedulers, memory, the place within the epoch, and every generator's state. Loaded
    with `weights_only=True`; the file is gone once the fit is over.

    Args:
        job: Its directory holds the file.
        update: The update's number; a checkpoint of another one is of no use.
        every: Seconds between checkpoints; None writes one only when told to end.
        batches: The epoch's batches, whose place is kept.
        watch: Holds the best epoch so far.
    """

    def __init__(self, job: Job, update: int, every: float | None, batches: Batches, watch: Watch) -> None:
        self.file, self.update, self.every = job.directory.path / "checkpoint.pt", update, every
        self.batches, self.watch = batches, watch
        self.ending, self.next = False, time.monotonic() + (every or 0)
        self.short = False  # whether the current epoch is the rest of an interrupted one
        self.saved = self._load()
        job.directory.forget(job.prefix, after=self.saved["epochs"] if self.saved else 0)

    def _load(self) -> Saved | None:
        try:
            saved: Saved = torch.load(self.file, weights_only=True, map_location="cpu")
        except (OSError, RuntimeError, EOFError, UnpicklingError):  # none, or torn: the update starts over
            return None
        return saved if saved["update"] == self.update else None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._told_to_end)  # Lightning restores the old handler after the fit
        if self.saved is None:
            return
        assert isinstance(module, Learner)
        saved, updater = self.saved, module.updater
        module.model.load_state_dict(saved["model"])
        updater.load_state_dict(saved["updater"])
        updater.memory.revert(saved["memory"])
        trainer.optimizers[0].load_state_dict(saved["optimizer"])
        for config, state in zip(trainer.lr_scheduler_configs, saved["schedulers"], strict=True):
            config.scheduler.load_state_dict(state)
        trainer.precision_plugin.load_state_dict(saved["precision"])
        vars(module.meter).update(saved["meter"])
        self.watch.best, self.watch.best_epoch = saved["best"], saved["best_epoch"]
        self.batches.resume(saved["position"], saved["order"])
        set_generators(saved["generators"])
        self.saved, self.short = None, True

    def _told_to_end(self, *_: object) -> None:
        self.ending = True

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        due = self.every is not None and time.monotonic() >= self.next
        if not due and not self.ending:
            return
        accumulating = self.batches.position % trainer.accumulate_grad_batches != 0
        if accumulating or self.batches.position == len(self.batches):
            return  # between two steps of the same epoch is where a fit can go on
        assert isinstance(module, Learner)
        self._save(trainer, module)
        self.next = time.monotonic() + (self.every or 0)
        if self.ending:
            sys.exit(128 + signal.SIGTERM)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self.short:  # Lightning sees fewer batches than an epoch has, and leaves its schedulers alone
            for config in trainer.lr_scheduler_configs:
                scheduler: Any = config.scheduler
                if config.interval == "epoch" and not config.reduce_on_plateau:
                    scheduler.step()
        self.short = False

    def _save(self, trainer: pl.Trainer, module: Learner) -> None:
        watch, updater = self.watch, module.updater
        meter = vars(module.meter) | {"loss": torch.as_tensor(module.meter.loss).clone()}
        saved = {
            "update": self.update,
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
        }
        temporary = self.file.with_suffix(".tmp")
        torch.save(saved, temporary)
        temporary.replace(self.file)

    def done(self) -> None:
        """The fit is over."""
        self.file.unlink(missing_ok=True)


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
