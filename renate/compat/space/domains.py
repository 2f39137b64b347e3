"""Syne Tune's domains, and our own, as the sweep grammar has them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from renate.errors import ConfigError
from renate.jobs.config_yaml import quoted
from renate.tuning.space import Domain

Say = Callable[[str], None]


def is_domain(value: Any) -> bool:
    """Whether a value of a config_space is a domain: ours, or one of Syne Tune's, which needn't be
    installed for that.
    """
    return isinstance(value, Domain) or any(
        cls.__name__ == "Domain" and cls.__module__.startswith("syne_tune.")
        for cls in type(value).__mro__
    )


def is_range(value: Any) -> bool:
    """Whether a value of a config_space is a domain of numbers between two."""
    if isinstance(value, Domain):
        return value.kind != "choice"
    return is_domain(value) and hasattr(value, "lower")


def choices_of(value: Any) -> list[Any]:
    """Return the values of a domain that is a choice, each once; none of any other."""
    if isinstance(value, Domain):
        return [yaml.safe_load(text) for text in value.choices]
    return list(dict.fromkeys(getattr(value, "categories", ())))


def ends_of(value: Any) -> tuple[float, float] | None:
    """Return the lowest and the highest number of a range; None of a choice."""
    if isinstance(value, Domain):
        return None if value.kind == "choice" else (value.low, value.high)
    return (value.lower, value.upper) if hasattr(value, "lower") else None


def as_override(key: str, value: Any, *, integer: bool, points: int, say: Say) -> str:
    """Return a value of a config_space as the right side of an override.

    Args:
        key: Renate's, for messages.
        value: A value, or a domain.
        integer: Whether only whole numbers will do.
        points: How many values stand for a domain whose distribution the grammar hasn't.
        say: Is told what is tuned otherwise than it was written.

    Raises:
        ConfigError: A domain, or a number, that can't be right.
    """
    if not is_domain(value):
        return quoted(_whole(key, value) if integer else value)
    if isinstance(value, Domain):
        return _of_ours(key, value, integer=integer, say=say)

    kind = type(value).__name__
    if kind == "FiniteRange":
        return _choice(_finite(value), key, integer=integer)
    if hasattr(value, "categories"):
        return _choice(list(value.categories), key, integer=integer)

    sampler = type(value.sampler).__name__.lower()
    known = {"_uniform": False, "_loguniform": True}
    if sampler == "_reverseloguniform" and not integer:
        say(f"{key}: {points} values, as dense towards 1 as reverseloguniform is, stand for it")
        return _choice(_reverse_log(value.lower, value.upper, points), key, integer=False)
    if sampler not in known or kind not in ("Float", "Integer"):
        raise ConfigError(
            f"config_space['{key}']={value}: expected uniform, loguniform, reverseloguniform, "
            "randint, lograndint, choice, ordinal, logordinal, finrange or logfinrange"
        )

    if integer and kind == "Float":
        say(f"{key}: whole numbers from {value.lower:g} to {value.upper:g} are drawn")

    return _interval(key, value, log=known[sampler], whole=integer or kind == "Integer")


def _of_ours(key: str, domain: Domain, *, integer: bool, say: Say) -> str:
    if domain.kind == "choice" and integer:
        return _choice([yaml.safe_load(text) for text in domain.choices], key, integer=True)
    if domain.kind == "choice":
        return f"choice({','.join(domain.choices)})"
    if domain.kind == "int" or not integer:
        return _range(domain.low, domain.high, log=domain.log, whole=domain.kind == "int")

    say(f"{key}: whole numbers from {domain.low:g} to {domain.high:g} are drawn")
    return _whole_range(key, domain, domain.low, domain.high, log=domain.log)


def _whole_range(key: str, domain: Any, lower: float, upper: float, *, log: bool) -> str:
    """The whole numbers within a range.

    Raises:
        ConfigError: There are none.
    """
    low = math.ceil(lower)
    high = math.floor(upper)
    if low > high:
        raise ConfigError(
            f"config_space['{key}']={domain}: expected a range that holds a whole number"
        )
    if low == high:
        return repr(low)

    return _range(low, high, log=log, whole=True)


def _interval(key: str, domain: Any, *, log: bool, whole: bool) -> str:
    if whole:
        return _whole_range(key, domain, domain.lower, domain.upper, log=log)
    if domain.lower == domain.upper:
        return repr(float(domain.lower))

    return _range(domain.lower, domain.upper, log=log, whole=False)


def _range(low: float, high: float, *, log: bool, whole: bool) -> str:
    inner = f"interval({float(low)!r},{float(high)!r})"
    if whole:
        inner = f"int(interval({int(low)},{int(high)}))"
    return f"tag(log,{inner})" if log else inner


def _finite(domain: Any) -> list[float]:
    """The values of a range of so many steps."""
    steps = domain.size - 1
    low = float(domain.lower)
    high = float(domain.upper)
    if steps == 0:
        values = [low]
    elif domain.log_scale:
        ratio = math.log(high / low) / steps
        values = [low * math.exp(ratio * step) for step in range(steps)] + [high]
    else:
        values = [low + (high - low) * step / steps for step in range(steps)] + [high]

    return [round(value) for value in values] if domain.cast_int else values


def _reverse_log(low: float, high: float, points: int) -> list[float]:
    """Values whose distance from 1 has evenly spaced logarithms."""
    far = math.log(1 - low)
    near = math.log(1 - high)
    inner = [1 - math.exp(far + (near - far) * n / (points - 1)) for n in range(1, points - 1)]
    return [low, *inner, high]


def _choice(values: Sequence[Any], key: str, *, integer: bool) -> str:
    if not values:
        raise ConfigError(f"config_space['{key}']: an empty domain")

    texts = [quoted(_whole(key, value) if integer else value) for value in values]
    texts = list(dict.fromkeys(texts))
    return texts[0] if len(texts) == 1 else f"choice({','.join(texts)})"


def _whole(key: str, value: Any) -> Any:
    """A number as a whole one.

    Raises:
        ConfigError: It isn't.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise ConfigError(f"config_space['{key}']={value!r}: expected a whole number")
    return int(value)
