"""Overrides -> a job: its config composed, checked and resolved, its identity, and its
directory.
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf, open_dict

from renate.errors import ConfigError, JobError
from renate.jobs.config_yaml import dump
from renate.jobs.directory import JobDirectory
from renate.jobs.running.torchrun import processes_of
from renate.libraries.omegaconf import look_up_in, move

from ..base import ComposedJob
from .checks.schema import Schema
from .checks.values import check_values
from .identity import identify, leaves
from .interruptions import held_back
from .secrets import resolve


class Composer:
    """Composes the jobs of a sweep.

    Each choice of options is merged once, values are set on a copy.

    Args:
        loader: Hydra's.
        base: The sweep's own config.
    """

    def __init__(self, loader: ConfigLoaderImpl, base: DictConfig) -> None:
        self.loader = loader
        self.base = base
        self.schema = Schema(loader)
        # Pickled: a copy costs a sixth of deepcopy's.
        self.chosen: dict[tuple[str, ...], bytes] = {}

    def compose(self, number: int, overrides: Sequence[str]) -> ComposedJob:
        """Compose one job and check everything that can be known before torch is imported.

        Raises:
            ConfigError: A key, kind or value that can't be right.
            StateError: The state that the job starts from isn't what the config says.
        """
        return self.compose_for_hydra(number, overrides)[0]

    @held_back()
    def compose_for_hydra(
        self, number: int, overrides: Sequence[str]
    ) -> tuple[ComposedJob, DictConfig]:
        """The job, and the whole config that it is the job's part of, Hydra's settings in it."""
        parsed = [_parsed(line) for line in overrides]
        with self._merged(number, parsed) as (config, full):
            added = frozenset(o.key_or_group for o in parsed if o.is_add())
            self.schema.check(config, full.hydra.runtime.choices, added)
            _leave_out_what_the_state_knows(config)
            _check_nothing_is_missing(config)
            resolve(config)
            config._set_parent(None)
            check_values(config)
            record = replace(identify(config), overrides=list(overrides), **_said(config))

        path = Path(str(config.run_dir)).absolute() / record.id
        return ComposedJob(number, list(overrides), config, JobDirectory(path), record), full

    def select(self, overrides: Sequence[str], key: str) -> Any:
        """The value of a key under these overrides."""
        with self._merged(0, [_parsed(line) for line in overrides]) as (config, _):
            return OmegaConf.select(config, key)

    def merged(self, overrides: Sequence[str]) -> DictConfig:
        """The config that overrides give, neither checked nor resolved."""
        with self._merged(0, [_parsed(line) for line in overrides]) as (config, _):
            return config

    def choices(self, overrides: Sequence[str]) -> Mapping[str, str | None]:
        """Group -> option under these overrides."""
        with self._merged(0, [_parsed(line) for line in overrides]) as (_, full):
            choices: Mapping[str, str | None] = full.hydra.runtime.choices
        return choices

    def is_group(self, key: str) -> bool:
        """Whether a key of an override is a group of options; `group@place` is one too."""
        return bool(self.loader.repository.group_exists(key.partition("@")[0]))

    @contextmanager
    def _merged(
        self, number: int, parsed: Sequence[Override]
    ) -> Iterator[tuple[DictConfig, DictConfig]]:
        """The job's part of the config, and the whole; `${hydra:…}` means this job's within the
        block.
        """
        # Its config is a DictConfig, whatever Hydra calls it.
        instance: Any = HydraConfig.instance()
        before = instance.cfg
        config, full = self._merge(number, parsed)
        instance.cfg = full  # set_config would copy it

        try:
            yield config, full
        finally:
            instance.cfg = before

    @held_back()
    def _merge(self, number: int, parsed: Sequence[Override]) -> tuple[DictConfig, DictConfig]:
        values = [o for o in parsed if self._is_value(o)]
        options = tuple(str(o.input_line) for o in parsed if o not in values)
        if options not in self.chosen:
            self.chosen[options] = pickle.dumps(self._with_options(options))

        full: DictConfig = pickle.loads(self.chosen[options])

        with open_dict(full.hydra):
            full.hydra.job.id = str(number)
            full.hydra.job.num = number
            full.hydra.overrides.task = [str(o.input_line) for o in parsed]
            full.hydra.job.override_dirname = get_overrides_dirname(
                [o for o in parsed if not o.is_hydra_override()],
                **full.hydra.job.config.override_dirname,
            )

        self.loader._apply_overrides_to_config(values, full)

        config = OmegaConf.create()
        for key in (str(key) for key in full if key != "hydra"):
            move(key, full, config)

        look_up_in(config, full)  # so that ${hydra.…} is within reach

        return config, full

    def _with_options(self, options: Sequence[str]) -> DictConfig:
        full = self.loader.load_sweep_config(self.base, list(options))
        for kind in ("launcher", "sweeper"):  # Hydra 1.3 would ignore it in silence
            if _class_of(full, kind) != _class_of(self.base, kind):
                raise ConfigError(
                    f"hydra/{kind} changes within the sweep ({' '.join(options)}): choose the "
                    "backend outside of it"
                )
        return full

    def _is_value(self, override: Override) -> bool:
        """Whether an override sets a value, and so has no say in which options are merged."""
        return not self.is_group(override.key_or_group) and not override.is_hydra_override()


@cache
def _parsed(override: str) -> Override:
    """Jobs of a sweep share most of their overrides, and the grammar is slow."""
    return OverridesParser.create().parse_overrides([override])[0]


def _class_of(full: DictConfig, kind: str) -> str:
    """The class of a sweep's launcher, which `backend=` may choose, or of its sweeper."""
    return str(full.hydra[kind]._target_)


def _leave_out_what_the_state_knows(config: DictConfig) -> None:
    """Of rows to predict for the state says which columns are what; there is no target to name."""
    if config.job.name != "predict":
        return

    for key in config.data:
        if key != "train" and OmegaConf.is_missing(config.data, key):
            config.data[key] = None


def _check_nothing_is_missing(config: DictConfig) -> None:
    plain = OmegaConf.to_container(config, resolve=False)
    missing = sorted(key for key, value in leaves(plain) if value == "???")
    if missing:
        raise ConfigError(
            f"{missing[0]} is mandatory: give {' '.join(f'{key}=…' for key in missing)}"
        )


def run_here(config: DictConfig, hydra_config: Any) -> float | None:
    """Run a composed config in this process (`hydra/launcher=basic`); returns the objective."""
    from renate.jobs.running.execute import execute  # lazy: it imports torch

    resolve(config)
    check_values(config)
    devices = config.trainer.devices

    if processes_of(config, devices if isinstance(devices, int) else 1) > 1:
        raise ConfigError(
            f"trainer.devices={devices} needs a launcher of renate's, as "
            "hydra/launcher=renate_local"
        )

    asked = list(hydra_config.overrides.task)
    record = replace(identify(config), overrides=asked, publish=True, **_said(config))
    directory = JobDirectory(Path(str(config.run_dir)).absolute() / record.id)
    if config.resume and record.already is not None:
        earlier = directory.result
        if earlier is None:
            return None
        return earlier.value

    directory.prepare(dump(config), record)
    result = execute(directory.path)
    if result.failed:
        raise JobError(result.reason)

    return result.value


def _said(config: DictConfig) -> dict[str, Any]:
    """What the user says of a job, where there is something."""
    words = {"tags": list(config.tags or []), "notes": config.notes}
    return {key: value for key, value in words.items() if value}
