"""What SLURM alone has: arrays, whose tasks are jobs of their own, and nodes that train together."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from renate.launchers.slurm import submitted
from renate.state.versions import State
from tests.command import RENATE, renate

from .clusters import WITHIN
from .services import slurm
from .test_contract import LONG, OWN

EPOCHS = 8
ASKED = [f"trainer.max_epochs={EPOCHS}", *LONG[1:], "backend=slurm", "backend.poll=0.5"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm.Cluster]:
    if reason := slurm.why_not():
        pytest.skip(reason)
    with slurm.cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.fixture
def cluster(
    running: slurm.Cluster, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> slurm.Cluster:
    monkeypatch.setenv("SLURM_CONF", str(running.folder / "slurm.conf"))
    (workdir / "own.py").write_text(OWN)
    return running


def eventually(look: Callable[[], bool]) -> None:
    end = time.monotonic() + WITHIN
    while not look():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def started(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*RENATE, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def reports(folder: Path) -> list[int]:
    """How many epochs each job has told of."""
    found = (folder / "runs").glob("*/metrics.jsonl")
    return [len(p.read_text().splitlines()) for p in found if p.parent.name != "latest"]


def weights(state: Path) -> dict[str, str]:
    """What an update leaves of model, updater and memory, by content."""
    files = State(str(state)).verify().files
    return {name: blob.sha256 for name, blob in files.items() if name.endswith(".safetensors")}


def test_tasks_of_an_array_are_jobs_of_their_own(cluster: slurm.Cluster, workdir: Path) -> None:
    """One is stopped, the other queued again by itself; each is listed, read, and ends by its own
    result.
    """
    grid = [word for word in ASKED if word != "state.first=true"]
    command = started(workdir, *grid, "seed=0,1", "backend.workers=2")
    eventually(lambda: sorted(cluster.running())[-1:] != [] and len(reports(workdir)) == 2)
    eventually(lambda: min(reports(workdir)) >= 2)
    numbers = sorted(cluster.running())
    array = numbers[0].partition("_")[0]
    assert numbers == [f"{array}_0", f"{array}_1"], "one call of sbatch"

    listed = {row[3]: row for row in submitted.SlurmJobs().rows(5)}
    assert set(listed) == set(numbers)
    stopped, kept = (str(listed[number][0]) for number in numbers)
    said = renate("jobs", "stop", stopped, "--backend", "slurm", cwd=workdir).stdout
    assert said.startswith(f"{stopped} is stopping")
    # The last task has the array's own number
    cluster.asked("scontrol", "requeue", numbers[1])
    assert cluster.hasten(numbers[1])
    log = renate("jobs", "logs", kept, "--backend", "slurm", cwd=workdir).stdout
    assert log.startswith("epoch 1 ")

    out, _ = command.communicate(timeout=WITHIN)
    assert command.returncode == 1, out
    assert (
        f"it was told to end; the same command goes on from its last checkpoint ({stopped})" in out
    )
    assert sorted(reports(workdir))[-1] == EPOCHS
    (done,) = [row for row in submitted.SlurmJobs().rows(5) if row[0] == kept]
    assert done[2] == "COMPLETED"
    results = list((workdir / "runs" / "slurm" / "jobs").glob("*/renate-*/result.json"))
    assert [path.parent.name for path in results] == [kept]


def test_two_nodes_train_together(cluster: slurm.Cluster, workdir: Path) -> None:
    """Where one dies nothing is published; all is queued again, and ends bit for bit as two
    processes of this machine.
    """
    given = [*ASKED, "memory.capacity=50", "trainer.accelerator=cpu"]
    command = started(workdir, *given, "state.url=./there", "backend.nodes=2")
    eventually(lambda: max(reports(workdir), default=0) >= 3)
    (number,) = cluster.running()
    cluster.lose_node("n2")
    cluster.return_node("n2")
    assert State(str(workdir / "there")).versions() == []
    time.sleep(3)  # until what SLURM had to tell the dead node is told
    assert cluster.hasten(number)
    out, _ = command.communicate(timeout=WITHIN)
    assert command.returncode == 0, out
    assert State(str(workdir / "there")).versions() == [1]
    kept = workdir / "runs" / "slurm" / "jobs"
    assert {path.parent.name for path in kept.glob("*/checkpoints/*/job.json")} == {"0", "1"}

    here = [word for word in given if not word.startswith("backend")]
    alone = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
    words = [*RENATE, *here, "trainer.devices=2", "state.url=./here", "run_dir=elsewhere"]
    subprocess.run(words, cwd=workdir, env=alone, check=True, capture_output=True)
    assert weights(workdir / "there") == weights(workdir / "here")


def test_a_wait_that_no_time_ends_is_said(cluster: slurm.Cluster, workdir: Path) -> None:
    cluster.asked("scontrol", "update", "PartitionName=main", "MaxTime=1")
    try:
        asked = [*ASKED, "backend.time=10", "backend.wait=false", "state.url=./state"]
        renate(*asked, cwd=workdir)
        # At first it is PartitionConfig, whatever lies above a limit
        waits = "PENDING (PartitionTimeLimit)"
        eventually(lambda: submitted.SlurmJobs().rows(1)[0][2] == waits)
        (row,) = submitted.SlurmJobs().rows(1)
        found = submitted.look_at(str(row[5]), str(row[0]))
        assert found is not None
        assert "until somebody changes backend.time" in found.phase
        renate("jobs", "stop", str(row[0]), "--backend", "slurm", cwd=workdir)
    finally:
        cluster.asked("scontrol", "update", "PartitionName=main", "MaxTime=INFINITE")
