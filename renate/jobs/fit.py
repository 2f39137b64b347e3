"""From a job's config to one fit: its batches, its Trainer, and what happens around the steps."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import pytorch_lightning as pl
import torch
from torch import nn

from renate.build import build, infer, locate
from renate.checks.arguments import target_of
from renate.data.batch import Batches, Columns, length
from renate.data.devices.placement import AUTO, Bringer
from renate.errors import DataError
from renate.fitting.callback import FitCallback
from renate.fitting.checkpoint import Checkpoint
from renate.fitting.checkpoint_files import CheckpointFiles
from renate.fitting.fit import Fitted, threads_for, train
from renate.fitting.learner import Learner, Schedule
from renate.fitting.measure import Measure
from renate.fitting.progress import Progress
from renate.fitting.rank_sync import RankSync
from renate.fitting.sharding.strategy import is_sharded
from renate.fitting.sharding.weights import Shares, Weights
from renate.fitting.trainer import lengths, limit_of, trainer_of
from renate.fitting.validation import Objective, Validation
from renate.generators import seed_everything
from renate.jobs.builders import dtype_of, mode_of, optimizer_of, scheduler_of, transform
from renate.jobs.checks.monitored import Monitored, callback_nodes, monitored_in
from renate.jobs.context import Config, Job
from renate.jobs.directory import START, Stopped
from renate.jobs.records import ReportRow
from renate.jobs.running.loggers import loggers_of
from renate.libraries.lightning import without_conversion
from renate.libraries.torch import as_written, compiled
from renate.problems.base import Problem
from renate.ranks import Ranks
from renate.seeds import derive
from renate.updaters.base import Updater


def share_of(columns: Columns, ranks: Ranks) -> Columns:
    """Every `size`th row, from the `rank`th on: views."""
    if ranks.alone:
        return columns
    return {name: column[ranks.rank :: ranks.size] for name, column in columns.items()}


def batches_of(
    job: Job,
    rows: Columns,
    device: torch.device,
    number: int,
    *,
    own: bool,
    problem: Problem | None = None,
) -> Batches:
    """The batches of an update's epochs.

    Args:
        job: Its config says how many rows a batch has, and how many batches an epoch.
        rows: What to train on.
        device: Where batches go.
        number: The update's, which the order of the rows follows.
        own: Whether each process has rows of its own; else all have the same.
        problem: What is predicted, for a mix of examples; None where nothing is mixed.

    Raises:
        DataError: There is less than a row for each process.
    """
    ranks = job.ranks
    size = job.config["data"]["batch_size"]
    generator = torch.Generator().manual_seed(derive(job.config["seed"], "shuffle", number))
    stream = transform(job, "stream", device, problem)

    counts = ranks.gather(length(rows))

    if min(counts) < (1 if own else ranks.size):
        total = sum(counts) if own else counts[0]
        found = f"{total} training examples for {ranks.size} processes"
        raise DataError(f"{found}: give trainer.devices=1")

    if own and not ranks.alone:
        steps = min(-(-max(counts) // size), min(counts))
        batches = Batches(rows, size, stream, generator, steps=steps)
    else:
        batches = Batches(rows, size, stream, generator, share=(ranks.rank, ranks.size))

    batches.limit = limit_of(job.config["trainer"], len(batches))
    batches.bring = Bringer(rows, job.config["data"].get("device", AUTO), device)

    return batches


def release(batches: Batches) -> None:
    """Let batches that nobody iterates over any more hold their rows no longer.

    A trainer of Lightning's is a cycle, and it holds the batches until Python's collector comes:
    the rows of one update would lie beside those of the next.
    """
    batches.columns = {}
    batches.bring.release()


def fit(
    job: Job,
    model: nn.Module,
    updater: Updater,
    batches: Batches,
    val: Columns | None,
    measure: Measure,
    number: int,
) -> Fitted:
    """Train a model by its updater on batches of data.

    The best epoch's weights are in place afterwards.

    Args:
        job: Its config says how.
        model: What is trained.
        updater: What says how.
        batches: Of one epoch after another.
        val: Validation data, if there is any.
        measure: What measures the model on it.
        number: The update's.
    """
    settings = job.config["trainer"]
    epochs, steps = lengths(settings, len(batches))
    progress = Progress(update=number, total=steps, content=job.content)
    objective = _objective_of(job, val)

    monitored = monitored_in(job, measure, objective, val)
    schedule = _schedule_of(job, {"epoch": epochs, "step": steps}, monitored)
    graphs = bool(settings.get("cuda_graphs"))
    weights = Weights(model)
    if is_sharded(settings):
        weights = Shares(model)

    optimizer = optimizer_of(job)
    learner = Learner(model, updater, optimizer, schedule, progress, weights=weights, graphs=graphs)

    def validate() -> dict[str, float]:
        if val is None:
            return {}
        # Answers to several batches are kept together, which a graph would write over
        with as_written(model) if graphs else nullcontext():
            found = job.ranks.broadcast(lambda: measure(model, updater, val))

        return {f"val_{name}": value for name, value in found.items()}

    best = job.directory.path / "best.pt"
    validation = Validation(learner, validate, objective, job.report, best, job.ranks)
    checkpoint = _checkpoint_of(job, learner, batches, best)
    sync = None
    if not job.ranks.alone:
        sync = _sync_of(job, updater)

    callback = FitCallback(validation, checkpoint, sync, job.tick, _steps_of_reports(job, steps))
    trainer = _trainer_of(job, callback, monitored)
    if not job.ranks.first:
        # All were alike until here; from now on each has dropout and random transforms of its own.
        seed = derive(job.config["seed"], f"training of rank {job.ranks.rank}", number)
        seed_everything(seed, settings)

    threads = threads_for(settings, model, batches)
    with compiled(model, settings["compile"], graphs=graphs):
        return train(trainer, callback, batches, threads)


def _schedule_of(job: Job, lasting: dict[str, int], monitored: Monitored) -> Schedule | None:
    """The learning rate's, if there is any."""
    make, interval, monitor = scheduler_of(job, lasting, monitored)
    if make is None:
        return None
    return Schedule(make, interval, monitor)


def _objective_of(job: Job, val: Columns | None) -> Objective:
    """What says which weights are the best; nothing where that needs data that aren't there.

    Raises:
        DataError: They aren't there, and a tuner is to choose by them.
    """
    objective = job.config["objective"]
    metric = objective["metric"]
    if val is None and str(metric).startswith("val_"):
        if job.candidate is not None:
            raise DataError(
                f"objective.metric={metric}: a tuner chooses by validation data, and there are "
                "none: hold some out by data.val_size=0.1, or by the val_size of a config file's "
                "data module"
            )
        metric = None
    return Objective(metric, objective["mode"], job.config["trainer"]["patience"])


def _steps_of_reports(job: Job, steps: int) -> int | None:
    """Steps between two reports, None for one after each epoch; a fit too short for one is said."""
    every: int | None = job.config["trainer"]["report_every"]
    if every is not None and every > steps:
        job.say(
            f"trainer.report_every={every}: the update has {steps} steps, so that none is measured "
            "and the last weights are kept, whatever they are worth"
        )

    return every


def _sync_of(job: Job, updater: Updater) -> RankSync:
    """What several processes decide together."""

    def stop() -> NoReturn:
        raise Stopped

    return RankSync(job.ranks, updater.memory, lambda: job.directory.asked_to_stop, stop)


def _checkpoint_of(job: Job, learner: Learner, batches: Batches, best: Path) -> Checkpoint:
    """The fit's checkpoint, and in metrics.jsonl what was reported until then, and no more."""
    folder = job.directory.path
    update = learner.progress.update
    checkpoint = Checkpoint(
        learner,
        batches,
        CheckpointFiles(folder, update, best, job.ranks, job.content),
        lambda: [row.to_json() for row in job.directory.reports()],
        job.config["trainer"]["checkpoint_every"],
        start=folder / START,
        clonable=job.record.clonable and not job.prefix,
    )
    if not job.ranks.first:
        return checkpoint

    saved = checkpoint.saved
    if saved is None or checkpoint.cloned:
        job.directory.forget(job.prefix, after=learner.progress.epochs_before)
    else:
        job.directory.recall([ReportRow.from_json(one) for one in saved["reports"]])
        # A launcher that missed some of them hears of all.
        job.emit({"event": "resumed", "reports": saved["reports"]})

    return checkpoint


def _trainer_of(job: Job, callback: FitCallback, monitored: Monitored) -> pl.Trainer:
    """The Trainer, with the user's callbacks and loggers."""
    job.loggers = loggers_of(job)
    settings = job.config["trainer"]
    callbacks = {key: _callback_of(job, node, key, monitored) for key, node in callback_nodes(job)}
    trainer = trainer_of(
        settings,
        callback,
        callbacks=callbacks,
        logger=job.loggers or False,
        ranks=job.ranks,
    )
    if dtype_of(settings) is not None:
        without_conversion(trainer)

    return trainer


def _callback_of(job: Job, node: Config, key: str, monitored: Monitored) -> Any:
    """A callback of the user's; nulls of one that stops early are what it waits for by default.

    Raises:
        ConfigError: It can't be built, or waits for what isn't measured.
    """
    trust = job.config["trust"]
    found = locate(target_of(node, key), key, trust)
    if isinstance(found, type) and issubclass(found, pl.callbacks.EarlyStopping):
        node = infer(node, {"monitor": monitored.default})
        monitored.check(key, str(node["monitor"]))
        if node.get("mode") is None:
            node["mode"] = mode_of(job, node["monitor"], key)

    return build(node, key, trust=trust)
