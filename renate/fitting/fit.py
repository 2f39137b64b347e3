"""One fit, from the first step to the best epoch's weights."""

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from torch import nn

from renate.data.batch import Batches
from renate.data.items.served import first_of
from renate.fitting.callback import FitCallback
from renate.fitting.learner import Learner
from renate.generators import generators, set_generators
from renate.models.own.untouched import untouched
from renate.threads import Threads, computing_with, work_of

EXAMPLES = 2  # enough to count by what a model does with one


@dataclass(frozen=True)
class Fitted:
    """What a fit came to.

    Attributes:
        value: The objective's best value, where it is one of a fit's.
        counts: Steps of the optimizer, examples per second, best epoch.
    """

    value: float | None
    counts: dict[str, float]


def train(trainer: pl.Trainer, callback: FitCallback, batches: Batches, threads: int) -> Fitted:
    """Train a learner on batches; the best epoch's weights are in place afterwards.

    Args:
        trainer: Has the callback, which knows the learner.
        callback: Validates and keeps the best weights meanwhile.
        batches: Of one epoch after another.
        threads: What torch computes with on a CPU.

    Raises:
        JobError: A loss, or the objective in every epoch, is no number, or the fit went on from
            where nothing was left to train.
    """
    learner: Learner = callback.validation.learner
    progress = learner.progress
    ranks = callback.validation.ranks

    began = time.monotonic()
    with warnings.catch_warnings(), computing_with(threads):
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
        trainer.fit(learner, batches)

    seconds = time.monotonic() - began
    callback.checkpoint.check_restored()

    if progress.losses:  # of steps since the last validation
        learner.check_loss(progress.mean_loss(ranks))

    callback.validation.restore_best()
    callback.checkpoint.done()

    (examples,) = ranks.all_sum(progress.examples - progress.examples_before)
    counts = {
        "steps": float(progress.steps_done(trainer)),
        "examples_per_second": examples / max(seconds, 1e-9),
    }
    if progress.best is not None:
        counts["best_epoch"] = float(progress.best_epoch)

    return Fitted(progress.best, counts)


def threads_for(settings: Mapping[str, Any], model: nn.Module, batches: Batches) -> int:
    """Threads for the steps of a fit, by what the model does with a few examples.

    The look leaves no trace in the model and in the generators.

    Args:
        settings: Of the config's group `trainer`.
        model: Where the batches go.
        batches: Of the fit.
    """
    threads = Threads.of(settings)
    if threads.fixed is not None or batches.transform.device.type != "cpu":
        return threads.fixed or threads.most

    few = first_of(batches.columns, EXAMPLES)
    kept = generators()
    with untouched(model):
        work = work_of(model, batches.transform(few).inputs)

    set_generators(kept)

    updated = sum(each.numel() for each in model.parameters() if each.requires_grad)
    times = batches.batch_size / len(few["targets"])

    return threads.count(work, times=times, updated=updated)
