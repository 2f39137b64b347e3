"""What `renate state show` says of where a version comes from."""

from dataclasses import replace
from typing import Any

import pytest

from renate.cli.lineage import lines_of, of_parent
from renate.state.manifest import Manifest, Parent

PLAIN = Manifest(
    version=1,
    base=0,
    parent=None,
    writer="writer",
    created="2026-11-27T17:45:55+00:00",
    job="job",
    lineage={},
    files={},
)


def shown(**lineage: Any) -> list[tuple[str, str]]:
    return lines_of(replace(PLAIN, lineage=lineage), but=["alias"])


def test_files_are_counted_and_some_are_named() -> None:
    files = [[f"week{number}.csv", "0" * 64, 10] for number in range(100)]
    assert shown(data={"train": files, "test": [["t.csv", "1" * 64, 1200]]}) == [
        (
            "data",
            "train: 1,000 rows of 100 files: week0.csv, week1.csv, week2.csv, week3.csv, week4.csv "
            "and 95 more",
        ),
        ("data", "test: 1,200 rows of 1 file: t.csv"),
    ]


def test_a_command_can_be_pasted_and_nothing_is_a_value_of_python() -> None:
    lines = shown(
        overrides=["data=files", "data.train='in/*.csv'", "model.hidden_sizes=[4]"],
        packages={"numpy": "2.4", "torch": "2.13"},
        tags=["late", "retry"],
        stream=None,
        seed=0,
        alias="elsewhere",
    )
    assert lines == [
        ("overrides", """data=files 'data.train='"'"'in/*.csv'"'"'' 'model.hidden_sizes=[4]'"""),
        ("packages", "numpy 2.4, torch 2.13"),
        ("tags", "late retry"),
        ("seed", "0"),
    ]


@pytest.mark.parametrize("odd", [{"train": [["a"]]}, [1, [2]], {"a": {"b": 1}}])
def test_what_no_update_writes_is_shown_as_it_is(odd: Any) -> None:
    ((name, text),) = shown(data=odd)
    assert name == "data"
    assert text.startswith(("{", "["))
    ((_, text),) = shown(data={"x": [0] * 1000})
    assert len(text) < 310


def test_parents() -> None:
    assert of_parent(None) == "–"
    assert of_parent(Parent(None, 3, "0" * 64)) == "version 3"
    assert of_parent(Parent("s3://b/s", 3, "0" * 64)) == "version 3 of s3://b/s"
