"""A search space: which values each key may take, and which keys another key's choice brings
along.
"""

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

from renate.state.strict import (
    items,
    named,
    need,
    number,
    object_of,
    required,
    shown,
    string,
    strings,
    truth,
)

# Key -> value, as the command line has it: exact, and equal where it is equal
Config = dict[str, str]


@dataclass(frozen=True)
class Domain:
    """The values that one key may take.

    Attributes:
        kind: `float`, `int` or `choice`.
        low: Smallest value.
        high: Largest value, included.
        log: Whether equal ratios are equally likely, instead of equal differences.
        choices: Of a choice: its values, as the command line has them.
    """

    kind: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[str, ...] = ()

    @property
    def size(self) -> float:
        """How many values there are; infinity for a float."""
        if self.kind == "choice":
            return len(self.choices)
        if self.kind == "float":
            return math.inf
        return int(self.high) - int(self.low) + 1

    def values(self) -> list[str]:
        """Every value of a finite domain."""
        if self.kind == "choice":
            return list(self.choices)
        return [str(n) for n in range(int(self.low), int(self.high) + 1)]

    def text(self, value: float) -> str:
        """A number as the command line has it; of a choice, the value at that index."""
        if self.kind == "choice":
            return self.choices[int(value)]
        inside = min(max(value, self.low), self.high)
        if self.kind == "int":
            return str(round(inside))
        return repr(float(inside))

    def number(self, text: str) -> float:
        """The inverse of `text`.

        Raises:
            ValueError: Not a value of this domain.
        """
        if self.kind == "choice":
            return self.choices.index(text)

        number = float(text)
        if not self.low <= number <= self.high or (self.kind == "int" and number != int(number)):
            raise ValueError(f"{text} lies outside of {self}")

        return number

    def sample(self, generator: random.Random) -> str:
        """Draw a value, as the command line has it: evenly among choices or over the range, and
        over its logarithm where `log` is set.
        """
        if self.kind == "choice":
            return generator.choice(self.choices)

        half = 0.5 if self.kind == "int" else 0.0  # each integer owns what rounds to it
        low = self.low - half
        high = self.high + half
        if self.log:
            return self.text(math.exp(generator.uniform(math.log(low), math.log(high))))

        return self.text(generator.uniform(low, high))

    def near(self, text: str, generator: random.Random, *, width: float, change: float) -> str:
        """Draw from around a value: a deviation of `width` times the range; a choice anew with
        chance `change`.
        """
        if self.kind == "choice":
            if generator.random() < change:
                return generator.choice(self.choices)
            return text

        low = self.low
        high = self.high
        at = self.number(text)

        if self.log:
            low = math.log(low)
            high = math.log(high)
            at = math.log(at)

        drawn = min(max(generator.gauss(at, width * (high - low)), low), high)

        return self.text(math.exp(drawn) if self.log else drawn)

    def __str__(self) -> str:
        if self.kind == "choice":
            return f"choice({', '.join(self.choices)})"
        inner = f"interval({self.low:g}, {self.high:g})"
        if self.kind == "int":
            inner = f"int({inner})"
        if self.log:
            return f"tag(log, {inner})"
        return inner


KINDS = ("float", "int", "choice")


def _domain(found: Any, key: str) -> Domain:
    """A domain from JSON. Raises ValueError, which names the key."""
    content = object_of(found, key)
    kind = required(content, "kind", string, f"{key}.kind")
    need(kind in KINDS, f"{key}.kind is {shown(kind)}, expected one of {', '.join(KINDS)}")
    low = required(content, "low", number, f"{key}.low")
    high = required(content, "high", number, f"{key}.high")
    log = required(content, "log", truth, f"{key}.log")
    choices = required(content, "choices", strings, f"{key}.choices")
    need(low <= high, f"{key} goes from {low:g} to {high:g}")
    return Domain(kind, low, high, log, tuple(choices))


def _condition(found: Any, key: str) -> tuple[str, frozenset[str]]:
    """What brings a key along, from JSON. Raises ValueError, which names the key."""
    pair = items(found, key, lambda value, name: value, 2)
    need(len(pair) == 2, f"{key} is {shown(found)}, expected a key and its values")
    return string(pair[0], f"{key}[0]"), frozenset(strings(pair[1], f"{key}[1]"))


@dataclass(frozen=True)
class Space:
    """Domains by key; those that other keys depend on come first.

    Attributes:
        domains: Key -> domain.
        conditions: Key -> (another key, the values of it that bring this key along). A key without
            one is always there.
    """

    domains: Mapping[str, Domain]
    conditions: Mapping[str, tuple[str, frozenset[str]]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: Any) -> "Space":
        """From what `to_json` gave. Raises ValueError, which names the key."""
        content = object_of(found, "space")
        domains = named(required(content, "domains", object_of), "space.domains", _domain, 10_000)
        conditions = required(content, "conditions", object_of)
        return cls(domains, named(conditions, "space.conditions", _condition, 10_000))

    def to_json(self) -> dict[str, Any]:
        """As `sweep.json` holds it."""
        conditions = {
            key: [other, sorted(values)] for key, (other, values) in self.conditions.items()
        }
        domains = {key: asdict(domain) for key, domain in self.domains.items()}
        return {"domains": domains, "conditions": conditions}

    def is_active(self, key: str, config: Mapping[str, str]) -> bool:
        """Whether a key belongs to a configuration whose earlier keys are known."""
        if key not in self.conditions:
            return True
        other, values = self.conditions[key]
        return config.get(other) in values

    def active(self, config: Mapping[str, str]) -> Config:
        """The configuration without the keys that its choices don't bring along."""
        kept: Config = {}
        for key in self.domains:
            if key in config and self.is_active(key, kept):
                kept[key] = config[key]
        return kept

    def sample(self, generator: random.Random) -> Config:
        """Draw a configuration: each key's value in turn, if those before bring the key along."""
        config: Config = {}
        for key, domain in self.domains.items():
            if self.is_active(key, config):
                config[key] = domain.sample(generator)
        return config

    def near(
        self, config: Config, generator: random.Random, *, width: float, change: float
    ) -> Config:
        """Draw a configuration from around another one; keys that its choices bring along anew
        are sampled.
        """
        drawn: Config = {}
        for key, domain in self.domains.items():
            if not self.is_active(key, drawn):
                continue
            if key in config:
                drawn[key] = domain.near(config[key], generator, width=width, change=change)
            else:
                drawn[key] = domain.sample(generator)

        return drawn

    def fits(self, config: Mapping[str, str]) -> bool:
        """Whether a configuration gives every active key a value of its domain, and no other
        key.
        """
        try:
            for key, value in config.items():
                self.domains[key].number(value)
        except (KeyError, ValueError):
            return False
        return set(config) == {key for key in self.domains if self.is_active(key, config)}

    @property
    def finite(self) -> bool:
        """Whether every domain has a finite number of values."""
        return all(domain.size < math.inf for domain in self.domains.values())

    def grid(self) -> Iterator[Config]:
        """Every configuration of a finite space once; the last key changes fastest."""
        seen: set[tuple[tuple[str, str], ...]] = set()
        for values in product(*(domain.values() for domain in self.domains.values())):
            config = self.active(dict(zip(self.domains, values, strict=True)))
            if (key := tuple(config.items())) not in seen:
                seen.add(key)
                yield config
