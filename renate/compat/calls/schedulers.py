"""Renate's schedulers and stopping criteria -> a tuner."""

from collections.abc import Mapping
from typing import Any

from renate.errors import ConfigError, nearest
from renate.jobs.config_yaml import quoted

NAMED = {
    "random": ["tuner=random"],
    "bo": ["tuner=optuna/gp"],
    "asha": ["tuner=asha"],
    "rush": ["tuner=asha", "tuner.transfer=rush"],
}
# Arguments of Syne Tune's ASHA -> ours.
OF_HALVING = {"grace_period": "grace", "reduction_factor": "factor", "brackets": "brackets"}
LIMITS = {
    "max_time": "max_time",
    "max_num_trials_started": "max_trials",
    "max_num_trials_completed": "max_trials_completed",
    "max_num_trials_finished": "max_trials_finished",
    "max_cost": "max_cost",
}


def tuner_of(scheduler: Any, kwargs: Mapping[str, Any] | None) -> list[str]:
    """Return the choice of a tuner.

    Args:
        scheduler: One of Renate's names, a class of Syne Tune's, or None for its default, random.
        kwargs: The scheduler's arguments.

    Raises:
        ConfigError: A scheduler, or an argument, that isn't known.
    """
    given = dict(kwargs or {})
    if isinstance(scheduler, type):
        path = f"{scheduler.__module__}.{scheduler.__qualname__}"
        options = [f"+tuner.proposer.options.{key}={quoted(v)}" for key, v in given.items()]
        return ["tuner=syne_tune/any", f"tuner.proposer.scheduler={path}", *options]

    name = scheduler
    if scheduler is None:
        name = "random"

    if name not in NAMED:
        raise ConfigError(
            f"scheduler={scheduler!r}: expected one of {', '.join(NAMED)}, or a class of Syne "
            f"Tune's{nearest(str(scheduler), NAMED)}"
        )

    known = {}
    if name in ("asha", "rush"):
        known = OF_HALVING

    lines = [*NAMED[name]]
    for key, value in given.items():
        if key not in known:
            raise ConfigError(
                f"scheduler_kwargs['{key}']={value!r}: scheduler='{name}' has no such argument"
                f"{nearest(key, known)} ({', '.join(known) or 'it takes none'})"
            )
        lines.append(f"tuner.stopper.{known[key]}={quoted(value)}")

    return lines


def limits_of(**criteria: float | None) -> list[str]:
    """Return when tuning ends; where nothing says so, the tuner's own limit holds.

    Args:
        **criteria: Renate's name of a criterion -> its value, None where it isn't given.

    Raises:
        ConfigError: A value that can't be right.
    """
    given = {name: value for name, value in criteria.items() if value is not None}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ConfigError(f"{name}={value!r}: expected a number above 0, or None")

    if not given:
        return []

    lines = [f"tuner.{LIMITS[name]}={quoted(value)}" for name, value in given.items()]
    if "max_num_trials_started" not in given:
        lines.append("tuner.max_trials=null")

    return lines
