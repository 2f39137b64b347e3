"""A disk that is really full: one line says so, what was published stays, and with space the
same goes through.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from renate.errors import StateError
from renate.state.gc import gc
from renate.state.publish import candidates, publish
from renate.state.versions import State

from ..command import renate
from ..state.scenes import publish_next, read_all, stage_next

FULL = "No space left on device"
QUICK = ["trainer.max_epochs=1", "model.hidden_sizes=[8]", "data.limit=200"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("needs mount")
    if mounted.returncode:
        pytest.skip(f"can't mount a file system here: {mounted.stderr.strip()[:200]}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Leave no space; return the file to remove for some."""
    ballast = disk / "ballast"
    with pytest.raises(OSError, match=FULL):
        ballast.write_bytes(bytes(2 << 20))
    assert not os.statvfs(disk).f_bavail
    return ballast


def refused(caught: pytest.ExceptionInfo[StateError], state: State) -> None:
    assert FULL in str(caught.value)
    assert state.url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_staging(disk: Path) -> None:
    state = State(str(disk / "state"))
    first = publish_next(state, a=b"first")
    ballast = fill(disk)
    with pytest.raises(StateError) as caught:
        publish_next(state, a=b"second" * 1000)
    refused(caught, state)
    assert state.verify() == first
    assert not candidates(state)
    ballast.unlink()
    second = publish_next(state, a=b"second" * 1000)
    assert read_all(state, state.verify()) == {"a": b"second" * 1000}
    gc(state, keep=2, grace=0)
    assert [state.verify(1), state.verify(2)] == [first, second]
    assert len(list((disk / "state").glob("*/*"))) == 4  # a blob and a manifest each


def test_publishing(disk: Path) -> None:
    state = State(str(disk / "state"))
    first = publish_next(state, a=b"first")
    candidate = stage_next(state, "job", a=b"second")
    ballast = fill(disk)
    with pytest.raises(StateError) as caught:
        publish(state, "job")
    refused(caught, state)
    assert state.verify() == first
    assert candidates(state) == [candidate]
    ballast.unlink()
    assert publish(state, "job").version == 2
    assert read_all(state, state.verify()) == {"a": b"second"}


def test_a_job_whose_state_is_on_it(disk: Path, workdir: Path) -> None:
    state = State(str(disk / "state"))
    job = [*QUICK, "state.url=disk/state"]
    renate(*job, "state.first=true", cwd=workdir)
    ballast = fill(disk)
    done = renate(*job, "seed=1", cwd=workdir, code=1)
    line = next(line for line in done.stderr.splitlines() if FULL in line)
    assert line.startswith(f"renate: {state.url}: can't write ")
    assert "Traceback" not in done.stderr
    assert state.verify().version == 1
    ballast.unlink()
    renate(*job, "seed=1", cwd=workdir)
    assert state.verify().version == 2


def test_a_job_whose_run_dir_is_on_it(disk: Path, workdir: Path) -> None:
    job = [*QUICK, "state.url=state"]
    renate(*job, "state.first=true", cwd=workdir)
    fill(disk)
    done = renate(*job, "seed=1", "run_dir=disk/runs", cwd=workdir, code=1)
    assert State("state").verify().version == 1
    assert [
        line for line in done.stderr.splitlines() if line.startswith("renate: ") and FULL in line
    ]
    assert "Traceback" not in done.stderr
