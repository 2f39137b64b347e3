"""Resolve a config, but leave alone what comes from the environment: a saved config must hold
no secret.
"""

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.resolvers import oc

from renate.errors import ConfigError

_reads: list[str] = []


def _env(key: str, *default: Any) -> Any:
    _reads.append(key)
    return oc.env(key, *default)


def resolve(config: DictConfig) -> None:
    """Replace every interpolation by its value, in place, except those that reach `oc.env`,
    directly or not.

    Raises:
        ConfigError: An interpolation can't be resolved here, or names a variable that the
            environment lacks.
    """
    OmegaConf.register_new_resolver("oc.env", _env, replace=True)
    try:
        _resolve(config)
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _resolve(node: DictConfig | ListConfig) -> None:
    for key in list(node) if isinstance(node, DictConfig) else range(len(node)):
        child: Any = node._get_node(key)
        if child is None or child._is_missing():
            continue
        if child._is_interpolation():
            _reads.clear()
            full = child._get_full_key(None)
            try:
                found = child._dereference_node()
                value = OmegaConf.to_container(found, resolve=True) if OmegaConf.is_config(found) else found._value()
            except Exception as error:  # OmegaConf raises many kinds; all mean the same here
                raise ConfigError(f"{full}={child._value()}: {str(error).splitlines()[0]}") from error
            if not _reads:
                node[key] = value
        elif isinstance(child, DictConfig | ListConfig) and not child._is_none():
            _resolve(child)


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
            yield from _texts(value, f"{key}.{name}" if key else str(name))
