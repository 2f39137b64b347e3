"""Sweeps and tuners by `backend=sagemaker`, against the loopback services."""

import json
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import renate
from renate.launchers.sagemaker.service import Service
from renate.state.versions import State
from renate.tuning.on_disk.trial_history import read
from tests.command import RENATE
from tests.command import renate as command

from .services.start import Services
from .services.validate import problems
from .test_sagemaker import NAPS, SLOW, everything, names, wait_for, weights

QUICK = ["trainer.max_epochs=3", "model.hidden_sizes=[16]", "data.limit=400", "backend.workers=2"]
# The default is tried first and goes on; learning rates that learn nothing are behind it at the
# first rung.
SPACE = ["optimizer.lr=0.05,1e-7,1e-8", "tuner=asha", "tuner.order=fixed"]
On = Callable[..., list[str]]


@pytest.fixture
def on(aws: Services, workdir: Path) -> On:
    """Overrides that submit to the services; what is local goes to a folder of the test's own."""
    given = [
        "backend=sagemaker",
        f"backend.role={aws.role}",
        "backend.instance_type=ml.m5.xlarge",
        "backend.poll=0.5",
    ]
    place = f"backend.staging=s3://{aws.bucket}/{workdir.name}"
    return lambda *more: [*given, place, *more]


@pytest.fixture
def url(aws: Services, tmp_path: Path) -> str:
    return f"s3://{aws.bucket}/{tmp_path.name}/state"


def rows(url: str) -> list[dict[str, str]]:
    """What a state remembers of its trials, but for what differs from run to run."""
    state = State(url)
    return [
        {k: v for k, v in row.items() if k not in ("seconds", "sweep")}
        for row in read(state, state.verify())
    ]


@pytest.mark.slow
def test_a_tuner_inside_one_job_ends_as_here(aws: Services, on: On, workdir: Path) -> None:
    first = ["state.first=true"]
    command(*QUICK, *SPACE, "state.url=./here", *first, cwd=workdir)
    done = command(*on(*QUICK, *SPACE, "state.url=./mine", *first), cwd=workdir, reports=True)
    assert rows("./mine") == rows("./here")
    assert [row["status"] for row in rows("./mine")] == ["completed", "stopped", "stopped"]
    assert weights(State("./mine").manifest()) == weights(State("./here").manifest())
    # It tells of the trials as it goes, and ends with the table and the winner, as here.
    assert re.search(r"trial 0: completed, val_accuracy 0\.\d+, the best so far", done.stderr)
    assert re.search(r"trial 1: stopped at epoch 1, val_accuracy 0\.\d+ is behind", done.stderr)
    assert "version     1 of ./mine\n" in done.stdout
    (winner,) = [line for line in done.stdout.splitlines() if line.startswith("winner")]
    assert winner.endswith(" optimizer.lr=0.05")
    assert "state.url" not in winner, "it began from nothing, and the state has gone on"
    assert "launcher" not in winner
    (page,) = re.findall(r"^report      (\S+)$", done.stdout, re.M)
    said = Path(page).read_text()
    assert "3 trials: 1 completed, 2 stopped early" in said
    assert "optimizer.lr=0.05" in said
    shown = command("jobs", "show", "latest", cwd=workdir).stdout
    assert [line.split()[1] for line in shown.splitlines()[-3:]] == [
        "completed",
        "stopped",
        "stopped",
    ]
    (request,) = aws.requests("CreateTrainingJob")
    sweep = Path("runs/latest").resolve().name
    home = f"s3://{aws.bucket}/{workdir.name}/jobs/{sweep}"
    assert sweep.startswith("sweep-")
    assert problems("CreateTrainingJob", request) == []
    assert request["Tags"] == [{"Key": "renate:job", "Value": sweep}]
    assert request["CheckpointConfig"]["S3Uri"] == f"{home}/checkpoints"
    assert request["InputDataConfig"][1]["DataSource"]["S3DataSource"]["S3Uri"] == f"{home}/job/"
    again = command(*on(*QUICK, *SPACE, "state.url=./mine"), cwd=workdir)
    assert "already published as version 1 of ./mine, tuned by this very sweep" in again.stdout
    # The next sweep begins with what was best in this one.
    result = renate.run(
        on(*QUICK, "tuner=asha", "optimizer.lr=0.04,0.05", "seed=1", "state.url=./mine")
    )
    assert (result.version, result.state_url) == (2, "./mine")
    assert (rows("./mine")[3]["source"], rows("./mine")[3]["optimizer.lr"]) == ("enqueued", "0.05")
    assert len(names(aws)) == 2


@pytest.mark.by_hand  # tests/backends/test_contract.py has its like
def test_combinations_inside_one_job(aws: Services, on: On, workdir: Path) -> None:
    """Also options and modules of the user's own, and states that no URL was given for."""
    (workdir / "conf/model").mkdir(parents=True)
    (workdir / "conf/model/wide.yaml").write_text(
        "_target_: my_nets.Wide\nhidden: 24\nnum_classes: null\n"
    )
    (workdir / "my_nets.py").write_text(
        "from torch import nn\n\nclass Wide(nn.Sequential):\n    def __init__(self, hidden, "
        "num_classes):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), "
        "nn.Linear(hidden, num_classes))\n"
    )
    grid = [
        "trainer.max_epochs=2",
        "data.limit=200",
        "backend.workers=2",
        "model=mlp,wide",
        "seed=3",
    ]
    command(*grid, "run_dir=here", cwd=workdir)
    done = command(*on(*grid), cwd=workdir)
    assert len(names(aws)) == 1
    jobs = {
        path.parent.name for path in Path("here").glob("*/job.json") if not path.parent.is_symlink()
    }
    assert len(jobs) == 2
    for job in jobs:
        here, there = (State(f"{folder}/{job}/state").verify() for folder in ("here", "runs"))
        assert weights(here) == weights(there)
        assert f"{job}" in done.stdout
        results = [
            json.loads(Path(folder, job, "result.json").read_text()) for folder in ("here", "runs")
        ]
        assert results[0]["metrics"] == results[1]["metrics"]
        assert Path("runs", job, "metrics.jsonl").read_text().count("\n") == 2
    again = command(*on(*grid), cwd=workdir)
    assert again.stderr.count("finished earlier, in ") == 2
    assert len(names(aws)) == 1


@pytest.mark.slow
def test_a_sweep_whose_machine_is_taken_away_goes_on(
    aws: Services, on: On, url: str, workdir: Path
) -> None:
    (workdir / "my_naps.py").write_text(SLOW)
    long = [
        *QUICK,
        *SPACE,
        *NAPS,
        "backend.workers=1",
        "trainer.checkpoint_every=0.3",
        "state.first=true",
    ]
    command(*long, "state.url=./here", cwd=workdir)
    ended: list[Any] = []
    spot = on(*long, f"state.url={url}", "backend.spot=true", "backend.max_run=600")
    thread = threading.Thread(target=lambda: ended.append(renate.run(spot)))
    thread.start()
    name = wait_for(lambda: names(aws))[0]
    aws.wait_for_line(name, "trial 1: ", 120)
    wait_for(
        lambda: any(
            re.search("/sweep-[^/]*/0/candidate/pins/", key)
            for key in everything(aws, workdir.name)
        )
    )
    aws.interrupt(name, signal="KILL")
    thread.join(240)
    assert rows(url) == rows("./here")
    assert weights(State(url).manifest()) == weights(State("./here").manifest())
    assert State(url).versions() == [1]
    passed = [each.status for each in Service(None).job(name).secondary_status_transitions]
    assert passed.count("Training") == 2
    assert sum("trial 0: completed" in line for line in aws.log(name)) == 1, (
        "what had finished wasn't trained again"
    )


@pytest.mark.slow
def test_each_trial_is_a_job(aws: Services, on: On, url: str, workdir: Path) -> None:
    """Those behind are stopped; one that finds no machine is submitted again, then fails, and
    the sweep goes on.
    """
    (workdir / "my_naps.py").write_text(SLOW)
    none = {
        "name": "trials-",
        "reason": "CapacityError: Unable to provision requested ML compute capacity.",
    }
    given = [
        "backend.sweep=per_trial",
        "backend.workers=1",
        "backend.job_name=trials",
        f"state.url={url}",
    ]
    space = ["optimizer.lr=0.05,1e-7,1e-8,1e-9", *SPACE[1:], *NAPS]
    ended: list[Any] = []
    sweep = on(*QUICK, *space, *given, "state.first=true")
    aws.configure(failures=[none | {"times": 1}])
    thread = threading.Thread(target=lambda: ended.append(command(*sweep, cwd=workdir)))
    thread.start()
    tried = wait_for(lambda: len(names(aws)) == 2 and names(aws), 120)
    aws.wait_for_line(tried[1], "epoch 1 step", 120)
    aws.configure(failures=[none | {"times": 2}])
    thread.join(240)
    (done,) = ended
    assert re.search(r"trial 0: completed, val_accuracy .*, the best so far", done.stderr)
    assert re.search(r"trial 1: failed, no ml.m5.xlarge free: .*or later \(trials-", done.stderr)
    assert re.search(r"trial 2: stopped at epoch 1, val_accuracy .* is behind", done.stderr)
    assert [row["status"] for row in rows(url)] == ["completed", "failed", "stopped", "stopped"]
    assert State(url).versions() == [1]
    tried = names(aws)
    assert len(tried) == len(set(tried)) == 6, "two names each for the first two trials"
    stopped = [request["TrainingJobName"] for request in aws.requests("StopTrainingJob")]
    assert stopped == tried[4:]
    left = [key for key in everything(aws, workdir.name) if "/candidate/" in key]
    assert left == [], "losers' outcomes are dropped, the winner's is in the state"
    assert "goes on; the same command" not in done.stderr, "nothing is left running"


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT], ids=["killed", "Ctrl-C"])
def test_a_command_finds_its_trials_running(
    aws: Services, on: On, workdir: Path, end: signal.Signals
) -> None:
    (workdir / "my_naps.py").write_text(SLOW)
    space = ["optimizer.lr=0.05,0.04", "tuner=random", "tuner.order=fixed", *NAPS]
    given = on(*QUICK, *space, "backend.sweep=per_trial", "state.url=./mine", "state.first=true")
    ended = subprocess.Popen([*RENATE, *given], cwd=workdir, stderr=subprocess.PIPE, text=True)
    both = wait_for(lambda: len(names(aws)) == 2 and names(aws), 120)
    aws.wait_for_line(both[0], "epoch 1 step", 120)
    ended.send_signal(end)
    _, said = ended.communicate(timeout=60)
    if end == signal.SIGINT:
        assert [f"{name} goes on; the same command follows it again" in said for name in both] == [
            True,
            True,
        ]
        assert "interrupted: nothing is published; the same command goes on from here" in said
    result = renate.run(given)
    assert (result.version, result.state_url) == (1, "./mine")
    assert names(aws) == both, "none was submitted twice"
    assert [row["status"] for row in rows("./mine")] == ["completed", "completed"]
    assert all(
        len([line for line in aws.log(name) if line.startswith("epoch ")]) == 3 for name in both
    )


@pytest.mark.slow
def test_a_sweep_is_left_and_waited_for(aws: Services, on: On, url: str, workdir: Path) -> None:
    """From another folder, where nothing of it is known; the experiment names the backend and
    the tuner.
    """
    (workdir / "conf/experiment").mkdir(parents=True)
    (workdir / "conf/experiment/nightly.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /backend: sagemaker\n  - override /tuner: "
        "random\n"
        f"backend: {{role: '{aws.role}', instance_type: ml.m5.xlarge, poll: 0.5}}\n"
        "hydra: {sweeper: {params: {optimizer.lr: '0.05,1e-7'}}}\n"
    )
    given = ["experiment=nightly", *QUICK, f"state.url={url}", "state.first=true"]
    done = command(*given, "backend.wait=false", cwd=workdir)
    (name,) = names(aws)
    assert f"follow      renate jobs wait {name} --backend sagemaker\n" in done.stdout
    (workdir / "elsewhere").mkdir()
    waited = command("jobs", "wait", name, "--backend", "sagemaker", cwd=workdir / "elsewhere")
    assert f"version     1 of {url}\n" in waited.stdout
    assert re.search(r"trial 0: completed, val_accuracy .*, the best so far", waited.stderr)
    assert [row["status"] for row in rows(url)] == ["completed", "completed"]
    assert (
        f"already published as version 1 of {url}, tuned by"
        in command(*given[:-1], cwd=workdir).stdout
    )


@pytest.mark.slow
def test_a_tuned_stream_inside_one_job(aws: Services, on: On, workdir: Path) -> None:
    stream = [
        *QUICK,
        "job=stream",
        "scenario=class_incremental",
        "scenario.chunks=2",
        "optimizer.lr=0.05,1e-7",
    ]
    stream += [
        "tuner=random",
        "tuner.order=fixed",
        "objective.metric=val_loss",
        "objective.mode=min",
    ]
    here = renate.run([*stream, "state.url=./here"])
    there = renate.run(on(*stream, "state.url=./mine"))
    assert (there.version, there.metrics) == (here.version, here.metrics)
    for number in (1, 2):
        assert weights(State("./mine").manifest(number)) == weights(
            State("./here").manifest(number)
        )
    assert len(names(aws)) == 1
