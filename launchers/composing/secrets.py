"""Resolve a config, but leave alone what comes from the environment: a saved config must hold
no secret.
"""

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from renate.errors import ConfigError, within
from renate.libraries.omegaconf import (
    followed,
    is_interpolation,
    is_missing,
    is_none,
    name_of,
    node_of,
    noting_environment,
    written,
)


def resolve(config: DictConfig) -> None:
    """Replace every interpolation by its value, in place, except those that reach `oc.env`,
    directly or not.

    Raises:
        ConfigError: An interpolation can't be resolved here, or names a variable that the
            environment lacks.
    """
    with noting_environment() as reads:
        _resolve(config, reads)


def _resolve(node: DictConfig | ListConfig, reads: list[str]) -> None:
    for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
        child = node_of(node, key)
        if child is None or is_missing(child):
            continue
        if is_interpolation(child):
            reads.clear()
            try:
                found = followed(child)
                if OmegaConf.is_config(found):
                    value = OmegaConf.to_container(found, resolve=True)
                else:
                    value = written(found)
            except Exception as error:  # OmegaConf raises many kinds; all mean the same here
                raise ConfigError(
                    f"{name_of(child)}={written(child)}: {str(error).splitlines()[0]}"
                ) from error

            if not reads:
                node[key] = value
        elif isinstance(child, DictConfig | ListConfig) and not is_none(child):
            _resolve(child, reads)


def variables(config: DictConfig) -> Iterator[tuple[str, str]]:
    """Yield (key, variable) for what a resolved config still takes from the environment and has
    no default for.
    """
    for key, text in _texts(OmegaConf.to_container(config, resolve=False), ""):
        for name in re.findall(r"\$\{oc\.env:\s*([^,}\s]+)\s*\}", text):
            yield key, name


def _texts(node: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield key, node
    elif isinstance(node, dict | list):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _texts(value, within(key, name))
