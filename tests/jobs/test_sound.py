"""Nothing that is no number is published, and a result is written whatever is in it."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from renate.errors import JobError
from renate.jobs.checks.sound import check_finite, oddities
from renate.jobs.directory import JobDirectory, describe, strict
from renate.jobs.records import COMPLETED, JobResult
from renate.jobs.scoring.measured import check_numbers


class Masked(nn.Module):
    """A parameter, and a mask of -inf as attention has."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))
        self.register_buffer("mask", torch.tensor([0.0, -math.inf]))
        self.register_buffer("mean", torch.zeros(2))


def test_a_mask_of_infinities_is_no_fault() -> None:
    parts = {"model": Masked()}
    check_finite(parts, oddities(parts))


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("weight", math.nan, "NaN"),
        ("weight", math.inf, "an infinity"),
        ("mean", math.inf, "an infinity"),
        ("mask", math.nan, "NaN"),
    ],
)
def test_what_a_fit_spoiled_is_named(name: str, value: float, what: str) -> None:
    model = Masked()
    before = oddities({"model": model})
    with torch.no_grad():
        getattr(model, name)[0] = value
    with pytest.raises(JobError, match=rf"'model\.{name}' holds {what}: nothing is published"):
        check_finite({"model": model}, before)


def test_a_metric_that_is_no_number_is_named() -> None:
    check_numbers("test", {"accuracy": 0.5})
    with pytest.raises(JobError, match="metric 'loss' on test set 'march' is inf"):
        check_numbers("march", {"accuracy": 0.5, "loss": math.inf})


def test_json_is_strict() -> None:
    assert strict({"a": math.nan, "b": [math.inf, 1.5], 3: "x"}) == {
        "a": None,
        "b": [None, 1.5],
        "3": "x",
    }


def test_a_result_is_written_whatever_is_in_it(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)
    directory.finish(JobResult.failure("\udce9", metrics={"loss": math.nan}))
    found = json.loads((tmp_path / "result.json").read_text(), parse_constant=pytest.fail)
    assert found["metrics"] == {"loss": None}


def test_a_result_that_cant_be_written_is_a_failure_that_says_so(tmp_path: Path) -> None:
    result = JobDirectory(tmp_path / "gone").finish(JobResult(COMPLETED))
    assert result.failed
    assert "can't write the job's result: " in result.reason


def test_an_exception_may_have_odd_words() -> None:
    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    assert describe(OddError()) == "OddError"
    assert describe(ValueError("a\udce9")) == "a\\udce9"
