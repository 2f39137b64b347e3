"""Overrides -> a job: its config composed, checked and resolved, its identity, and its directory."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import filter_overrides
from omegaconf import DictConfig, OmegaConf, open_dict

from renate.errors import ConfigError, JobError, nearest
from renate.jobs.directory import JobDirectory
from renate.jobs.text import dump
from renate.jobs.torchrun import check_devices, processes_of
from renate.libraries.omegaconf import look_up_in, move

from .direction import directed
from .identity import identify, leaves
from .interruptions import held_back
from .schema import Schema
from .secrets import resolve

PRECISIONS = (
    "32-true",
    "64-true",
    "bf16-true",
    "16-true",
    "bf16-mixed",
    "16-mixed",
    "transformer-engine",
    "transformer-engine-float16",
)


@dataclass
class Job:
    """One config, ready to run.

    Attributes:
        parts: Of a sweep that is one job, the jobs in it; of a tuner's, one that stands for all trials.
    """

    number: int
    overrides: list[str]
    config: DictConfig
    directory: JobDirectory
    record: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    parts: list["Job"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = " ".join(filter_overrides(self.overrides)) or "defaults"

    @property
    def id(self) -> str:
        return str(self.record["id"])

    def known(self) -> bool:
        """Whether what the directory holds is of this very job; a trial's is named by its number alone."""
        try:
            return bool(self.directory.record["recipe"] == self.record["recipe"])
        except JobError:  # no record, or half of one: nobody knows whose reports and checkpoints are there
            return False


def name_apart(jobs: Sequence[Job]) -> None:
    """Name each job by the overrides that the others don't share, for tables and messages."""
    shared = set.intersection(*(set(job.overrides) for job in jobs))
    for job in jobs:
        job.name = " ".join(o for o in job.overrides if o not in shared) or job.name


class Composer:
    """Composes the jobs of a sweep; each choice of options is merged once, values are set on a copy.

    Args:
        loader: Hydra's.
        base: The sweep's own config.
    """

    def __init__(self, loader: ConfigLoaderImpl, base: DictConfig) -> None:
        self.loader, self.base, self.schema = loader, base, Schema(loader)
        self.chosen: dict[tuple[str, ...], bytes] = {}  # pickled: a copy costs a sixth of deepcopy's

    @held_back()
    def compose(self, number: int, overrides: Sequence[str]) -> Job:
        """Compose one job and check everything that can be known before torch is imported.

        Raises:
            ConfigError: A key, kind or value that can't be right.
            StateError: The state that the job starts from isn't what the config says.
        """
        parsed = [_parsed(line) for line in overrides]
        config, choices = self._merged(number, parsed)
        added = frozenset(o.key_or_group for o in parsed if o.is_add())
        self.schema.check(config, choices, added)
        plain = OmegaConf.to_container(config, resolve=False)
        if missing := sorted(key for key, value in leaves(plain) if value == "???"):
            raise ConfigError(f"{missing[0]} is mandatory: give {' '.join(f'{key}=…' for key in missing)}")
        resolve(config)
        config._set_parent(None)
        _check_values(config)
        record = identify(config)
        path = Path(str(config.run_dir)).absolute() / str(record["id"])
        return Job(number, list(overrides), config, JobDirectory(path), record | {"overrides": list(overrides)})

    @held_back()
    def _merged(self, number: int, parsed: Sequence[Override]) -> tuple[DictConfig, Mapping[str, str | None]]:
        """The job's part of the config, ${hydra.…} within its reach, and group -> option."""
        values = [o for o in parsed if self._is_value(o)]
        options = tuple(str(o.input_line) for o in parsed if o not in values)
        if options not in self.chosen:
            full = self.loader.load_sweep_config(self.base, list(options))
            for key in ("hydra/launcher", "hydra/sweeper"):  # Hydra 1.3 would ignore it in silence
                if full.hydra.runtime.choices[key] != self.base.hydra.runtime.choices[key]:
                    raise ConfigError(
                        f"{key} changes within the sweep ({' '.join(options)}): choose the backend outside of it"
                    )
            self.chosen[options] = pickle.dumps(full)
        full = pickle.loads(self.chosen[options])
        with open_dict(full.hydra):
            full.hydra.job.id, full.hydra.job.num = str(number), number
            full.hydra.overrides.task = [str(o.input_line) for o in parsed]
            full.hydra.job.override_dirname = get_overrides_dirname(
                [o for o in parsed if not o.is_hydra_override()], **full.hydra.job.config.override_dirname
            )
        self.loader._apply_overrides_to_config(values, full)
        HydraConfig.instance().cfg = full  # for ${hydra:…}; set_config would copy it
        config = OmegaConf.create()
        for key in (str(key) for key in full if key != "hydra"):
            move(key, full, config)
        look_up_in(config, full)
        return config, full.hydra.runtime.choices

    def merged(self, overrides: Sequence[str]) -> DictConfig:
        """The config that overrides give, neither checked nor resolved."""
        return self._merged(0, [_parsed(line) for line in overrides])[0]

    def choices(self, overrides: Sequence[str]) -> Mapping[str, str | None]:
        """Group -> option under these overrides."""
        return self._merged(0, [_parsed(line) for line in overrides])[1]

    def is_group(self, key: str) -> bool:
        return bool(self.loader.repository.group_exists(key))

    def _is_value(self, override: Override) -> bool:
        """Whether an override sets a value, and so has no say in which options are merged."""
        return not self.is_group(override.key_or_group) and not override.is_hydra_override()


@cache
def _parsed(override: str) -> Override:
    """Jobs of a sweep share most of their overrides, and the grammar is slow."""
    return OverridesParser.create().parse_overrides([override])[0]


def _check_values(config: DictConfig) -> None:
    """What no single class can check, because it lies between groups."""
    check_devices(config.trainer.devices)
    if config.job.name == "evaluate" and config.state.url is None:
        raise ConfigError("job=evaluate needs state.url=…, the state to evaluate")
    every = config.trainer.report_every
    if every is not None and (not isinstance(every, int) or every < 1):
        raise ConfigError(f"trainer.report_every={every}: expected a number of steps, 1 or more, or null")
    _check_trainer(config.trainer)
    metric, mode, name = config.objective.metric, config.objective.mode, config.job.name
    if mode not in ("max", "min", None):
        raise ConfigError(f"objective.mode={mode}: expected max or min, or null: as the metric has it")
    if metric is None:
        return
    measured = [*config.metrics, "loss"]
    choices = [f"val_{m}" for m in measured] + ["train_loss"]
    if name == "stream":
        choices += [
            "average_accuracy",
            "forgetting",
            "backward_transfer",
            "forward_transfer",
            "learning_accuracy",
        ]
    others = config.objective.others or {}
    for key, value in [("metric=", metric), *(("others.", other) for other in others)]:
        if value not in choices:
            raise ConfigError(f"objective.{key}{value}: not measured{nearest(value, choices)} ({', '.join(choices)})")
    for other, direction in others.items():
        if direction not in ("max", "min", None):
            raise ConfigError(f"objective.others.{other}={direction}: expected max or min")
        others[other] = directed(f"objective.others.{other}", other, direction, config.metrics)
    # From here on every part of the job and every tuner reads the same direction.
    config.objective.mode = directed("objective.mode", metric, mode, config.metrics)
    if metric.startswith("val_") and not OmegaConf.select(config, "data.val_size") and name != "evaluate":
        raise ConfigError(
            f"objective.metric={metric} needs validation data, but data.val_size={config.data.val_size}: "
            "give data.val_size=0.1, or objective.metric=null to keep the last epoch's weights"
        )


def _check_trainer(trainer: DictConfig) -> None:
    """Numbers that Lightning would take for something else, or refuse late."""
    for key, least, odd in (("max_epochs", 1, None), ("max_steps", 1, -1), ("accumulate_grad_batches", 1, None)):
        value = trainer[key]
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or (value < least and value != odd):
            besides = f", or {odd} for all epochs" if odd is not None else ""
            raise ConfigError(f"trainer.{key}={value}: expected a whole number, {least} or more{besides}")
    if trainer.precision is not None and str(trainer.precision) not in PRECISIONS:
        raise ConfigError(
            f"trainer.precision={trainer.precision}: expected {', '.join(PRECISIONS)}"
            f"{nearest(str(trainer.precision), PRECISIONS)}"
        )


def run_here(config: DictConfig, hydra_config: DictConfig) -> float | None:
    """Run a composed config in this process (`hydra/launcher=basic`); returns the objective."""
    from renate.jobs.execute import execute  # lazy: it imports torch

    resolve(config)
    _check_values(config)
    if processes_of(config, config.trainer.devices if isinstance(config.trainer.devices, int) else 1) > 1:
        raise ConfigError(
            f"trainer.devices={config.trainer.devices} needs a launcher of renate's, as hydra/launcher=renate_local"
        )
    record = identify(config) | {"overrides": list(hydra_config.overrides.task), "publish": True}
    directory = JobDirectory(Path(str(config.run_dir)).absolute() / str(record["id"]))
    if config.resume and "already" in record:
        return (directory.result or {}).get("value")
    directory.prepare(dump(config), record)
    result = execute(directory.path)
    if result["status"] == "failed":
        raise JobError(result["error"])
    return result["value"]  # type: ignore[no-any-return]
