"""Whatever is killed when: versions are whole, what was reported done stays, the next update
works.
"""

import multiprocessing
import os
import random
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import obstore
import pytest

from renate.state.aliases.move import move_alias
from renate.state.aliases.standing import standing
from renate.state.gc import gc
from renate.state.pins import pin, pins
from renate.state.publish import candidates, publish, rollback
from renate.state.versions import State

from .scenes import publish_next, read_all, stage_next
from .workers import publish_for_ever


class Crash(BaseException):
    """No handler of ours catches it, and nothing works after it."""


class Disk:
    """A disk that forgets what was not fsynced, under a folder; it dies before step `dies`.

    A file's bytes are durable as of its last fsync, a folder's names as of its own.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.steps = 0
        self.dies = 10**9
        self.data: dict[int, bytes] = {}
        self.names: dict[Path, dict[str, int]] = {}
        self.handles: list[int] = []

    def step(self) -> None:
        if self.steps >= self.dies:
            raise Crash
        self.steps += 1

    def fsync(self, handle: int) -> None:
        self.step()
        path = Path(f"/proc/self/fd/{handle}").readlink()
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            self.names[path] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self.handles.append(os.dup(handle))  # keeps the inode's number from being used again
            self.data[status.st_ino] = path.read_bytes()

    @contextmanager
    def installed(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", self.fsync)
            for name in ("put", "copy", "rename", "delete"):
                patch.setattr(obstore, name, self._counted(getattr(obstore, name)))
            yield
        for handle in self.handles:
            os.close(handle)

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.step()
            return function(*args, **kwargs)

        return call

    def restart(self, folder: Path, to: Path, *, names: bool) -> None:
        """Write what is left of `folder` to `to`; unsynced names are all there (`names`), or
        none is.
        """
        to.mkdir()
        now = {entry.name: entry.inode() for entry in os.scandir(folder)}
        for name, inode in (now if names else self.names.get(folder, {})).items():
            if (folder / name).is_dir():
                self.restart(folder / name, to / name, names=names)
            else:
                (to / name).write_bytes(self.data.get(inode, b""))


def first_update(state: State, done: list[str]) -> None:
    stage_next(state, "week", a=b"new", c=b"")
    done.append("staged")
    publish(state, "week")
    done.append("published")


def update(state: State, done: list[str]) -> None:
    stage_next(state, "week", a=b"new", b=None, c=b"3")
    done.append("staged")
    publish(state, "week")
    done.append("published")


def go_back(state: State, done: list[str]) -> None:
    rollback(state, 1)
    done.append("published")


def collect(state: State, done: list[str]) -> None:
    gc(state, keep=1, grace=0)


def pin_both(state: State, done: list[str]) -> None:
    pin(state, "p", 1)
    pin(state, "p", 2)
    done.append("pinned")


def promote_both(state: State, done: list[str]) -> None:
    move_alias(state, "current", 1)
    done.append("promoted 1")
    move_alias(state, "current", 2)
    done.append("promoted 2")


@pytest.mark.slow
@pytest.mark.parametrize("act", [first_update, update, go_back, collect, pin_both, promote_both])
def test_power_fails_before_every_step(
    tmp_path: Path, act: Callable[[State, list[str]], None]
) -> None:
    deaths = 0
    k = 0
    while deaths == k:
        disk = Disk(tmp_path / str(k))
        done: list[str] = []
        disk.root.mkdir()
        state = State(str(disk.root / "state"))
        with disk.installed():
            for i in range(0 if act is first_update else 3):
                publish_next(state, a=b"%d" % i, b=b"b")
            disk.steps = 0
            disk.dies = k
            try:
                act(state, done)
            except Crash:
                deaths += 1
            disk.restart(disk.root, tmp_path / f"{k}-bytes-lost", names=True)
            disk.restart(disk.root, tmp_path / f"{k}-names-lost", names=False)
        for left in ("", "-bytes-lost", "-names-lost"):
            check(
                State(str(tmp_path / f"{k}{left}" / "state")), done, 0 if act is first_update else 3
            )
        k += 1
    assert deaths >= 4


def check(state: State, done: list[str], before: int) -> None:
    numbers = state.versions()
    contents = {number: read_all(state, state.verify(number)) for number in numbers}
    assert max(numbers, default=0) in (before, before + 1)
    if "published" in done:
        assert max(numbers) == before + 1
        assert contents[before + 1]["a"] in (b"new", b"0")
    elif "staged" in done:
        for candidate in candidates(state):  # none where only the removal of its pin was lost
            assert read_all(state, state.check(candidate))["a"] == b"new"
        assert publish(state, "week").version == before + 1
    used = standing(state).current
    if used is not None:
        state.verify(used.version)
    if "promoted 2" in done:
        assert used is not None
        assert used.version == 2
    elif "promoted 1" in done:
        assert used is not None
        assert used.version in (1, 2)
    if "pinned" in done:
        assert pins(state) == {"p": 2}
    for candidate in candidates(state):
        state.check(candidate)
    for version in pins(state).values():
        state.verify(version)
    following = publish_next(state, a=b"following")
    gc(state, keep=1, grace=0)
    assert state.verify() == following


@pytest.mark.slow
def test_sigkill_at_random_moments(tmp_path: Path) -> None:
    url = str(tmp_path / "state")
    draw = random.Random(7)
    # Obstore's threads don't survive a plain fork
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["renate.state.gc", "renate.state.publish"])
    state = State(url)
    newest = 0
    for kill in range(20):
        ready = context.Event()
        process = context.Process(target=publish_for_ever, args=(url, kill, ready))
        process.start()
        assert ready.wait(30)
        until = time.monotonic() + 30
        while (
            kill % 2 and not max(state.versions(), default=0) > newest and time.monotonic() < until
        ):
            time.sleep(0.001)  # half of the kills come after it has published once
        time.sleep(draw.uniform(0.0, 0.05))
        process.kill()
        process.join()
        process.close()
        for number in state.versions():
            state.verify(number)
        for candidate in candidates(state):
            state.check(candidate)
        version = publish_next(state, a=b"%d" % kill, b=b"big").version
        assert version is not None
        assert version > newest
        newest = version
    assert newest > 20, "the killed processes published nothing"
    gc(state, keep=1, grace=0)
    assert state.verify().version == newest
