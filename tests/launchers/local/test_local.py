"""Sweeps on warm workers: what fails, what is interrupted, what is published."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import renate as package
from renate.errors import ConfigError
from renate.launchers.local.machine import deal_gpus
from renate.state.publish import candidates
from renate.state.versions import State
from tests.command import RENATE, renate, workers

QUICK = ["trainer.max_epochs=1", "model.hidden_sizes=[8]"]


def results(folder: Path) -> list[dict[str, object]]:
    found = [
        path
        for path in sorted((folder / "runs").glob("*/result.json"))
        if path.parent.name != "latest"
    ]
    return [json.loads(path.read_text()) for path in found]


def wait_for(condition: object, seconds: float = 180.0) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


@pytest.mark.slow
def test_six_jobs_on_one_state_and_one_published(workdir: Path) -> None:
    package.run([*QUICK, "state.url=./state", "state.first=true"])
    sweep = ["updater=fine_tuning,er", "seed=1,2,3", "backend.workers=2"]
    done = renate(*QUICK, "state.url=./state", *sweep, cwd=workdir)
    assert len(candidates(State("./state"))) == 6
    assert State("./state").versions() == [1]
    rows = [
        line for line in done.stdout.splitlines() if " publish with renate state publish " in line
    ]
    assert len(rows) == 6
    assert "updater=er seed=2: publish with" in done.stdout
    means = [
        line
        for line in done.stdout.splitlines()
        if line.startswith("updater=er ") and " ± " in line
    ]
    assert means, "mean ± sd over seeds"
    job = rows[4].split()[-1]
    assert renate("state", "publish", job, cwd=workdir).stdout == "version 2 of ./state\n"
    assert renate("state", "publish", job, cwd=workdir).stdout == "version 2 of ./state\n", (
        "once published, always so"
    )
    loser = renate("state", "publish", rows[0].split()[-1], cwd=workdir, code=1)
    assert "version 2 was published by job" in loser.stderr
    assert len(loser.stderr.splitlines()) == 1
    assert State("./state").versions() == [1, 2]
    assert len(candidates(State("./state"))) == 5


def test_a_failing_job_is_reported_and_the_others_finish(workdir: Path) -> None:
    done = renate(*QUICK, "optimizer.lr=0.1,1e30", "seed=0,1", cwd=workdir, code=1)
    assert done.stderr.splitlines()[-1].startswith(
        "renate: 2 of 4 jobs failed; the first: the loss is"
    )
    assert sorted(str(r["status"]) for r in results(workdir)) == [
        "completed",
        "completed",
        "failed",
        "failed",
    ]
    assert "Traceback" not in done.stderr
    again = renate(*QUICK, "optimizer.lr=0.1", "seed=0,1", cwd=workdir)
    assert again.stderr.count("finished earlier") == 2


@pytest.mark.parametrize("job", [["state.first=true"], ["job=stream", "scenario.chunks=2"]])
def test_a_job_whose_state_has_vanished_runs_again(workdir: Path, job: list[str]) -> None:
    arguments = [*QUICK, *job, "state.url=./state"]
    if "job=stream" in job:
        arguments.append("scenario=class_incremental")
    first = renate(*arguments, cwd=workdir)
    shutil.rmtree(workdir / "state")

    again = renate(*arguments, cwd=workdir)
    assert f"is no longer in {workdir / 'state'}: it runs again" in again.stderr
    assert "finished earlier, in" not in again.stderr
    assert again.stdout.splitlines()[-4:] == first.stdout.splitlines()[-4:]
    State("./state").verify()


@pytest.mark.slow
def test_a_killed_worker_fails_its_job_alone(workdir: Path) -> None:
    (workdir / "my_killer.py").write_text(
        "import os, signal\nfrom torch import nn\n\n"
        "class Net(nn.Linear):\n    def forward(self, x):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killer = [
        "model=torch_module",
        "model._target_=my_killer.Net",
        "+model.in_features=64",
        "+model.out_features=10",
    ]
    done = renate("trainer.max_epochs=1", *killer, cwd=workdir, code=1, own_process=True)
    assert "renate: the worker process ended with signal SIGKILL: out of memory?" in done.stderr
    assert workers(workdir) == []


@pytest.mark.slow
def test_interrupt_and_resume(workdir: Path) -> None:
    # The second is in the middle then
    arguments = ["trainer.max_epochs=2,120,3", "model.hidden_sizes=[64]"]
    process = subprocess.Popen(
        [*RENATE, *arguments],
        cwd=workdir,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(lambda: len(results(workdir)) >= 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "interrupted: what is finished stays; the same command goes on from there" in err
    assert "Traceback" not in err
    assert workers(workdir) == []
    assert len(results(workdir)) == 1
    done = renate(*arguments, cwd=workdir)
    assert done.stderr.count("finished earlier") == 1
    assert len(results(workdir)) == 3


@pytest.mark.slow
def test_no_worker_outlives_a_killed_command(workdir: Path) -> None:
    process = subprocess.Popen(
        [*RENATE, "trainer.max_epochs=5000"], cwd=workdir, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: list((workdir / "runs").glob("*/metrics.jsonl")))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not workers(workdir))
    assert not list((workdir / "runs").glob("*/result.json")), "an interrupted job is no failed one"


@pytest.mark.slow
def test_timeout(workdir: Path) -> None:
    done = renate(
        "trainer.max_epochs=100000", "backend.timeout=4", cwd=workdir, code=1, own_process=True
    )
    assert done.stderr.splitlines()[-1] == "renate: stopped after backend.timeout=4 seconds"
    assert workers(workdir) == []


@pytest.mark.slow
def test_a_frozen_worker_is_noticed(workdir: Path) -> None:
    arguments = ["trainer.max_epochs=5000", "backend.heartbeat=3"]
    process = subprocess.Popen(
        [*RENATE, *arguments], cwd=workdir, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: list((workdir / "runs").glob("*/metrics.jsonl")))
    (worker,) = workers(workdir)
    os.kill(worker, signal.SIGSTOP)
    _, err = process.communicate(timeout=120)
    assert err.splitlines()[-1] == "renate: no sign of life for backend.heartbeat=3 seconds"
    assert process.returncode == 1
    assert workers(workdir) == []


@pytest.mark.slow
def test_sigterm_ends_the_workers_too(workdir: Path) -> None:
    process = subprocess.Popen(
        [*RENATE, "trainer.max_epochs=5000"], cwd=workdir, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: list((workdir / "runs").glob("*/metrics.jsonl")))
    process.terminate()
    assert process.wait(120) == 128 + signal.SIGTERM
    assert workers(workdir) == []
    assert list((workdir / "runs").glob("*/checkpoint.pt")), "what was reached is kept"


@pytest.mark.slow
def test_hydras_own_launcher_and_sweeper(workdir: Path) -> None:
    renate(*QUICK, "hydra/launcher=basic", "seed=1", cwd=workdir, own_process=True)
    renate(*QUICK, "hydra/sweeper=basic", "hydra/launcher=renate_local", "seed=1,2", cwd=workdir)
    assert [r["status"] for r in results(workdir)] == ["completed"] * 2, "seed=1 was the same job"


def test_hydras_basic_launcher_tells_of_a_failed_job(workdir: Path) -> None:
    failed = renate(*QUICK, "hydra/launcher=basic", "optimizer.lr=1e30", cwd=workdir, code=1)
    assert "the loss is nan at step" in failed.stderr.splitlines()[-1]


def test_one_worker_serves_many_jobs(workdir: Path) -> None:
    (workdir / "my_witness.py").write_text(
        "import os\nfrom torch import nn\n\n"
        "class Net(nn.Sequential):\n    def __init__(self, out):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, out))\n"
        "        print('pid', os.getpid())\n"
    )
    net = ["model=torch_module", "model._target_=my_witness.Net", "+model.out=10"]
    renate("trainer.max_epochs=1", *net, "seed=0,1,2", cwd=workdir)
    pids = {path.read_text().splitlines()[0] for path in (workdir / "runs").glob("*/log.txt")}
    assert len(pids) == 1
    assert next(iter(pids)).startswith("pid ")


@pytest.mark.slow
def test_a_worker_reads_an_edited_module_again(workdir: Path) -> None:
    script = """
import pathlib, renate
net = {"model": "torch_module", "model._target_": "my_net.Net", "+model.out": 10, "trainer.max_epochs": 1}
for word in ("one", "two"):
    pathlib.Path("my_net.py").write_text(
        "import os\\nfrom torch import nn\\n\\nclass Net(nn.Sequential):\\n    def __init__(self, out):\\n"
        f"        super().__init__(nn.Flatten(), nn.Linear(64, out))\\n        print('{word}', os.getpid())\\n"
    )
    renate.run(net)
"""
    subprocess.run([sys.executable, "-c", script], cwd=workdir, check=True, capture_output=True)
    logs = sorted(
        path.read_text().splitlines()[0].split() for path in (workdir / "runs").glob("*/log.txt")
    )
    assert [word for word, _ in logs] == ["one", "two"]
    assert len({pid for _, pid in logs}) == 1


@pytest.mark.slow
def test_a_job_that_is_refused_ends_the_workers_that_waited_for_it(workdir: Path) -> None:
    swept = ["objective.metric=val_loss,val_los", "seed=range(30)", "backend.workers=2"]
    done = renate(*QUICK, *swept, cwd=workdir, code=1, own_process=True)
    assert "objective.metric=val_los: not measured, did you mean 'val_loss'?" in done.stderr
    assert not (workdir / "runs").exists()
    assert workers(workdir) == []


@pytest.mark.parametrize(
    ("visible", "workers", "per_job", "expected"),
    [
        ("0,1,2,3", 2, None, ["0,1", "2,3"]),
        ("0,1,2,3", 2, 1, ["0", "1"]),
        ("5,7", 3, None, ["5", "7", "5"]),
        ("", 2, None, [None, None]),
        ("0,1", 1, None, [None]),
    ],
)
def test_gpus_are_dealt_out(
    visible: str,
    workers: int,
    per_job: int | None,
    expected: list[str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [share.get("CUDA_VISIBLE_DEVICES") for share in deal_gpus(workers, per_job)] == expected
    with pytest.raises(
        ConfigError, match="backend.gpus_per_job=9 with backend.workers=2 needs 18 GPUs"
    ):
        deal_gpus(2, 9)
