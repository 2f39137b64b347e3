"""A second week with a class that the state doesn't know."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import renate
from renate.data.kept.newcomers import in_words, newcomers_in, where_they_stand
from renate.data.table import File, Table
from renate.errors import DataError, JobError
from renate.problems.classification import Classification
from renate.problems.multi_label import MultiLabel
from tests.command import renate as command

ANIMALS = ("ant", "bee", "cat", "dog")
WEEKLY = [
    *("data=files", "data.target=animal", "data.train=week*.csv", "state.url=./state"),
    *("trainer.max_epochs=6", "optimizer.lr=0.5", "model.hidden_sizes=[16]", "updater=derpp"),
]


def write_week(path: Path, seed: int, animals: Sequence[str], rows: int = 150) -> list[str]:
    """Each animal around a place of its own; returns that of each row."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(animals), rows)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["x", "y", "animal"])
        for number in chosen:
            angle = np.pi / 2 * ANIMALS.index(animals[number])
            noise = rng.normal(0, 0.1, 2)
            writer.writerow([np.cos(angle) + noise[0], np.sin(angle) + noise[1], animals[number]])
    return [animals[number] for number in chosen]


@pytest.mark.slow
def test_it_is_refused_by_its_rows_or_grows_the_head(workdir: Path) -> None:
    write_week(workdir / "week1.csv", 1, ANIMALS[:3])
    renate.run([*WEEKLY, "state.first=true"])
    before = renate.load_model("./state")

    write_week(workdir / "week2.csv", 2, ANIMALS)
    lines = (workdir / "week2.csv").read_text().splitlines()[1:]
    rows = [number for number, line in enumerate(lines) if line.endswith(",dog")]
    first = ", ".join(map(str, rows[:5]))
    said = f"'dog' ({len(rows)} examples), week2.csv: rows {first} and {len(rows) - 5} more"
    with pytest.raises((DataError, JobError)) as refused:
        renate.run(WEEKLY)
    assert "labels ['dog'] are new, the state knows ['ant', 'bee', 'cat']" in str(refused.value)
    assert f"grows the model, or correct the data; {said}" in str(refused.value)

    test = write_week(workdir / "test.csv", 3, ANIMALS)
    done = command(*WEEKLY, "model.grow=true", "data.test=test.csv", cwd=workdir)
    assert f"new classes: 'dog' ({len(rows)} examples)" in done.stdout + done.stderr
    result = json.loads((workdir / "runs" / "latest" / "result.json").read_text())
    assert result["version"] == 2
    assert result["before"]["test_accuracy/new classes"] == 0.0
    old = result["metrics"]["test_accuracy/old classes"]
    new = result["metrics"]["test_accuracy/new classes"]
    assert min(old, new) > 0.8
    share = test.count("dog") / len(test)
    assert result["metrics"]["test_accuracy"] == pytest.approx(share * new + (1 - share) * old)
    assert renate.load_model("./state").labels == [*before.labels, "dog"]


def problem_of(labels: Sequence[str]) -> Classification:
    problem = Classification()
    problem.restore(labels, {})
    return problem


def of_files(targets: torch.Tensor, files: Sequence[File], **more: Any) -> Table:
    return Table(targets, targets.numpy(), files=tuple(files), **more)


def test_places_are_rows_of_their_files() -> None:
    targets = torch.tensor([0, 2, 0, 2, 2, 1, 2, 3])
    files = [File("a.csv", 4, ""), File("b.csv", 0, ""), File("c.csv", 4, "")]
    cat, dog = newcomers_in(targets, ["cat", "dog"], problem_of(ANIMALS), of_files(targets, files))
    assert (cat.count, cat.places) == (4, ("a.csv: rows 1, 3", "c.csv: rows 0, 2"))
    assert (dog.count, dog.places) == (1, ("c.csv: row 3",))
    assert in_words([cat, dog]) == "'cat' (4 examples), 'dog' (1 example)"
    assert where_they_stand([dog]) == "'dog' (1 example), c.csv: row 3 (rows count from 0)"


def test_places_are_rows_of_the_file_where_some_were_left_out() -> None:
    targets = torch.tensor([0, 1, 0, 1])
    files = [File("a.csv", 3, ""), File("b.csv", 1, "")]
    kept = {"a.csv": np.array([1, 5, 7])}
    cat, dog = newcomers_in(
        targets, ["cat", "dog"], problem_of(["cat", "dog"]), of_files(targets, files, kept=kept)
    )
    assert cat.places == ("a.csv: rows 1, 7",)
    assert dog.places == ("a.csv: row 5", "b.csv: row 0")


def test_many_are_not_all_named() -> None:
    labels = [f"l{number}" for number in range(9)]
    targets = torch.arange(9).repeat(10)
    found = newcomers_in(targets, labels, problem_of(labels), of_files(targets, []))
    assert in_words(found).endswith("'l4' (10 examples) and 4 more")
    assert found[0].places == ("rows 0, 9, 18, 27, 36 and 5 more",)
    many = newcomers_in(
        targets,
        ["l0"],
        problem_of(labels),
        of_files(targets, [File(f"{n}", 9, "") for n in range(10)]),
    )
    assert many[0].places[-1] == "and 5 files more"


def test_labels_of_lists() -> None:
    problem = MultiLabel(0.5)
    problem.restore(["a", "b"], {})
    targets = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    (found,) = newcomers_in(targets, ["b"], problem, of_files(targets, []))
    assert (found.count, found.places) == (1, ("row 0",))


@pytest.mark.slow
@pytest.mark.parametrize("known", [2, 3])
def test_a_test_set_without_new_classes_says_nothing_of_them(known: int, workdir: Path) -> None:
    write_week(workdir / "week1.csv", 1, ANIMALS[:known])
    write_week(workdir / "old.csv", 5, ANIMALS[:2])
    renate.run([*WEEKLY, "state.first=true", "data.test=old.csv", "trainer.max_epochs=1"])
    write_week(workdir / "week2.csv", 2, ANIMALS[:3])
    given = ["data.test=old.csv", "trainer.max_epochs=1", "model.grow=true", "seed=1"]
    found = renate.run([*WEEKLY, *given]).metrics
    assert ("test_accuracy/old classes" in found) == (known == 2)
    assert "test_accuracy/new classes" not in found
