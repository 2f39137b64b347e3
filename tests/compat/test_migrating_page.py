"""docs/migrating.md names tests that there are."""

import ast
import re
from functools import cache

import pytest

from tests.conftest import ROOT

PAGE = ROOT / "docs" / "migrating.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ALONE = re.compile(r"`(test_\w+)`")


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@cache
def all_names() -> frozenset[str]:
    files = (ROOT / "tests").rglob("test_*.py")
    return frozenset(name for path in files for name in names_in(str(path.relative_to(ROOT))))


def rows() -> list[list[str]]:
    text = PAGE.read_text()
    section = text.partition("## What Renate's own tests looked at")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [line.strip("| ").split(" | ") for line in lines]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0].strip("`"))
def test_each_file_of_renates_has_tests_here(row: list[str]) -> None:
    _, behaviours, named = row
    found = NAMED.findall(named)
    assert behaviours
    assert found
    for path, name in found:
        assert name in names_in(path), f"{path} has no {name}"


def test_the_note_names_every_file_of_renates_that_counts() -> None:
    """The folders of its suite that test what its users call."""
    files = {row[0].strip("`") for row in rows()}
    assert len(files) == len(rows())
    for folder in ("memory", "updaters", "training", "cli", "benchmark", "models", "data"):
        assert any(file.startswith(f"{folder}/") for file in files)


def test_tests_that_are_named_elsewhere_are_there() -> None:
    missing = set(ALONE.findall(PAGE.read_text())) - all_names()
    assert not missing
