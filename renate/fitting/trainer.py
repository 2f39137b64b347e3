"""Lightning's Trainer, set up so that it costs little, and what its settings mean for a fit."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.profilers import (
    AdvancedProfiler,
    PassThroughProfiler,
    Profiler,
    SimpleProfiler,
)

from renate.errors import ConfigError, nearest
from renate.fitting.callback import FitCallback
from renate.fitting.epoch_loop import EpochLoop
from renate.fitting.progress import Progress
from renate.fitting.sharding.strategy import FullySharded, is_sharded
from renate.libraries.lightning import (
    look_for_factories_once,
    on_sigterm,
    without_vote_on_sigterm,
)
from renate.libraries.torch import lacking_to_compile
from renate.ranks import Ranks

Settings = Mapping[str, Any]

# Settings of the group `trainer` that are no arguments of Lightning's Trainer.
OURS = (
    "patience",
    "eval_batch_size",
    "checkpoint_every",
    "report_every",
    "limit_train_batches",
    "threads",
    "compile",
    "cuda_graphs",
    "profile",
    "mask_unused_classes",
)

# What the Trainer is always given here, and who cares for it instead.
TAKEN = {
    "logger": "the group logger has it",
    "enable_checkpointing": "trainer.checkpoint_every has it",
    "enable_progress_bar": "the command shows the progress",
    "enable_model_summary": "it would be printed nowhere",
    "num_sanity_val_steps": "validation is the job's own",
    "limit_val_batches": "validation is the job's own",
    "use_distributed_sampler": "the job deals the rows out",
    "profiler": "trainer.profile=simple has it",
}

# An updater needn't use every parameter at each step (frozen layers, heads of other tasks), where
# plain ddp would stop.
STRATEGY_OF_SEVERAL = "ddp_find_unused_parameters_true"
PROFILERS: dict[str, type[SimpleProfiler | AdvancedProfiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
}
NOTHING: AbstractContextManager[None] = nullcontext()


class NoProfiler(PassThroughProfiler):
    """Measures nothing, as Lightning's default does, which takes 41 generators a step: 0.1 ms."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        """Return a context that does nothing, the same one for every action."""
        return NOTHING


def trainer_of(
    settings: Settings,
    ours: FitCallback,
    *,
    callbacks: Mapping[str, pl.Callback],
    logger: Any,
    ranks: Ranks,
) -> pl.Trainer:
    """The Trainer of a fit; everything that costs time per step is off.

    Args:
        settings: See conf/trainer/default.yaml.
        ours: Says how much of the fit has been run already, before an interruption.
        callbacks: The user's, by their keys in the config.
        logger: Lightning's logger; False for none.
        ranks: The processes that train together.

    Raises:
        ConfigError: A setting or a callback of the user's collides with what the job does itself.
    """
    check_flags(settings, callbacks)

    # Those that look up a metric come after the one that measures it.
    late = [c for c in callbacks.values() if isinstance(c, pl.callbacks.EarlyStopping)]
    early = [c for c in callbacks.values() if c not in late]

    look_for_factories_once()

    with warnings.catch_warnings(), _refused_in_one_line():
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric")
        trainer = pl.Trainer(
            **_arguments(settings, ours.progress, ranks),
            logger=logger,
            callbacks=[*early, ours, *late],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            use_distributed_sampler=False,
            profiler=profiler_of(settings, ours.checkpoint.files.folder),
        )

    EpochLoop.replace(trainer, FitCallback)
    on_sigterm(trainer, ours.checkpoint.told_to_end)
    if not ranks.alone:
        without_vote_on_sigterm(trainer)

    return trainer


@contextmanager
def _refused_in_one_line() -> Iterator[None]:
    """Whatever Lightning can't do with a setting is the user's to mend."""
    try:
        yield
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise ConfigError(f"trainer: {' '.join(str(error).split())}") from error


def _arguments(settings: Settings, progress: Progress, ranks: Ranks) -> dict[str, Any]:
    """What the Trainer is given of the settings; what an interrupted fit has run is taken off."""
    given = {k: v for k, v in settings.items() if k not in (*OURS, "callbacks")}
    given["precision"] = given["precision"] or "32-true"
    given["max_epochs"] -= progress.epochs_before
    if given["max_steps"] >= 0:
        given["max_steps"] -= progress.steps_before

    given["devices"] = ranks.size // ranks.hosts
    given["num_nodes"] = ranks.hosts
    default = STRATEGY_OF_SEVERAL
    if ranks.alone:
        default = "auto"

    given["strategy"] = given["strategy"] or default
    if is_sharded(settings):
        given["strategy"] = FullySharded()

    return given


def profiler_of(settings: Settings, folder: Path) -> Profiler:
    """What measures the steps: nothing, or what `trainer.profile` names, which writes into a
    folder.

    Raises:
        ConfigError: There is no such profiler.
    """
    name = settings.get("profile")
    if name is None:
        return NoProfiler()
    if name not in PROFILERS:
        raise ConfigError(
            f"trainer.profile={name}: expected {' or '.join(PROFILERS)}{nearest(name, PROFILERS)}"
        )

    return PROFILERS[name](dirpath=folder, filename="profile")


def check_flags(settings: Settings, callbacks: Mapping[str, pl.Callback]) -> None:
    """Return if nothing of what the user added collides with what the job does itself.

    Raises:
        ConfigError: Naming the key.
    """
    for key, why in TAKEN.items():
        if key in settings:
            found = f"trainer.{key}={settings[key]}"
            raise ConfigError(f"{found}: the job sets it ({why}): leave it out")

    for name, callback in callbacks.items():
        if isinstance(callback, pl.callbacks.Checkpoint):
            raise ConfigError(
                f"{name}: the job keeps checkpoints and the best weights itself "
                "(trainer.checkpoint_every, objective.metric): leave it out",
            )


def check_precision(settings: Settings) -> None:
    """Return if this machine can train in the precision that the settings ask for.

    Raises:
        ConfigError: It lacks a package or a device.
    """
    precision = str(settings["precision"])
    if precision.startswith("transformer-engine") and find_spec("transformer_engine") is None:
        raise ConfigError(
            f"trainer.precision={precision} needs the package transformer_engine and an NVIDIA "
            "GPU: pip install transformer_engine, or trainer.precision=bf16-mixed",
        )

    if precision == "16-mixed" and device_of(settings).type == "cpu":
        found = "trainer.precision=16-mixed needs a GPU, this fit is on the CPU"
        raise ConfigError(f"{found}: trainer.precision=bf16-mixed runs there")


def check_compile(settings: Settings) -> None:
    """Return if a model can be compiled here, where the settings ask for that.

    Raises:
        ConfigError: There is no device, or no compiler, for it.
    """
    device = device_of(settings).type
    graphs = settings.get("cuda_graphs")
    if graphs and device != "cuda":
        raise ConfigError(
            f"trainer.cuda_graphs=true needs an NVIDIA GPU, this fit is on the {device}: "
            "trainer.cuda_graphs=false"
        )

    if graphs or settings["compile"]:
        key = "compile"
        if graphs:
            key = "cuda_graphs"

        lacks = lacking_to_compile(device)
        if lacks is not None:
            found = f"trainer.{key}=true needs {lacks}, which isn't here"
            raise ConfigError(f"{found}: install it, or trainer.{key}=false")


def device_of(settings: Settings) -> torch.device:
    """The device that Lightning will choose for these settings in this process.

    Raises:
        ConfigError: There is none of the kind that is asked for.
    """
    wanted = settings["accelerator"]
    if wanted in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", Ranks.from_environment().local)
    if wanted in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps", 0)
    if wanted in ("gpu", "cuda", "mps"):
        raise ConfigError(
            f"trainer.accelerator={wanted}: torch finds none on this machine; "
            "trainer.accelerator=auto takes what there is"
        )
    return torch.device("cpu")


def limit_of(settings: Settings, batches: int) -> int | None:
    """Batches of an epoch by `trainer.limit_train_batches`; None where nothing limits them.

    The setting is a number, or a share where it is no whole number.

    Raises:
        ConfigError: It leaves none.
    """
    limit = settings.get("limit_train_batches")
    if limit is None:
        return None

    kept = limit
    if isinstance(limit, float):
        kept = int(limit * batches)

    is_share_above_all = isinstance(limit, float) and limit > 1
    if isinstance(limit, bool) or not isinstance(kept, int) or kept < 1 or is_share_above_all:
        raise ConfigError(
            f"trainer.limit_train_batches={limit}: expected a number of batches, or a share of the "
            f"{batches} that leaves one at least",
        )

    return kept


def lengths(settings: Settings, batches: int) -> tuple[int, int]:
    """Epochs and optimizer steps of a whole fit, whichever of max_epochs and max_steps ends it.

    An epoch's last gradients make a step however few batches they were accumulated over.

    Args:
        settings: See conf/trainer/default.yaml.
        batches: Of an epoch.
    """
    per_epoch = -(-batches // settings["accumulate_grad_batches"])
    steps = per_epoch * settings["max_epochs"]
    if settings["max_steps"] >= 0:
        steps = min(steps, settings["max_steps"])

    return -(-steps // per_epoch), steps
