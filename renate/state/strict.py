"""JSON from a stranger: bounded, finite, of the kinds that are expected; every error is a
ValueError of one line.
"""

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

DEEPEST = 16  # levels of lists and mappings
LONGEST = 100_000  # characters of a text
WHOLE = 2**63  # every counter, size and seed is below it
TARGET = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+")

Plain = Any


def parse(raw: bytes | memoryview, longest: int = LONGEST) -> Plain:
    """Read JSON that holds finite numbers and text that can be written again.

    Raises:
        ValueError: It isn't that.
    """
    try:
        found = json.loads(bytes(raw), parse_constant=_refuse)
        check_plain(found, longest)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no JSON: {error}") from error
    return found


def check_plain(value: Plain, longest: int = LONGEST, level: int = 0) -> None:
    """Check that a parsed value is plain and within bounds.

    Raises:
        ValueError: A number isn't finite, a text is no Unicode, or it is too deep or too long.
    """
    need(level <= DEEPEST, f"it is nested more than {DEEPEST} levels deep")
    if isinstance(value, dict):
        for key, part in value.items():
            check_plain(key, longest, level + 1)
            check_plain(part, longest, level + 1)
    elif isinstance(value, list):
        for part in value:
            check_plain(part, longest, level + 1)
    elif isinstance(value, str):
        need(
            len(value) <= longest, f"a text of {len(value)} characters, expected at most {longest}"
        )
        need(not any("\ud800" <= c <= "\udfff" for c in value), "a text holds half a character")
    elif isinstance(value, float):
        need(math.isfinite(value), f"the number {value} isn't finite")


def mapping(
    value: Plain, key: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return `value` if it is a mapping of exactly these keys."""
    need(isinstance(value, dict), f"{key} is {shown(value)}, expected a mapping")
    for name in required:
        need(name in value, f"{key} lacks '{name}'")

    for name in value:
        need(name in required or name in optional, f"{key} has an unknown key '{shown(name)}'")

    found: dict[str, Any] = value

    return found


def named(value: Plain, key: str, check: Callable[[Plain, str], Any], most: int) -> dict[str, Any]:
    """Return name -> what `check` makes of each value."""
    need(isinstance(value, dict), f"{key} is {shown(value)}, expected a mapping")
    need(len(value) <= most, f"{key} has {len(value)} entries, expected at most {most}")
    return {
        text(name, f"a name in {key}", 300): check(part, f"{key}.{name}")
        for name, part in value.items()
    }


def items(value: Plain, key: str, check: Callable[[Plain, str], Any], most: int) -> list[Any]:
    """Return what `check` makes of each item of a list."""
    need(isinstance(value, list), f"{key} is {shown(value)}, expected a list")
    need(len(value) <= most, f"{key} has {len(value)} items, expected at most {most}")
    return [check(part, f"{key}[{index}]") for index, part in enumerate(value)]


def whole(value: Plain, key: str, least: int = 0, below: int = WHOLE) -> int:
    """Return `value` if it is an int within bounds; true and false are none."""
    need(
        type(value) is int and least <= value < below,
        f"{key} is {shown(value)}, expected {least} to {below - 1}",
    )
    number: int = value
    return number


def number(value: Plain, key: str) -> float:
    """Return `value` if it is a finite number; true and false are none."""
    fits = type(value) in (int, float) and abs(value) <= sys.float_info.max
    need(fits, f"{key} is {shown(value)}, expected a finite number")
    return float(value)


def text(value: Plain, key: str, most: int = 1000) -> str:
    """Return `value` if it is a text that a terminal shows as it stands."""
    fits = isinstance(value, str) and len(value) <= most and value.isprintable()
    need(fits, f"{key} is {shown(value)}, expected a text of at most {most} printable characters")
    return str(value)


def required(
    content: Mapping[str, Any], key: str, check: Callable[[Plain, str], Any], name: str = ""
) -> Any:
    """Return what `check` makes of a key's value; in messages the key is called `name`."""
    name = name or key
    need(key in content, f"it lacks the key '{name}'")
    return check(content[key], name)


def string(value: Plain, key: str) -> str:
    """Return `value` if it is a text, of any characters."""
    need(isinstance(value, str), f"{key} is {shown(value)}, expected a text")
    return str(value)


def strings(value: Plain, key: str) -> list[str]:
    """Return `value` if it is a list of texts."""
    need(isinstance(value, list), f"{key} is {shown(value)}, expected a list")
    return [string(part, f"{key}[{index}]") for index, part in enumerate(value)]


def truth(value: Plain, key: str) -> bool:
    """Return `value` if it is true or false."""
    need(isinstance(value, bool), f"{key} is {shown(value)}, expected true or false")
    return bool(value)


def object_of(value: Plain, key: str) -> dict[str, Any]:
    """Return `value` if it is a mapping, of any keys."""
    need(isinstance(value, dict), f"{key} is {shown(value)}, expected a mapping")
    return dict(value)


def objects(value: Plain, key: str) -> list[dict[str, Any]]:
    """Return `value` if it is a list of mappings."""
    need(isinstance(value, list), f"{key} is {shown(value)}, expected a list")
    return [object_of(part, f"{key}[{index}]") for index, part in enumerate(value)]


def node(value: Plain, key: str, level: int = 0) -> dict[str, Any]:
    """Return `value` if it describes an object: `_target_` and plain arguments, which may be
    objects themselves.

    What `_target_` may name is checked where it is built.
    """
    need(isinstance(value, dict), f"{key} is {shown(value)}, expected a mapping")
    target = value.get("_target_")
    fits = isinstance(target, str) and len(target) <= 300 and TARGET.fullmatch(target)
    need(bool(fits), f"{key}._target_ is {shown(target)}, expected package.module.Class")
    for name, part in value.items():
        if name != "_target_":
            _argument(part, f"{key}.{name}", name, level)

    found: dict[str, Any] = value

    return found


def _argument(value: Plain, key: str, name: str, level: int) -> None:
    need(
        name.isidentifier() and not name.startswith("_") and len(name) <= 100,
        f"{shown(key)} is no parameter's name",
    )
    need(level < 8, f"{shown(key)} is nested too deeply")
    if isinstance(value, Mapping) and "_target_" in value:
        node(value, key, level + 1)
    elif isinstance(value, Mapping):
        for inner, part in value.items():
            _argument(part, f"{key}.{inner}", inner, level + 1)
    elif isinstance(value, list):
        need(len(value) <= 10_000, f"{shown(key)} has {len(value)} items, expected at most 10000")
        for index, part in enumerate(value):
            _argument(part, f"{key}[{index}]", name, level + 1)


def shown(value: Plain) -> str:
    """A value for a message, cut short."""
    words = repr(value) if not isinstance(value, str) else value
    if len(words) <= 60:
        return words
    return f"{words[:57]}…"


def need(holds: bool, otherwise: str) -> None:
    """Raise ValueError unless it holds."""
    if not holds:
        raise ValueError(otherwise)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
