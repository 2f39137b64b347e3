"""What is read and changed inside OmegaConf: nodes, for which it has no public names.

`config[key]` follows an interpolation and refuses a missing value; a node is what stands there.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def node_of(config: Any, key: Any) -> Any:
    """What stands under a key of a mapping or list; None where nothing does."""
    return config._get_node(key)


def written(node: Any) -> Any:
    """A node's value as it is written: an interpolation's own text."""
    return node._value()


def name_of(node: Any) -> str:
    """A node's key in full, from the root of its config."""
    return str(node._get_full_key(None))


def followed(node: Any) -> Any:
    """The node that an interpolation leads to.

    Raises:
        Exception: Of many kinds, where it leads nowhere.
    """
    return node._dereference_node()


def is_none(node: Any) -> bool:
    """Whether a node's value is null."""
    return bool(node._is_none())


def is_missing(node: Any) -> bool:
    """Whether a node's value is still to be given, `???`."""
    return bool(node._is_missing())


def is_interpolation(node: Any) -> bool:
    """Whether a node's value refers to another one, `${…}`."""
    return bool(node._is_interpolation())


def move(key: str, source: Any, target: Any) -> None:
    """Let a node of one mapping stand in another; an assignment would copy all that is below it."""
    node = source._get_node(key)
    target._content[key] = node
    node._set_parent(target)


def look_up_in(config: Any, parent: Any) -> None:
    """Let a config's interpolations find what they name in another one."""
    config._set_parent(parent)


@contextmanager
def noting_environment() -> Iterator[list[str]]:
    """Yield a list that is given each variable that this thread reads by `oc.env` in the block.

    OmegaConf doesn't say what an interpolation depends on.
    """
    from omegaconf import OmegaConf
    from omegaconf.resolvers import oc

    reads: list[str] = []
    mine = threading.get_ident()  # others may look up a backend's settings meanwhile

    def env(key: str, *default: Any) -> Any:
        if threading.get_ident() == mine:
            reads.append(key)
        return oc.env(key, *default)

    OmegaConf.register_new_resolver("oc.env", env, replace=True)

    try:
        yield reads
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)
