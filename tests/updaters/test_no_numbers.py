"""Settings that are no numbers, infinite, or no counts: each is refused before anything is read."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from renate.build import build
from renate.errors import ConfigError
from tests.updaters.small_fit import UPDATERS, node_of

NO_NUMBERS = {float: (float("nan"), float("inf"), -1.0), int: (-0.5, 1.5, float("nan"))}


@cache
def cases() -> list[tuple[str, str, Any]]:
    return [*every_case()]


def every_case() -> Iterator[tuple[str, str, Any]]:
    for name in UPDATERS:
        for key, value in node_of("updater", name).items():
            for odd in NO_NUMBERS.get(type(value), ()):
                yield name, key, odd


@pytest.mark.parametrize("name", sorted({name for name, _, _ in cases()}))
def test_each_is_refused(name: str) -> None:
    node = node_of("updater", name)
    node.pop("defaults", None)
    tried = [(key, value) for updater, key, value in cases() if updater == name]
    for key, value in tried:
        with pytest.raises(ConfigError, match=rf"{key}=|weights "):
            build(node | {key: value}, "updater")
