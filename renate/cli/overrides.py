"""`renate key=value …`: hand the arguments to Hydra."""

import os
import sys
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from renate.compat.files.overrides import with_config_file
from renate.errors import ConfigError
from renate.launchers.composing.conf import ROOT
from renate.launchers.composing.mistakes import one_line
from renate.launchers.composing.session import register_launchers, register_plugins


def in_process(config: DictConfig) -> Any:
    """What Hydra's own launchers call: the job runs here, so breakpoints work."""
    from hydra.core.hydra_config import HydraConfig

    from renate.launchers.composing.composer import run_here

    return run_here(config, HydraConfig.get())


def run(argv: list[str]) -> None:
    """Compose, then run, or answer --help, --cfg, --info and the shell's completion."""
    # Hydra then raises instead of printing its own report; `one_line` words it.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # argparse wants the overrides in one row; flags may stand anywhere between them
    argv = with_config_file(argv)
    argv = sorted(argv, key=lambda a: not a.startswith("-") and ("=" in a or a[0] in "+~"))
    arguments = get_args_parser().parse_args(argv)
    register_plugins(runs=not _only_composes(arguments))
    if any(line.startswith("hydra/sweeper=") for line in arguments.overrides):
        register_launchers()
    if arguments.cfg is not None:
        _one_job(arguments.overrides)
    if _runs(arguments) and not any(line.startswith("hydra.mode=") for line in arguments.overrides):
        # The config's own mode, but said before it is composed: a mistake in it would else be told
        # as one of a sweep.
        argv = ["--multirun", *argv]

    sys.argv = [sys.argv[0], *argv]
    with one_line(arguments.overrides):
        hydra.main(config_path=ROOT, config_name="config", version_base="1.3")(in_process)()


def _only_composes(arguments: Any) -> bool:
    """Whether a flag asks for the config, or for what can be chosen."""
    return arguments.cfg is not None or arguments.help or arguments.shell_completion


def _runs(arguments: Any) -> bool:
    """Whether no flag asks for something else, or for a mode."""
    asked = ("help", "hydra_help", "version", "cfg", "info", "shell_completion", "run", "multirun")
    return not any(getattr(arguments, name, None) for name in asked)


def _one_job(overrides: list[str]) -> None:
    with one_line(overrides):
        parsed = OverridesParser.create().parse_overrides(overrides)

    swept = [o for o in parsed if o.is_sweep_override()]
    if swept:
        one = [
            f"{o.get_key_element()}={_first_of(o)}" if o in swept else str(o.input_line)
            for o in parsed
        ]
        raise ConfigError(f"one job at a time: renate --cfg job {' '.join(one)}")


def _first_of(override: Any) -> str:
    """The first value of those that an override sweeps over; of an interval its beginning."""
    if override.is_discrete_sweep():
        return str(next(iter(override.sweep_string_iterator())))
    return str(override.value().start)
