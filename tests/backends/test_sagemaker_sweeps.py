"""Sweeps and tuners by `backend=sagemaker`, against the loopback services."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from renate.state.versions import State
from renate.tuning.past import read
from tests.command import renate as command

from .services.start import Services

QUICK = ["trainer.max_epochs=4", "model.hidden_sizes=[16]", "data.limit=400"]
TUNED = [*QUICK, "tuner=asha", "search_space=er", "tuner.max_trials=7", "tuner.order=fixed"]
On = Callable[..., list[str]]


@pytest.fixture
def on(aws: Services, workdir: Path) -> On:
    """Overrides that submit to the services."""
    del workdir
    given = ["backend=sagemaker", f"backend.role={aws.role}", "backend.instance_type=ml.m5.xlarge", "backend.poll=0.5"]
    return lambda *more: [*given, "backend.workers=2", *more]


@pytest.fixture
def url(aws: Services, tmp_path: Path) -> str:
    return f"s3://{aws.bucket}/{tmp_path.name}/state"


def names(aws: Services) -> list[str]:
    return [request["TrainingJobName"] for request in aws.requests("CreateTrainingJob")]


def rows(url: str) -> list[dict[str, str]]:
    state = State(url)
    return [{k: v for k, v in row.items() if k not in ("seconds", "sweep")} for row in read(state, state.manifest())]


def test_a_tuner_runs_inside_one_job(aws: Services, on: On, url: str, workdir: Path) -> None:
    here = command(*TUNED, "backend.workers=2", "state.url=./here", "state.first=true", cwd=workdir)
    done = command(*on(*TUNED, f"state.url={url}", "state.first=true"), cwd=workdir)
    print(done.stdout, done.stderr)
    assert len(names(aws)) == 1
    assert "stopped at epoch 1, val_accuracy" in done.stderr
    assert "the best so far" in done.stderr
    assert rows(url) == rows("./here")
    assert len(rows(url)) == 7
    again = command(*on(*TUNED, f"state.url={url}"), cwd=workdir)
    assert f"already published as version 1 of {url}, tuned by this very sweep" in again.stderr
    # The next sweep begins with what was best in this one; its state is local here.
    best = json.loads(Path("runs/latest/result.json").read_text())["best_params"]
    second = command(*on(*TUNED, f"state.url={url}", "seed=1"), cwd=workdir)
    first = second.stderr[second.stderr.index("trial 0: ") :].splitlines()[0]
    assert first.endswith("(enqueued)")
    assert f"data.batch_size={best['data.batch_size']}" in first
    assert "version     2 of" in second.stdout
    assert len(rows(url)) == 14
    assert len(names(aws)) == 2
    shown = command("jobs", "show", "latest", cwd=workdir).stdout
    assert shown.count("completed") + shown.count("stopped") >= 7


def test_each_trial_is_a_job(aws: Services, on: On, url: str, workdir: Path) -> None:
    given = [*TUNED, "backend.sweep=per_trial", "tuner.order=arrival"]
    aws.configure(failures=[{"name": "renate-", "reason": "CapacityError: none", "times": 1}])
    done = command(*on(*given, f"state.url={url}", "state.first=true"), cwd=workdir)
    print(done.stdout, done.stderr)
    assert State(url).versions() == [1]
    found = rows(url)
    assert len(found) == 7
