"""How the learning rate changes, in Renate's keys."""

from collections.abc import Callable, Mapping
from typing import Any

from renate.compat.space.domains import as_override, is_domain
from renate.errors import ConfigError, nearest

SCHEDULE = "learning_rate_scheduler"
# Renate's schedule -> our option, and its arguments: the end of Renate's key -> the argument here.
SCHEDULERS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "StepLR": ("step", {"step_size": "step_size", "gamma": "gamma"}),
    "ExponentialLR": ("any", {"gamma": "gamma"}),
    "CosineAnnealingLR": ("cosine", {"t_max": "T_max", "eta_min": "eta_min"}),
}
ARGUMENTS = ("step_size", "gamma", "t_max", "eta_min", "interval")
OF_SCHEDULES = tuple(f"{SCHEDULE}_{name}" for name in ARGUMENTS)
WHOLE = ("step_size", "t_max")


def schedule_of(
    config: Mapping[str, Any], defaults: Mapping[str, Any], say: Callable[[str], None]
) -> list[str]:
    """Return the choice of a schedule as overrides.

    Args:
        config: A config_space.
        defaults: What Renate fell back on, by its keys.
        say: Is told what is done otherwise than it was written.

    Raises:
        ConfigError: No such schedule, an argument that it hasn't, or one without a schedule.
    """
    name = config.get(SCHEDULE)
    given = [key for key in OF_SCHEDULES if config.get(key) is not None]
    if name is None:
        if given:
            raise ConfigError(f"config_space['{given[0]}']: there is no {SCHEDULE}")
        return ["lr_scheduler=none"]
    if is_domain(name) or name not in SCHEDULERS:
        raise ConfigError(
            f"config_space['{SCHEDULE}']={name!r}: expected one of {', '.join(SCHEDULERS)}, or "
            f"lr_scheduler_fn in the config file{nearest(str(name), SCHEDULERS)}"
        )

    option, arguments = SCHEDULERS[name]
    lines = [f"lr_scheduler={option}"]
    plus = ""
    if option == "any":
        lines.append(f"lr_scheduler._target_=torch.optim.lr_scheduler.{name}")
        plus = "+"

    for key in given:
        ending = key.removeprefix(f"{SCHEDULE}_")
        if ending not in arguments and ending != "interval":
            # Renate's experiments name them all, whatever the schedule
            say(f"{key} is left out: {name} has no such argument")

    for ending, argument in arguments.items():
        text = _text(f"{SCHEDULE}_{ending}", ending, config, defaults, say)
        lines.append(f"{plus}lr_scheduler.{argument}={text}")

    text = _text(f"{SCHEDULE}_interval", "interval", config, defaults, say)
    lines.append(f"lr_scheduler.interval={text}")
    return lines


def _text(
    key: str,
    ending: str,
    config: Mapping[str, Any],
    defaults: Mapping[str, Any],
    say: Callable[[str], None],
) -> str:
    value = config.get(key)
    if value is None:
        value = defaults[key]
    if value is None:
        return "null"

    points = int(defaults["reverse_log_values"])
    return as_override(key, value, integer=ending in WHOLE, points=points, say=say)
