"""What a backend's settings take, said before anything is asked of the backend."""

from typing import Any

from omegaconf import DictConfig, ListConfig

from renate.checks.arguments import shown
from renate.errors import ConfigError
from renate.libraries.omegaconf import is_interpolation, node_of


def check_entries(settings: DictConfig, key: str, *, flags: bool = False) -> None:
    """Compare a mapping of a backend's with what becomes text of it: of null, of a list and of a
    number with a point it would be another text than what was meant (1.10 would be 1.1).

    Args:
        settings: The group backend.
        key: Of the mapping.
        flags: Whether true is an entry too.

    Raises:
        ConfigError: Naming the entry, its value, and what was expected.
    """
    if key not in settings:
        return

    entries = mapping_of(settings, key)
    for name in entries:
        if is_interpolation(node_of(entries, name)):
            continue  # what it leads to is text

        value: Any = entries[name]
        plain = isinstance(value, str | int) and not isinstance(value, bool)
        if plain or (flags and value is True):
            continue

        expected = "text or a whole number"
        if flags:
            expected = "text, a whole number, or true for an option without a value"
        if isinstance(value, bool | float):
            expected += f""": in quotes, '+backend.{key}.{name!s}="{shown(value)}"'"""
        raise ConfigError(f"backend.{key}.{name!s}={shown(value)}: expected {expected}")


def mapping_of(settings: DictConfig, key: str) -> DictConfig:
    """Return a setting that is a mapping. Raises ConfigError where it isn't one."""
    found: Any = settings[key]
    if not isinstance(found, DictConfig):
        raise ConfigError(f"backend.{key}={shown(found)}: expected a mapping, {{}} for none")
    return found


def check_list(settings: DictConfig, key: str) -> None:
    """Raises ConfigError where a setting isn't a list of texts."""
    values: Any = settings[key]
    if not isinstance(values, ListConfig):
        raise ConfigError(f"backend.{key}={shown(values)}: expected a list, [] for none")
    for value in values:
        if not isinstance(value, str) or not value.strip():
            raise ConfigError(f"backend.{key}={shown(values)}: expected a list of texts")
