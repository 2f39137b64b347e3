"""What kinds of values a backend's settings take, said before anything is asked of the backend.

The schema knows the kind of a default, but none where that is null, and it lets through what a
number can be without being a count: 0.5, nan, true.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, ListConfig

from renate.errors import ConfigError, nearest
from renate.libraries.omegaconf import is_interpolation, node_of


@dataclass(frozen=True)
class Setting(ABC):
    """A kind of value.

    Attributes:
        optional: Whether null is one too.
    """

    optional: bool = field(default=False, kw_only=True)

    @abstractmethod
    def fits(self, value: Any) -> bool:
        """Whether a value that isn't null is of this kind."""

    @abstractmethod
    def expected(self) -> str:
        """What is expected, in words."""

    def hint(self, value: Any) -> str:
        """What else a message says of a value that doesn't fit."""
        return ""


@dataclass(frozen=True)
class Number(Setting):
    """A number.

    Attributes:
        least: The smallest.
        whole: Whether it counts something.
        above: Whether `least` itself is too small.
    """

    least: float = 0
    whole: bool = False
    above: bool = False

    def fits(self, value: Any) -> bool:
        """See the base."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not math.isfinite(value) or (self.whole and not isinstance(value, int)):
            return False
        return value > self.least if self.above else value >= self.least

    def expected(self) -> str:
        """See the base."""
        kind = "a whole number of" if self.whole else "a number of"
        if self.above:
            return f"{kind.removesuffix(' of')} above {self.least:g}"
        return f"{kind} {self.least:g} or more"


@dataclass(frozen=True)
class Flag(Setting):
    """true or false."""

    def fits(self, value: Any) -> bool:
        """See the base."""
        return isinstance(value, bool)

    def expected(self) -> str:
        """See the base."""
        return "true or false"


@dataclass(frozen=True)
class Text(Setting):
    """Text that isn't empty; a number, which YAML makes of digits, is text too."""

    def fits(self, value: Any) -> bool:
        """See the base."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole or (isinstance(value, str) and bool(value.strip()))

    def expected(self) -> str:
        """See the base."""
        return "text"


@dataclass(frozen=True)
class OneOf(Setting):
    """One of a few words.

    Attributes:
        words: All of them.
    """

    words: tuple[str, ...] = ()

    def fits(self, value: Any) -> bool:
        """See the base."""
        return value in self.words

    def expected(self) -> str:
        """See the base."""
        return " or ".join(self.words)

    def hint(self, value: Any) -> str:
        """See the base."""
        return nearest(str(value), self.words)


COUNT = Number(1, whole=True)
COUNT_OR_NONE = Number(0, whole=True)
AMOUNT = Number(0, above=True)


def check_kinds(settings: DictConfig, known: Mapping[str, Setting]) -> None:
    """Compare a backend's settings with their kinds.

    Args:
        settings: The group backend.
        known: Key -> its kind; a key that this backend lacks is left out.

    Raises:
        ConfigError: Naming key, value, and what was expected.
    """
    for key, kind in known.items():
        if key not in settings:
            continue

        value = settings[key]
        if value is None:
            fits = kind.optional
        else:
            fits = kind.fits(value)

        if not fits:
            expected = kind.expected()
            if kind.optional:
                expected += ", or null"
            raise ConfigError(
                f"backend.{key}={_shown(value)}: expected {expected}{kind.hint(value)}"
            )


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
            expected += f""": in quotes, '+backend.{key}.{name!s}="{_shown(value)}"'"""
        raise ConfigError(f"backend.{key}.{name!s}={_shown(value)}: expected {expected}")


def mapping_of(settings: DictConfig, key: str) -> DictConfig:
    """Return a setting that is a mapping. Raises ConfigError where it isn't one."""
    found: Any = settings[key]
    if not isinstance(found, DictConfig):
        raise ConfigError(f"backend.{key}={_shown(found)}: expected a mapping, {{}} for none")
    return found


def check_list(settings: DictConfig, key: str) -> None:
    """Raises ConfigError where a setting isn't a list of texts."""
    values: Any = settings[key]
    if not isinstance(values, ListConfig):
        raise ConfigError(f"backend.{key}={_shown(values)}: expected a list, [] for none")
    for value in values:
        if not isinstance(value, str) or not value.strip():
            raise ConfigError(f"backend.{key}={_shown(values)}: expected a list of texts")


def _shown(value: Any) -> str:
    """A value as it is spelt in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
