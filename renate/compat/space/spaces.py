"""Renate's default search spaces."""

from typing import Any

from renate.build import shipped
from renate.compat.space.methods import METHODS, method_named
from renate.errors import ConfigError
from renate.launchers.sweeps.request.space import domain_in


def config_space(updater: str) -> dict[str, Any]:
    """Return the default search space of an updater, in Renate's keys.

    Args:
        updater: Its name, however it is spelled.

    Returns:
        Key -> value or domain, for a call's `config_space`; the caller's own.

    Raises:
        ConfigError: Renate had no such updater, or no space for it.
    """
    content = shipped("compat", "spaces")
    method = method_named(updater)
    known = content["updaters"]
    if method.name not in known:
        names = [other.name for other in METHODS if other.name in known]
        raise ConfigError(
            f"config_space('{updater}'): Renate has none for {method.name} ({', '.join(names)}); "
            "give the keys to tune yourself"
        )

    found = dict(content["common"])
    if method.replays:
        found |= content["replay"]
    found |= known[method.name] or {}

    return {"updater": method.name} | {key: _value(key, value) for key, value in found.items()}


def _value(key: str, value: Any) -> Any:
    return domain_in(key, value) if isinstance(value, str) and "(" in value else value
