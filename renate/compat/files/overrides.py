"""`config_file=my_config.py` on a command line -> what is composed: its functions and arguments."""

from collections.abc import Sequence
from typing import Any

from renate.compat.files.description import (
    ABSENT,
    NO_DEFAULT,
    UNREADABLE,
    Description,
    describe,
)
from renate.errors import ConfigError
from renate.jobs.config_yaml import quoted

KEY = "config_file"
METRIC = "renate.compat.files.fit_parts.MetricFn"
# Group -> the function that fills it; groups without one are the file's in any case.
GROUPS = {
    "data": None,
    "model": None,
    "loss": "loss_fn",
    "optimizer": "optimizer_fn",
    "lr_scheduler": "lr_scheduler_fn",
}


def with_config_file(lines: Sequence[str]) -> list[str]:
    """Return overrides in which the arguments of a config file's functions are keys.

    `config_file=my_config.py` becomes a mapping of its path and its functions' arguments, by their
    defaults. An argument's own name is short for its key, `hidden=64,128` for
    `config_file.hidden=64,128`. Groups that nobody chooses become the file's.

    Args:
        lines: Overrides; without one that names a file they are returned as they are.

    Raises:
        ConfigError: No such file, or its functions can't be read.
    """
    named = [line for line in lines if _key(line) == KEY]
    if not named or named[-1].partition("=")[2].startswith(("{", "null")):
        return list(lines)

    path = named[-1].partition("=")[2].strip("'\"")
    description = describe(path)
    rest = [line for line in lines if _key(line) != KEY]
    chosen = {_key(line) for line in rest}

    return [
        f"{KEY}={quoted(mapping_of(description, rest))}",
        *groups_of(description, rest, chosen),
        *(_spelled_out(line, description) for line in rest),
    ]


def groups_of(description: Description, lines: Sequence[str], chosen: set[str]) -> list[str]:
    """The choices of groups, and the metrics, that a file stands for.

    Args:
        description: Of the file.
        lines: The other overrides.
        chosen: Keys that these set; an experiment chooses all of its groups itself.
    """
    if "experiment" in chosen:
        return []

    made = [
        f"{group}={KEY}"
        for group, function in GROUPS.items()
        if group not in chosen and (function is None or function in description.functions)
    ]
    if "transform" not in chosen:
        own = any(name.endswith("_transform") for name in description.functions)
        made.append(f"transform={KEY if own else 'none'}")
    if "metrics_fn" not in description.functions or "metrics" in chosen:
        return made

    return made + [_metric(name) for name in _metric_names(description, lines)]


def _metric_names(description: Description, lines: Sequence[str]) -> list[str]:
    """What `metrics_fn` names; where that can't be read, what the objective asks for."""
    if description.metrics:
        return [*description.metrics]

    names: dict[str, None] = {}
    for line in lines:
        key, _, value = line.partition("=")
        name = value.strip("'\"").removeprefix("val_")
        if key == "objective.metric" and value.strip("'\"").startswith("val_") and name != "loss":
            names.setdefault(name)
    return [*names]


def _metric(name: str) -> str:
    if not name.isidentifier():
        raise ConfigError(f"metrics_fn: '{name}': expected a name of letters, digits and _")
    return f"+metrics.{name}={{_target_:{METRIC},config_file:${{config_file}},name:{name}}}"


def mapping_of(description: Description, lines: Sequence[str]) -> dict[str, Any]:
    """The path, and the arguments that can be said without running the file.

    Args:
        description: Of the file.
        lines: The other overrides, which may give arguments whose default can't be read.
    """
    values: dict[str, Any] = {ABSENT: str(description.path)}
    given = {_key(line).removeprefix(f"{KEY}.") for line in lines}
    for name, argument in description.arguments.items():
        if name == "seed":
            values[name] = "${seed}"
        elif argument.default is NO_DEFAULT:
            values[name] = "???"
        elif argument.default is not UNREADABLE:
            values[name] = argument.default
        elif name in given:
            values[name] = None  # so that the key is there to be set

    return values


def _spelled_out(line: str, description: Description) -> str:
    """`hidden=64` as `config_file.hidden=64`, where that is an argument."""
    key = _key(line)
    if key == "seed" or key not in description.arguments or line[0] in "+~":
        return line
    return f"{KEY}.{line}"


def _key(line: str) -> str:
    return line.lstrip("+~").partition("=")[0].strip()
