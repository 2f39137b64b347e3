"""Lightning's Trainer, set up so that it costs little: one fit."""

import random
import time
import warnings
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.utilities import registry
from pytorch_lightning.profilers import PassThroughProfiler
from torch import nn

from renate.build import build
from renate.data.batch import Batches, Columns, length
from renate.errors import ConfigError, DataError, JobError
from renate.fitting.learner import Learner, Midway, Watch
from renate.fitting.measure import Measure, untouched
from renate.jobs.checkpoint import Checkpoint, generators, set_generators
from renate.jobs.epoch_loop import EpochLoop
from renate.jobs.lockstep import Lockstep
from renate.jobs.parts import Job, dtype_of, optimizer_of, scheduler_of, transform
from renate.jobs.probe import EXAMPLES
from renate.ranks import Ranks
from renate.seeds import derive
from renate.threads import Threads, computing_with, work_of
from renate.updaters.base import Updater


class NoProfiler(PassThroughProfiler):
    """Lightning's default measures nothing either, but in 41 generator-based contexts a step: 0.1 ms."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return NOTHING


# An updater needn't use every parameter at each step (frozen layers, heads of other tasks), where plain ddp would stop.
SEVERAL = "ddp_find_unused_parameters_true"
NOTHING: AbstractContextManager[None] = nullcontext()
# For each Trainer Lightning looks through all installed packages for callback factories: 6 ms, once per process now.
vars(registry)["entry_points"] = cache(entry_points)


@dataclass
class Fitted:
    """The objective's best value, if it is one of the fit's, and steps, examples per second, best epoch."""

    value: float | None
    counts: dict[str, float]


def seed_everything(seed: int, trainer: dict[str, Any]) -> None:
    """Seed the global generators: they serve weights, dropout and random transforms."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (the user's own code may draw from it)
    torch.manual_seed(seed)
    if trainer["deterministic"]:
        torch.use_deterministic_algorithms(True)


def share_of(columns: Columns, ranks: Ranks) -> Columns:
    """Every `size`th row, from the `rank`th on: views."""
    return columns if ranks.alone else {name: column[ranks.rank :: ranks.size] for name, column in columns.items()}


def batches_of(job: Job, train: Columns, device: torch.device, number: int, *, own: bool) -> Batches:
    """The batches of an update's epochs; `own` where each process has rows of its own, else all have the same.

    Raises:
        DataError: There is less than a row for each process.
    """
    ranks, size = job.ranks, job.config["data"]["batch_size"]
    generator = torch.Generator().manual_seed(derive(job.config["seed"], "shuffle", number))
    stream = transform(job, "stream", device)
    rows = ranks.gather(length(train))
    if min(rows) < (1 if own else ranks.size):
        total = sum(rows) if own else rows[0]
        raise DataError(f"{total} training examples for {ranks.size} processes: give trainer.devices=1")
    if not own or ranks.alone:
        return Batches(train, size, stream, generator, share=(ranks.rank, ranks.size))
    steps = min(-(-max(rows) // size), min(rows))
    return Batches(train, size, stream, generator, steps=steps)


def fit(
    job: Job,
    model: nn.Module,
    updater: Updater,
    batches: Batches,
    val: Columns | None,
    measure: Measure,
    number: int,
) -> Fitted:
    """Train a model by its updater on batches of data; the best epoch's weights are in place afterwards."""
    config, objective, ranks = job.config["trainer"], job.config["objective"], job.ranks

    def validate() -> dict[str, float]:
        if val is None:
            return {}
        return {f"val_{k}": v for k, v in ranks.share(lambda: measure(model, updater, val)).items()}

    metric = objective["metric"] if val is not None or not str(objective["metric"]).startswith("val_") else None
    watch = Watch(
        validate,
        job.report,
        job.tick,
        metric,
        objective["mode"],
        config["patience"],
        job.directory.path / "best.pt",
        number,
        ranks=ranks,
        by_epoch=config["report_every"] is None,
    )
    batches.limit = limit_of(config, len(batches))
    epochs, steps = lengths(config, len(batches))
    checkpoint = Checkpoint(job, number, config["checkpoint_every"], batches, watch)
    watch.total = steps
    if checkpoint.saved is not None:
        watch.epochs_before, watch.steps_before = checkpoint.saved["epochs"], checkpoint.saved["steps"]
    together = [] if ranks.alone else [Lockstep(ranks, updater.memory, checkpoint, job.directory)]
    midway = [] if watch.by_epoch else [Midway(watch, config["report_every"])]
    trainer = trainer_of(job, [*midway, *together, checkpoint, watch], watch.epochs_before, watch.steps_before)
    EpochLoop.replace(trainer, Watch, Midway, Checkpoint)
    checkpoint.listen(trainer)
    if dtype_of(config) is not None:  # `BatchTransform` has cast already; what goes into a memory stays as it is
        trainer.precision_plugin.convert_input = _as_it_is  # type: ignore[method-assign,assignment]
    default = metric if metric is not None and metric.startswith(("val_", "train_")) else None
    default = default or ("train_loss" if val is None else "val_loss")
    make, interval, monitor = scheduler_of(job, {"epoch": epochs, "step": steps}, default)
    if not ranks.first:  # alike until here; from now on each has dropout and random transforms of its own
        seed_everything(derive(job.config["seed"], f"training of rank {ranks.rank}", number), config)
    learner = Learner(model, updater, optimizer_of(job), make, interval, monitor)
    began = time.monotonic()
    with warnings.catch_warnings(), computing_with(threads_for(config, model, batches)):
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
        trainer.fit(learner, batches)
    seconds = time.monotonic() - began
    if learner.meter.losses:  # of steps that no look has seen
        learner.check_loss(learner.meter.mean(ranks))
    if watch.best is None and watch.undefined:
        raise JobError(
            f"objective.metric={watch.metric} was no number in any epoch: nothing is published; "
            "objective.metric=null keeps the last epoch's weights"
        )
    watch.restore(model, updater)
    checkpoint.done()
    (examples,) = ranks.total(learner.meter.examples)
    counts = {"steps": float(learner.meter.steps), "examples_per_second": examples / max(seconds, 1e-9)}
    if watch.best is not None:
        counts["best_epoch"] = float(watch.best_epoch)
    return Fitted(watch.best, counts)


def threads_for(config: dict[str, Any], model: nn.Module, batches: Batches) -> int:
    """Threads for the steps of a fit, by what the model does with a few examples; a look that leaves no trace."""
    threads = Threads.of(config)
    if threads.fixed is not None or batches.transform.device.type != "cpu":
        return threads.fixed or threads.most
    few = {name: column[:EXAMPLES] for name, column in batches.columns.items()}
    kept = generators()
    with untouched(model):
        work = work_of(model, batches.transform(few).inputs)
    set_generators(kept)
    updated = sum(each.numel() for each in model.parameters() if each.requires_grad)
    return threads.count(work, times=batches.batch_size / len(few["targets"]), updated=updated)


def _as_it_is(batch: Any) -> Any:
    return batch


def limit_of(config: dict[str, Any], batches: int) -> int | None:
    """Batches of an epoch by `trainer.limit_train_batches`: a number, or a share where it is no whole number.

    Raises:
        ConfigError: It leaves none.
    """
    limit = config.get("limit_train_batches")
    if limit is None:
        return None

    kept = int(limit * batches) if isinstance(limit, float) else limit
    if not isinstance(kept, int) or kept < 1 or (isinstance(limit, float) and limit > 1):
        raise ConfigError(
            f"trainer.limit_train_batches={limit}: expected a number of batches, or a share of the "
            f"{batches} that leaves one at least"
        )
    return kept


def lengths(config: dict[str, Any], batches: int) -> tuple[int, int]:
    """Epochs and optimizer steps of a whole fit, whichever of max_epochs and max_steps ends it.

    An epoch's last gradients make a step however few batches they were accumulated over.
    """
    per_epoch = -(-batches // config["accumulate_grad_batches"])
    steps = per_epoch * config["max_epochs"]
    if config["max_steps"] >= 0:
        steps = min(steps, config["max_steps"])
    return -(-steps // per_epoch), steps


# What the Trainer is always given here, and who cares for it instead.
TAKEN = {
    "logger": "the group logger has it",
    "enable_checkpointing": "trainer.checkpoint_every has it",
    "enable_progress_bar": "the command shows the progress",
    "enable_model_summary": "it would be printed nowhere",
    "num_sanity_val_steps": "validation is the job's own",
    "limit_val_batches": "validation is the job's own",
    "use_distributed_sampler": "the job deals the rows out",
    "profiler": "benchmarks measure the steps",
}


def check_flags(config: dict[str, Any], callbacks: dict[str, pl.Callback]) -> None:
    """Return if nothing of what the user added collides with what the job does itself.

    Raises:
        ConfigError: Naming the key.
    """
    for key, why in TAKEN.items():
        if key in config:
            raise ConfigError(f"trainer.{key}={config[key]}: the job sets it ({why}): leave it out")
    for name, callback in callbacks.items():
        if isinstance(callback, pl.callbacks.Checkpoint):
            raise ConfigError(
                f"trainer.callbacks.{name}: the job keeps checkpoints and the best weights itself "
                "(trainer.checkpoint_every, objective.metric): leave it out"
            )


def check_precision(config: dict[str, Any]) -> None:
    """Return if this machine can train in the precision that the config asks for.

    Raises:
        ConfigError: It lacks a package or a device.
    """
    precision = str(config["precision"])
    if precision.startswith("transformer-engine") and find_spec("transformer_engine") is None:
        raise ConfigError(
            f"trainer.precision={precision} needs the package transformer_engine and an NVIDIA GPU: "
            "pip install transformer_engine, or trainer.precision=bf16-mixed"
        )
    if precision == "16-mixed" and device_of(config).type == "cpu":
        raise ConfigError(
            "trainer.precision=16-mixed needs a GPU, this fit is on the CPU: trainer.precision=bf16-mixed runs there"
        )


def trainer_of(job: Job, ours: list[pl.Callback], epochs: int, steps: int) -> pl.Trainer:
    """See conf/trainer/default.yaml for the settings; everything that costs time per step is off.

    `epochs` and `steps` have been run already, before an interruption.
    """
    config = dict(job.config["trainer"])
    for key in ("patience", "eval_batch_size", "checkpoint_every", "report_every", "limit_train_batches", "threads"):
        config.pop(key, None)
    config["max_epochs"] -= epochs
    if config["max_steps"] >= 0:
        config["max_steps"] -= steps
    own = config.pop("callbacks")
    built = {n: build(node, f"trainer.callbacks.{n}", trust=job.config["trust"]) for n, node in own.items()}
    check_flags(config, built)
    # Those that look up a metric come after the one that measures it.
    late = [c for c in built.values() if isinstance(c, pl.callbacks.EarlyStopping)]
    callbacks = [c for c in built.values() if c not in late]
    precision = config.pop("precision")
    ranks = job.ranks
    config |= {"devices": ranks.size // ranks.hosts, "num_nodes": ranks.hosts}
    if not ranks.alone:
        config["strategy"] = config["strategy"] or SEVERAL
    config["strategy"] = config["strategy"] or "auto"
    logger: Any = False
    if "_target_" in job.config["logger"] and ranks.first:
        node = job.config["logger"]
        logger = job.build("logger", **({"save_dir": str(job.directory.path)} if node.get("save_dir") is None else {}))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
        return pl.Trainer(
            **config,
            precision=precision or "32-true",
            logger=logger,
            callbacks=[*callbacks, *ours, *late],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            use_distributed_sampler=False,
            profiler=NoProfiler(),
        )


def device_of(config: dict[str, Any]) -> torch.device:
    """The device that Lightning will choose for these trainer settings in this process."""
    wanted = config["accelerator"]
    if wanted in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", Ranks.from_environment().local)
    if wanted in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps", 0)
    return torch.device("cpu")
