"""Whether a value is of the kind of its key's default, and whether null has a meaning there."""

import math
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig

from renate.libraries.omegaconf import (
    followed,
    is_interpolation,
    is_missing,
    is_none,
    node_of,
    written,
)

MISSING = "???"
LIKE = (  # kind, and what a value of it is called
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (list, "a list"),
    (dict, "a mapping"),
    (str, "text"),
)


def is_open(default: Any) -> bool:
    """Whether a default says nothing about the kind of its key's values."""
    return default is None or (isinstance(default, str) and (default == MISSING or "${" in default))


def loosened(default: Any) -> Any:
    """What a default tells where a user wrote it, who may mean any number by a whole one, any list
    by one of numbers, and something by empty text.
    """
    if isinstance(default, bool):
        return default
    if isinstance(default, int):
        return float(default)
    if isinstance(default, list):
        return []
    if isinstance(default, str) and not is_open(default):
        return ""
    return default


def expected_instead(node: Any, default: Any) -> str:
    """Say what was expected in a value's place; empty where it is of the kind of its default.

    A number that is none has no meaning anywhere; a whole number is no text, but text is any of
    them. null and ??? are left to others.

    Args:
        node: What stands there, unresolved; None for nothing.
        default: Plain.
    """
    if is_interpolation(node):
        return _of_interpolation(node, default)
    if node is None or is_none(node) or is_missing(node):
        return ""

    if isinstance(node, DictConfig):
        if is_open(default) or isinstance(default, dict):
            return ""
        return called(default)

    if isinstance(node, ListConfig):
        return _of_list(node, default)

    value = written(node)
    is_nan = isinstance(value, float) and math.isnan(value)
    if is_open(default) and is_nan:
        return "a value, nan is none"
    if is_open(default) or _fits(value, default):
        return ""
    if isinstance(default, list):
        return f"a list, [{value}],"
    return called(default)


def _of_interpolation(node: Any, default: Any) -> str:
    """The same of what an interpolation leads to: of the environment all is text."""
    try:
        found = followed(node)
    except Exception:  # of many kinds; who resolves it says so
        return ""

    if is_interpolation(found) or not expected_instead(found, default):
        return ""

    text = str(written(node))
    if isinstance(default, bool | int | float) and "${oc.env:" in text:
        return f"{called(default)} (the environment holds text: ${{oc.decode:{text}}})"
    return called(default)


def _of_list(node: ListConfig, default: Any) -> str:
    """The same of a list: its values are of the kind of the default's first."""
    if is_open(default):
        return ""
    if not isinstance(default, list):
        return called(default)
    if not default or isinstance(default[0], dict | list):
        return ""

    for index in range(len(node)):
        entry = node_of(node, index)
        if is_none(entry) or expected_instead(entry, default[0]):
            return f"a list, each of it {called(default[0])},"
    return ""


def _fits(value: Any, default: Any) -> bool:
    """Of plain values, but lists and mappings; whole numbers are numbers too."""
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, str) or isinstance(default, bool) is isinstance(value, bool)
    if isinstance(default, str):
        return not isinstance(value, str) or bool(value.strip()) or not default
    if isinstance(default, int):
        return isinstance(value, int)
    if isinstance(default, float):
        finite = isinstance(value, int | float) and math.isfinite(value)
        return finite or value == default
    return False


def called(default: Any) -> str:
    """What values like a default are called."""
    return next(name for kind, name in LIKE if isinstance(default, kind))


def like(default: Any) -> str:
    """A default as an example, at the end of what was expected; empty where it tells nothing."""
    if is_open(default):
        return ""
    if isinstance(default, bool):
        return f" like {str(default).lower()}"
    return f" like {default!r}"


def says(files: list[Path], key: list[str], word: str) -> bool:
    """Whether the comment of a key has a word: `null` where that means something, `fraction` where
    a number may be one.

    Args:
        files: Of the option that the key belongs to: the first that has the key decides.
        key: From the top of the file.
        word: Whole.
    """
    for file in files:
        comment = _comment_of(file, tuple(key))
        if comment is not None:
            return re.search(rf"\b{word}\b", comment) is not None
    return False


@cache
def _comment_of(file: Path, key: tuple[str, ...]) -> str | None:
    """The comment of a key, None where there is no such key; reading a file anew for each job of a
    grid would take as long as much of the rest.
    """
    text = file.read_text()
    line = _line_of(yaml.compose(text, Loader=yaml.SafeLoader), key)
    if line is None:
        return None
    return _comment(text.splitlines(), line)


def _line_of(node: yaml.Node | None, key: Sequence[str]) -> int | None:
    """The line of a key, counted from 0; None where there is no such key."""
    line = None
    for name in key:
        if not isinstance(node, yaml.MappingNode):
            return None
        found = [(k, v) for k, v in node.value if k.value == name]
        if not found:
            return None
        line = found[0][0].start_mark.line
        node = found[0][1]
    return line


def _comment(lines: list[str], first: int) -> str:
    """What stands behind a key, and on the lines below that are a comment and nothing else."""
    words = [lines[first].partition(" #")[2]]
    for line in lines[first + 1 :]:
        if not re.match(r"\s+#", line):
            break
        words.append(line)
    return " ".join(words)
