"""Jobs of two processes: the same memory as one process's, any number of processes after any
other, kills.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

import renate as package
from renate.jobs.records import COMPLETED, JobResult
from renate.jobs.running.torchrun import Group
from renate.launchers.base import ComposedJob
from renate.launchers.local.launcher import LocalLauncher
from renate.memory.infinite import Infinite
from renate.memory.reservoir import Reservoir
from renate.memory.store.memory import Memory
from renate.state.versions import State
from tests.command import RENATE, renate, workers

TWO = ["trainer.devices=2", "trainer.accelerator=cpu"]
# An odd number of examples, in batches that don't divide it.
SMALL = ["data.limit=203", "trainer.max_epochs=3", "memory.capacity=60", "model.hidden_sizes=[16]"]
STREAM = ["job=stream", "scenario=class_incremental", "scenario.chunks=2", "objective.metric=null"]
# A checkpoint after every step, so that any kill falls between two processes' writes; every
# generator is drawn from.
LONG = [
    *(
        "updater=derpp",
        "optimizer.momentum=0.9",
        "optimizer.lr=0.02",
        "lr_scheduler=cosine",
        "memory.capacity=300",
    ),
    *("data.limit=700", "trainer.max_epochs=6", "trainer.checkpoint_every=0.0001", *TWO),
    *(
        "model=torch_module",
        "model._target_=my_gate.Net",
        "+model.out=10",
        "+trainer.callbacks.gate._target_=my_gate.Gate",
    ),
]
GATE = """
import random
import time
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from torch import nn


class Net(nn.Sequential):
    def __init__(self, out):
        super().__init__(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, out))

    def forward(self, x):
        return super().forward(x + 0.01 * random.random() + 0.01 * np.random.random() if self.training else x)


class Gate(pl.Callback):
    '''Holds every process after a step of the fit, for as long as the file `gate` names it.'''

    def on_train_batch_end(self, trainer, module, *_):
        gate, step = Path("gate"), module.progress.batches
        if gate.exists() and gate.read_text() == str(step):
            Path(f"held-{trainer.global_rank}").touch()
            while gate.exists():
                time.sleep(0.02)
"""


def prepared(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job's directory as a launcher writes it, without the job being run."""
    found: list[Path] = []

    def submit(self: LocalLauncher, job: ComposedJob) -> "Future[Any]":
        found.append(job.directory.path)
        done: Future[Any] = Future()
        done.set_result(JobResult(COMPLETED, version=1, url="x"))
        return done

    with monkeypatch.context() as patch:
        patch.setattr(LocalLauncher, "submit", submit)
        package.run(arguments)
    return found[0]


def memory_of(state: State) -> tuple[Memory, dict[str, Any]]:
    manifest = state.manifest()
    meta = json.loads(bytes(state.read(manifest, "memory/meta.json")))
    full = meta["policy"] == "Reservoir"
    memory = Memory(Reservoir(meta["capacity"]) if full else Infinite(), None)
    memory.bind(seed=0)
    memory.load(lambda name: state.read(manifest, name))
    return memory, meta


def rows(memory: Memory) -> list[bytes]:
    if not len(memory):
        return []
    columns = memory.columns()
    flat = torch.cat([columns["inputs"].flatten(1).float(), columns["targets"][:, None].float()], 1)
    return sorted(bytes(row) for row in flat.numpy())


def model_of(state: State) -> dict[str, torch.Tensor]:
    return load(bytes(state.read(state.manifest(), "model.safetensors")))


def distance(one: State, two: State) -> float:
    a = model_of(one)
    b = model_of(two)
    return max(float((a[k] - b[k]).abs().max()) for k in a)


@pytest.mark.slow
def test_two_processes_are_one_with_batches_twice_as_large(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 160 to train on: every batch is whole, so the gradients are the same
    even = ["data.limit=178", *SMALL[1:]]
    jobs = {
        "fine_tuning": [*even, "updater=fine_tuning"],
        "er": [*SMALL, "updater=er"],
        "derpp": [*SMALL, "updater=derpp"],
        "joint": [*SMALL[:2], "model.hidden_sizes=[16]", "updater=joint"],
        "stream": [*SMALL, *STREAM, "updater=er"],
    }
    halves = {
        name: prepared([*job, *TWO, "data.batch_size=16"], monkeypatch)
        for name, job in jobs.items()
    }
    for half in halves.values():
        (half / "result.json").unlink(missing_ok=True)
    command = Group(2, interface="lo").command(Path("x"))[:-3]
    script = str(Path(__file__).with_name("run_directories.py"))
    environment = (
        os.environ
        | Group(2, interface="lo").environment(2)
        | {"PYTHONPATH": str(Path(__file__).parents[2])}
    )
    done = subprocess.run(
        [*command, script, *map(str, halves.values())],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    states = {}
    for name, half in halves.items():
        result = json.loads((half / "result.json").read_text())
        assert result["status"] == "completed", f"{name}: {result}"
        states[name] = State(result["url"])
    for name, job in jobs.items():
        whole = package.run([*job, "data.batch_size=32"])
        one = memory_of(State(whole.state_url))
        two = memory_of(states[name])
        assert rows(one[0]) == rows(two[0]), name
        assert one[1]["count"] == two[1]["count"], name
    assert len(memory_of(states["er"])[0]) == 60, "full"
    assert "logits" in memory_of(states["derpp"])[0].columns()
    fine = package.run([*jobs["fine_tuning"], "data.batch_size=32"])
    assert distance(State(fine.state_url), states["fine_tuning"]) < 1e-5
    reports = [
        json.loads(line) for line in (halves["er"] / "metrics.jsonl").read_text().splitlines()
    ]
    assert [r["epoch"] for r in reports] == [1, 2, 3], "one process reports"


@pytest.mark.slow
def test_one_then_two_then_one_process(workdir: Path) -> None:
    state = ["updater=er", *SMALL, "state.url=./state"]
    package.run([*state, "state.first=true"])
    first, meta = memory_of(State("./state"))
    done = renate(*state, *TWO, "seed=1", cwd=workdir)
    assert "epoch 3 step" in done.stderr, "progress reaches the launcher"
    assert "→" in done.stdout, "before and after"
    package.run([*state, "seed=2"])
    last, after = memory_of(State("./state"))
    assert State("./state").versions() == [1, 2, 3]
    assert len(last) == len(first) == 60
    assert after["count"] == 3 * meta["count"]


def wait_for(
    condition: Callable[[], object], process: "subprocess.Popen[str] | None" = None
) -> None:
    """However busy the machine is: what is waited for must come, and if it does, sooner or later
    doesn't matter.
    """
    until = time.monotonic() + 120
    while not condition():
        assert process is None or process.poll() is None, f"ended early: {process.communicate()[1]}"
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


@contextmanager
def held(folder: Path, step: int, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """A job whose processes are both at the end of a step, before they vote and write; opens the
    gate at the end.
    """
    (folder / "my_gate.py").write_text(GATE)
    for rank in (0, 1):
        (folder / f"held-{rank}").unlink(missing_ok=True)
    (folder / "gate").write_text(str(step))
    with subprocess.Popen(
        [*RENATE, *LONG, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_for(lambda: all((folder / f"held-{rank}").exists() for rank in (0, 1)), process)
            yield process
        finally:
            process.kill()
            wait_for(lambda: not workers(folder))


def rank_pid(folder: Path, rank: int) -> int:
    found = [
        pid
        for pid in workers(folder)
        if f"\nRANK={rank}\n" in Path(f"/proc/{pid}/environ").read_text().replace("\0", "\n")
    ]
    return found[0]


def job_of(run_dir: Path) -> Path:
    (path,) = (p.parent for p in run_dir.glob("*/job.json") if p.parent.name != "latest")
    return path


def steps(job: Path, rank: int) -> list[int]:
    return sorted(int(path.stem.split("-")[2]) for path in job.glob(f"checkpoint-{rank}-*.pt"))


def assert_ends_like_an_undisturbed_one(folder: Path) -> None:
    (folder / "gate").unlink(missing_ok=True)
    renate(*LONG, cwd=folder)
    renate(*LONG, "run_dir=whole", cwd=folder)
    job = job_of(folder / "runs")
    whole = job_of(folder / "whole")
    assert not list(job.glob("checkpoint*.pt"))
    reports = [
        [json.loads(line) for line in (j / "metrics.jsonl").read_text().splitlines()]
        for j in (job, whole)
    ]
    resumed, undisturbed = ([r | {"time": 0} for r in own] for own in reports)
    assert resumed == undisturbed
    assert [r["epoch"] for r in resumed] == list(range(1, 7))
    one = State(str(job / "state"))
    two = State(str(whole / "state"))
    assert distance(one, two) == 0
    a = memory_of(one)[0].columns()
    b = memory_of(two)[0].columns()
    assert all(torch.equal(a[name], b[name]) for name in b)


@pytest.mark.slow
def test_a_killed_process_and_sigterm_and_resumed_bit_for_bit(workdir: Path) -> None:
    with held(workdir, 15) as process:
        os.kill(rank_pid(workdir, 1), signal.SIGKILL)
        (workdir / "gate").unlink()
        _, err = process.communicate(timeout=120)
        assert process.returncode == 1
        assert (
            err.splitlines()[-1]
            == "renate: process 1 of the job ended with signal SIGKILL: out of memory?"
        )
        assert "Traceback" not in err
    job = job_of(workdir / "runs")
    assert steps(job, 0) == steps(job, 1) == [13, 14]
    (job / "checkpoint-0-000000099.pt").write_bytes(b"of a step that the other never reached")
    with held(workdir, 27) as process:
        assert steps(job, 0) == steps(job, 1) == [25, 26], "such a step takes no other's place"
        process.terminate()
        wait_for(
            lambda: (job / "torchrun.txt").read_text().count("closing signal SIGTERM") == 2, process
        )
        assert steps(job, 1) == [25, 26]
        (workdir / "gate").unlink()
        process.communicate(timeout=120)
        assert process.returncode == 128 + signal.SIGTERM
        assert workers(workdir) == []
    assert steps(job, 0) == steps(job, 1) == [26, 27], "the step of both in which both were told"
    assert_ends_like_an_undisturbed_one(workdir)


@pytest.mark.slow
def test_nothing_outlives_a_killed_launcher_or_a_frozen_process(workdir: Path) -> None:
    with held(workdir, 15) as process:
        process.kill()
        wait_for(lambda: not workers(workdir))
    with held(workdir, 20, "backend.heartbeat=15") as process:
        os.kill(rank_pid(workdir, 1), signal.SIGSTOP)
        _, err = process.communicate(timeout=120)
        assert err.splitlines()[-1] == "renate: no sign of life for backend.heartbeat=15 seconds"
        assert workers(workdir) == []
    assert_ends_like_an_undisturbed_one(workdir)


@pytest.mark.slow
def test_told_to_end_at_any_moment(workdir: Path) -> None:
    """SIGTERM while torch is imported, while processes meet, within the fit, while one measures,
    at the end.
    """
    for wait in (2.0, 5.5, 7.0, 9.0):
        (workdir / "my_gate.py").write_text(GATE)
        process = subprocess.Popen(
            [*RENATE, *LONG],
            cwd=workdir,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait)
        process.terminate()
        out, err = process.communicate(timeout=120)
        ends = [0, 128 + signal.SIGTERM]
        if "\nload " in out:
            # All is done and said: Python is on its way out, where it has no handlers any more
            ends.append(-signal.SIGTERM)
        assert process.returncode in ends, err
        assert "Traceback" not in err
        assert workers(workdir) == []
        job = (workdir / "runs").glob("*/job.json")
        for folder in {path.parent.resolve() for path in job}:
            zero = steps(folder, 0)
            one = steps(folder, 1)
            assert zero == one or not (zero and one), "one step, or the fit is just over"
    assert_ends_like_an_undisturbed_one(workdir)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_error_in_one_process_is_the_jobs_error(workdir: Path) -> None:
    (workdir / "my_net.py").write_text(
        "import os\nfrom torch import nn\n\n"
        "class Net(nn.Sequential):\n    def __init__(self, out):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, out))\n\n"
        "    def forward(self, x):\n"
        "        if self.training and os.environ.get('RANK') == '1':\n            raise "
        "KeyError('only here')\n"
        "        return super().forward(x)\n"
    )
    net = ["model=torch_module", "model._target_=my_net.Net", "+model.out=10"]
    done = renate("trainer.max_epochs=1", *net, *TWO, cwd=workdir, code=1, own_process=True)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(
        "renate: KeyError: 'only here' (my_net.py:10: raise KeyError('only here'))"
    ), done.stderr
    assert workers(workdir) == []


@pytest.mark.slow
def test_two_hosts_that_share_no_files(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update = ["updater=er", *SMALL, "state.url=./state"]
    package.run([*update, "state.first=true"])
    here = prepared(
        [*update, "seed=1", "data.batch_size=16", "updater.replay_batch_size=16"], monkeypatch
    )
    there = workdir / "elsewhere" / "job"
    there.mkdir(parents=True)
    for name in ("config.yaml", "job.json"):
        (there / name).write_text((here / name).read_text())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    hosts = []
    for index, (folder, cwd) in enumerate(((here, workdir), (there, there))):
        group = Group(1, hosts=2, host=index, port=port, interface="lo")
        environment = os.environ | group.environment(1)
        hosts.append(
            subprocess.Popen(
                group.command(folder), cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True
            )
        )
    for host in hosts:
        _, err = host.communicate(timeout=120)
        assert host.returncode == 0, err
    result = json.loads((here / "result.json").read_text())
    assert (result["status"], result["version"]) == ("completed", 2)
    assert sorted(path.name for path in there.iterdir()) == ["config.yaml", "job.json"]
    one = memory_of(State("./state"))[0]
    package.run(["updater=er", *SMALL, "state.url=./other", "state.first=true"])
    package.run(
        ["updater=er", *SMALL, "state.url=./other", "seed=1", "updater.replay_batch_size=32"]
    )
    assert rows(one) == rows(memory_of(State("./other"))[0])
