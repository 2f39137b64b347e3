"""Configs of two versions side by side."""

from collections.abc import Iterator, Mapping
from typing import Any

from renate.errors import CorruptError, within
from renate.jobs.config_yaml import load
from renate.state.manifest import Manifest
from renate.state.versions import State

FILE = "config.yaml"
# What says where and how a command ran, and not what it asked for
ASIDE = (
    "backend",
    "config_file",
    "logger",
    "notes",
    "output",
    "report",
    "resume",
    "run_dir",
    "search_space",
    "state",
    "tags",
    "terminal",
    "trust",
    "tuner",
)
TELLING = (
    "updater",
    "memory",
    "model",
    "optimizer",
    "scenario",
    "trainer.max_epochs",
    "data._target_",
    "data.train",
    "data.batch_size",
    "gate._target_",
    "policy._target_",
    "seed",
)
LONGEST = 200  # characters of a value


def config_of(state: State, manifest: Manifest) -> dict[str, Any]:
    """Return a version's config; empty where it has none, as an imported one.

    Raises:
        CorruptError: It isn't YAML, or no mapping.
    """
    if FILE not in manifest.files:
        return {}

    where = f"{state.url}: '{FILE}' of {manifest}"
    try:
        found = load(bytes(state.read(manifest, FILE)).decode())
    except Exception as error:  # YAML's own errors, and of bytes that are no text
        reason = str(error).splitlines()[0]
        raise CorruptError(f"{where}: no YAML ({reason}); bring it back from a copy") from error

    if not isinstance(found, dict):
        raise CorruptError(f"{where}: no mapping; bring it back from a copy")
    return found


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (key, before, now) of each value that differs; a dash stands for no such key."""
    old = dict(_leaves(before))
    new = dict(_leaves(now))
    keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
    return [(key, old.get(key, "–"), new.get(key, "–")) for key in sorted(keys)]


def telling(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (key, value) of what says most about an update."""
    return [
        (key, value)
        for key, value in _leaves(config)
        if any(key == name or key.startswith(f"{name}.") for name in TELLING)
    ]


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping) and node:
        for name, value in node.items():
            if key or name not in ASIDE:
                yield from _leaves(value, within(key, name))
        return

    words = "null" if node is None else str(node)
    if len(words) > LONGEST:
        words = f"{words[:LONGEST]}…"
    if key:
        yield key, words
