"""The regression set of a gate: what it keeps of update after update."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load

from renate.errors import StateError
from renate.jobs.scoring.regression_set import FILE, regression_files, regression_of
from renate.problems.classification import Classification

SETTINGS = {"per_update": 20, "size": 60}


def problem() -> Classification:
    found = Classification()
    found.restore([0, 1], {})
    return found


def week(number: int, rows: int = 50) -> dict[str, torch.Tensor]:
    """Inputs tell the week and the row."""
    inputs = torch.stack([torch.full((rows,), float(number)), torch.arange(float(rows))], 1)
    return {"inputs": inputs, "targets": torch.zeros(rows).long()}


def version(tensors: dict[str, torch.Tensor]) -> Any:
    manifest = SimpleNamespace(version=1, files={FILE: None})
    return SimpleNamespace(
        manifest=manifest, state=SimpleNamespace(url="s"), tensors=lambda name: dict(tensors)
    )


def after(kept: dict[str, torch.Tensor] | None, number: int, rows: int = 50) -> Any:
    """The set of the version that a week makes."""
    saved = None if kept is None else version(kept)
    found = regression_of(saved, week(0), problem(), SETTINGS["per_update"])
    ((name, raw),) = regression_files(found, week(number, rows), SETTINGS, number, seed=number)
    assert name == FILE
    assert raw is not None
    return load(raw)


def counts(kept: dict[str, torch.Tensor]) -> list[int]:
    return torch.bincount(kept["inputs"][:, 0].long())[1:].tolist()


def test_a_set_that_does_not_say_whose_head_counts_begins_anew() -> None:
    plain = after(None, 1)
    with_heads = week(2) | {"task_id": torch.arange(50) % 2}
    assert regression_of(version(plain), with_heads, problem(), 20) is None
    ((_, raw),) = regression_files(None, with_heads, SETTINGS, 2, seed=2)
    assert raw is not None
    kept = load(raw)
    found = regression_of(version(kept), with_heads, problem(), 20)
    assert found is not None
    assert torch.equal(found.columns["task_id"], found.columns["inputs"][:, 1].long() % 2)


def test_a_full_set_keeps_a_fair_share_of_every_update() -> None:
    kept: Any = None
    for number in range(1, 4):
        kept = after(kept, number)
    assert counts(kept) == [20, 20, 20]

    before = kept
    kept = after(kept, 4)
    assert counts(kept) == [15, 15, 15, 15]
    # What stays is what was there, as it was: a sample of a sample, which chance drew
    old = {tuple(row) for row in before["inputs"].tolist()}
    stayed = [tuple(row) for row in kept["inputs"].tolist() if row[0] < 4]
    assert set(stayed) < old
    assert torch.equal(kept["#update"], kept["inputs"][:, 0].long())

    for number in range(5, 201):
        kept = after(kept, number)
    shares = counts(kept)
    assert sum(shares) == SETTINGS["size"]
    assert max(shares) == 1
    # None is drawn from the end or from the beginning alone
    thirds = [sum(shares[begin : begin + 66]) for begin in (0, 66, 132)]
    assert min(thirds) >= 6


def test_an_update_of_few_examples_keeps_them_all() -> None:
    kept = after(after(after(None, 1), 2, rows=5), 3)
    for number in (4, 5):
        kept = after(kept, number)
    assert counts(kept)[1] == 5
    assert sum(counts(kept)) == 60
    assert max(counts(kept)) <= 14


def test_the_same_seed_draws_the_same() -> None:
    first, second = (after(after(after(after(None, 1), 2), 3), 4) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_set_of_an_earlier_release_says_nothing_of_updates() -> None:
    """Its rows count as those of one update each `per_update`, in their order."""
    parts = [week(number, 20) for number in (1, 2, 3)]
    old = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    kept = after(old, 4)
    assert counts(kept) == [15, 15, 15, 15]
    assert kept["#update"].unique().numel() == 4


@pytest.mark.parametrize(
    "marks", [torch.zeros(50), torch.zeros(49).long(), torch.zeros(50, 1).long()]
)
def test_marks_that_are_none_are_refused(marks: torch.Tensor) -> None:
    with pytest.raises(StateError, match="'#update' is no whole number for each of its 50 rows"):
        regression_of(version(week(1) | {"#update": marks}), week(0), problem(), 20)


def test_without_new_examples_it_stays_as_it_is() -> None:
    kept = regression_of(version(after(None, 1)), week(0), problem(), 20)
    nothing = {"per_update": 0, "size": 60}
    assert [*regression_files(kept, week(2), nothing, 2, 0)] == [(FILE, None)]
    assert [*regression_files(kept, None, SETTINGS, 2, 0)] == [(FILE, None)]
    assert [*regression_files(None, None, SETTINGS, 2, 0)] == []
