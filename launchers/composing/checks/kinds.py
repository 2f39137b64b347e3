"""Kinds of values that settings may have, beyond what their defaults tell.

The schema knows the kind of a default, but none where that is null.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig, ListConfig

from renate.checks.arguments import shown
from renate.errors import ConfigError, nearest


@dataclass(frozen=True)
class Setting(ABC):
    """A kind of value.

    Attributes:
        optional: Whether null is one too.
        words: What may stand in the place of a value, as auto.
    """

    optional: bool = field(default=False, kw_only=True)
    words: tuple[str, ...] = field(default=(), kw_only=True)

    def takes(self, value: Any) -> bool:
        """Whether a value, null too, is one."""
        if value is None:
            return self.optional
        return (isinstance(value, str) and value in self.words) or self.fits(value)

    def told(self) -> str:
        """All that is expected, in words."""
        expected = " or ".join([*self.words, self.expected()])
        if self.optional:
            expected += ", or null"
        return expected

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
        most: The largest.
    """

    least: float = 0
    whole: bool = False
    above: bool = False
    most: float = math.inf

    def fits(self, value: Any) -> bool:
        """See the base."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        if not math.isfinite(value) or (self.whole and not isinstance(value, int)):
            return False
        if value > self.most:
            return False
        return value > self.least or (value == self.least and not self.above)

    def expected(self) -> str:
        """See the base."""
        kind = "a number"
        if self.whole:
            kind = "a whole number"

        if self.most < math.inf:
            between = f"from {self.least:g}"
            if self.above:
                between = f"above {self.least:g}"
            return f"{kind} {between} to {self.most:g}"
        if self.above:
            return f"{kind} above {self.least:g}"
        return f"{kind} of {self.least:g} or more"


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
    """Text that isn't empty; a whole number, which YAML makes of digits, is text too.

    Attributes:
        digits: Whether it is.
    """

    digits: bool = True

    def fits(self, value: Any) -> bool:
        """See the base."""
        whole = self.digits and isinstance(value, int) and not isinstance(value, bool)
        return whole or (isinstance(value, str) and bool(value.strip()))

    def expected(self) -> str:
        """See the base."""
        return "text"


@dataclass(frozen=True)
class ListOf(Setting):
    """A list.

    Attributes:
        each: The kind of its values.
        called: What several of them are called.
        fewest: How many it has at least.
    """

    each: Setting = field(default_factory=lambda: Text(digits=False))
    called: str = "texts"
    fewest: int = 0

    def fits(self, value: Any) -> bool:
        """See the base."""
        if not isinstance(value, list | ListConfig) or len(value) < self.fewest:
            return False
        return all(map(self.each.takes, value))

    def expected(self) -> str:
        """See the base."""
        return f"a list of {self.called}"


@dataclass(frozen=True)
class OneOf(Setting):
    """One of a few words.

    Attributes:
        choices: All of them.
    """

    choices: tuple[str, ...] = ()

    def fits(self, value: Any) -> bool:
        """See the base."""
        return isinstance(value, str) and value in self.choices

    def expected(self) -> str:
        """See the base."""
        return " or ".join(self.choices)

    def hint(self, value: Any) -> str:
        """See the base."""
        return nearest(str(value), self.choices)


COUNT = Number(1, whole=True)
COUNT_OR_NONE = Number(0, whole=True)
COUNT_OR_NULL = Number(1, whole=True, optional=True)
AMOUNT = Number(0, above=True)
AMOUNT_OR_NULL = Number(0, above=True, optional=True)
PLACE = Text(digits=False, optional=True)  # a path or a URL
NAME = Text(optional=True)  # a number too


def check_kinds(settings: DictConfig, known: Mapping[str, Setting], group: str = "backend") -> None:
    """Compare settings with their kinds.

    Args:
        settings: They.
        known: Key -> its kind; a key that the settings lack is left out.
        group: The key of the settings; empty for those of no group.

    Raises:
        ConfigError: Naming key, value, and what was expected.
    """
    for key, kind in known.items():
        if key not in settings:
            continue

        value = settings[key]
        if not kind.takes(value):
            name = ".".join(part for part in (group, key) if part)
            raise ConfigError(f"{name}={shown(value)}: expected {kind.told()}{kind.hint(value)}")
