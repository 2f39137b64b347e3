"""What a job tells a policy of a version, also of one that says odd things of itself."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load

from renate.errors import ConfigError, StateError
from renate.jobs.detecting.looks import MOST, kept_effects, noted
from renate.jobs.detecting.reference import reference_files
from renate.jobs.detecting.situation import JobSituation


def situation(created: str = "", **lineage: Any) -> JobSituation:
    manifest = SimpleNamespace(created=created, lineage=lineage, version=1)
    saved: Any = SimpleNamespace(manifest=manifest, state=SimpleNamespace(url="s"), next=2)
    job: Any = SimpleNamespace(config={"seed": 0})
    nothing: Any = None
    return JobSituation(job, nothing, saved, nothing)


def ago(**times: float) -> str:
    return (datetime.now(UTC) - timedelta(**times)).isoformat()


def test_age_is_told_in_any_time_zone() -> None:
    assert situation(ago(days=3)).age() == pytest.approx(3 * 86400, abs=5)
    assert situation(ago(hours=2).replace("+00:00", "")).age() == pytest.approx(7200, abs=5)
    there = datetime.now(UTC).astimezone().replace(microsecond=0) - timedelta(hours=5)
    assert situation(there.isoformat()).age() == pytest.approx(5 * 3600, abs=5)


def test_clocks_differ_by_a_little_and_no_version_is_of_the_future() -> None:
    assert situation(ago(seconds=-20)).age() == 0.0
    with pytest.raises(StateError, match="which is still to come: one of two clocks is wrong"):
        situation(ago(days=-2)).age()
    with pytest.raises(StateError, match="which is no time"):
        situation("yesterday").age()


@pytest.mark.parametrize("seconds", [None, "3", -1.0, float("nan"), True])
def test_a_training_that_took_no_time_is_no_cost(seconds: Any) -> None:
    with pytest.raises(StateError, match="doesn't say how long its training took"):
        situation(seconds=seconds).training_seconds()
    assert situation(seconds=90).training_seconds() == 90.0


class Version:
    """A version that keeps a reference."""

    next = 3

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self.kept = tensors
        self.manifest = SimpleNamespace(version=2, files={"reference.safetensors": None})
        self.state = SimpleNamespace(url="s")

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        assert name == "reference"
        return dict(self.kept)


def reference(
    keep: int, saved: Any, rows: int, value: float, of: str = "all_updates", fill: int = 100
) -> dict[str, torch.Tensor]:
    shift = {"keep": keep, "of": of, "fill": fill}
    job: Any = SimpleNamespace(config={"seed": 0, "shift": shift})
    data = {"inputs": torch.full((rows, 1), value), "targets": torch.zeros(rows).long()}
    ((_, raw),) = reference_files(job, saved, data, data)
    assert raw is not None
    return load(raw)


@pytest.mark.parametrize(("keep", "share"), [(20, 10), (1000, 20)])
def test_a_reference_is_in_proportion_also_where_it_may_be_larger(keep: int, share: int) -> None:
    """20 examples stand for 500 of before; 500 more come."""
    before = reference(20, None, 500, 1.0)
    found = reference(keep, Version(before), 500, 2.0)
    assert int(found["#seen"]) == 1000
    assert (found["inputs"] == 1.0).sum() == share
    assert (found["inputs"] == 2.0).sum() == share


def test_a_reference_is_of_the_last_update_and_filled_by_earlier_ones() -> None:
    """After a world has changed for good, an update is all that it takes."""
    before = reference(200, None, 150, 1.0, "last_update")
    found = reference(200, Version(before), 120, 2.0, "last_update")
    assert found["inputs"].unique().tolist() == [2.0]
    assert int(found["#seen"]) == 120
    few = reference(200, Version(before), 30, 2.0, "last_update")
    assert (few["inputs"] == 2.0).sum() == 30
    assert (few["inputs"] == 1.0).sum() == 70
    assert int(few["#seen"]) == 100
    # Never more than are kept, and several rounds later only what is newest
    small = reference(20, Version(before), 30, 2.0, "last_update")
    assert small["inputs"].unique().tolist() == [2.0]
    alone = reference(200, Version(before), 30, 2.0, "last_update", fill=0)
    assert len(alone["inputs"]) == 30


@pytest.mark.parametrize(
    ("of", "fill", "said"),
    [
        ("last_updates", 100, "shift.of=last_updates: expected .* did you mean 'last_update'"),
        ("last_update", -1, "shift.fill=-1: expected a whole number, 0 or more"),
    ],
)
def test_a_reference_of_what_isnt_known_is_refused(of: str, fill: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        reference(200, None, 10, 1.0, of, fill)


@pytest.mark.parametrize("effects", [["0.1"], [-1.0], [float("nan")], 0.5, [True]])
def test_effects_that_are_none_are_refused(effects: Any) -> None:
    saved: Any = situation(drift_effects=effects).saved
    with pytest.raises(StateError, match="keeps .* as drift_effects, expected numbers"):
        kept_effects(saved)


def test_a_version_keeps_the_newest_effects() -> None:
    saved: Any = situation(drift_effects=[0.25] * MOST).saved
    found = noted(saved, [0.5, 0.75])["drift_effects"]
    assert found == [*[0.25] * (MOST - 2), 0.5, 0.75]
    assert noted(None, []) == {}
