"""What parsed overrides ask for: the grid of a sweep, or a tuner."""

import itertools
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from renate.errors import ConfigError

NO_SPACE = (None, "none")  # options of the group search_space that tune nothing


def is_tuned(settings: DictConfig, parsed: Sequence[Override]) -> bool:
    """Whether a command asks for a tuner: it names one, or a search space, or a domain without
    end.
    """
    choices = settings.hydra.runtime.choices
    endless = any(o.is_sweep_override() and not o.is_discrete_sweep() for o in parsed)
    return choices.tuner != "auto" or choices.search_space not in NO_SPACE or endless


def place_of(override: Override) -> str:
    """What an override sets: its key, or the group and where an option of it goes, as
    `lr_scheduler@lr_scheduler.then`.
    """
    key = str(override.key_or_group)
    if override.package is None:
        return key
    return f"{key}@{override.package}"


def combinations(parsed: Sequence[Override]) -> list[list[str]]:
    """The grid: one list of overrides per job, in the order of Hydra's own sweeper.

    Raises:
        ConfigError: A domain without end.
    """
    choices: dict[str, list[str]] = {}
    for override in parsed:
        line: Any = override.input_line
        if not override.is_sweep_override():
            choices[place_of(override)] = [line]
        elif override.is_discrete_sweep():
            key = override.get_key_element()
            values = override.sweep_string_iterator()
            choices[place_of(override)] = [f"{key}={value}" for value in values]
        else:
            raise ConfigError(
                f"{line}: a domain without end; a grid needs choices, as "
                f"{override.key_or_group}=0.1,0.01"
            )

    return [list(job) for job in itertools.product(*choices.values())]
