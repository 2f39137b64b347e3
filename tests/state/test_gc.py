import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from renate.errors import ConflictError, GoneError, StateError
from renate.state.gc import Removed, gc
from renate.state.pins import pin, pins, unpin
from renate.state.publish import candidates, drop, publish, rollback, stage
from renate.state.versions import State

from .scenes import age, before_each_call, publish_next, read_all, snapshot, stage_next


def verify_everything(state: State) -> None:
    """Whatever a version, a pin or a candidate needs is there."""
    for number in state.versions():
        state.verify(number)
    for version in pins(state).values():
        state.verify(version)
    for candidate in candidates(state):
        state.check(candidate)


def test_what_goes_and_what_stays(state: State, root: Path) -> None:
    for i in range(5):
        publish_next(state, own=b"%d" % i * 10, shared=b"s")
    pin(state, "p", 2)
    kept = stage_next(state, "kept", own=b"kept")
    stage_next(state, "dropped", own=b"dropped")
    drop(state, "dropped")
    (root / "blobs" / "x#1").write_text("torn")
    assert gc(state, keep=2, grace=0) == Removed(
        versions=[1, 3], blobs=3, bytes=10 + 10 + 7, leftovers=1
    )
    assert state.versions() == [2, 4, 5]
    verify_everything(state)
    assert read_all(state, candidates(state)[0]) == {"own": b"kept"}
    assert candidates(state) == [kept]
    assert gc(state, keep=2, grace=0) == Removed(versions=[], blobs=0, bytes=0, leftovers=0)
    unpin(state, "p")
    drop(state, "kept")
    assert gc(state, keep=1, grace=0).versions == [2, 4]
    assert len(snapshot(root / "blobs")) == 2
    assert publish_next(state, own=b"next").version == 6
    assert state.numbers() == [1, 2, 3, 4, 5, 6]


def test_what_is_young_stays(state: State, root: Path) -> None:
    publish_next(state, a=b"1")
    stage_next(state, "dropped", a=b"x")
    drop(state, "dropped")
    age(root)
    publish_next(state, a=b"2")
    publish_next(state, a=b"3")
    stage_next(state, "dropped", a=b"y")
    drop(state, "dropped")
    assert gc(state, keep=1, grace=3600) == Removed(versions=[1], blobs=2, bytes=2, leftovers=0)
    assert state.versions() == [2, 3]
    assert len(snapshot(root / "blobs")) == 3


@pytest.mark.parametrize(("keep", "grace"), [(0, 0.0), (-1, 0.0), (1, -1.0)])
def test_impossible_settings(state: State, keep: int, grace: float) -> None:
    with pytest.raises(
        StateError, match=rf"gc: keep={keep}, grace={grace}: expected keep of at least 1"
    ):
        gc(state, keep=keep, grace=grace)


def test_nothing_there(state: State, root: Path) -> None:
    assert gc(state, keep=1, grace=0) == Removed([], 0, 0, 0)
    assert not root.exists()


@pytest.mark.parametrize("name", ["versions/00000002.json", "pins/p.json", "pins/job-j.json"])
@pytest.mark.parametrize("raw", [b"", b"{}", b'{"format": 2}', b'{"format": 1, "version": "2"}'])
def test_what_cannot_be_read_stops_it(state: State, root: Path, name: str, raw: bytes) -> None:
    for i in range(4):
        publish_next(state, a=b"%d" % i)
    pin(state, "p", 1)
    stage_next(state, "j", a=b"x")
    (root / name).write_bytes(raw)
    before = snapshot(root)
    with pytest.raises(StateError, match=rf"{name}: (can't be read as|format 2)"):
        gc(state, keep=1, grace=0)
    assert snapshot(root) == before


def test_the_pin_of_a_published_candidate_keeps_nothing(state: State, root: Path) -> None:
    """A crash between the commit and the pin's removal leaves it."""
    stage_next(state, "j", a=b"1")
    pinned = (root / "pins" / "job-j.json").read_bytes()
    publish(state, "j")
    (root / "pins" / "job-j.json").write_bytes(pinned)
    publish_next(state, a=b"2")
    assert gc(state, keep=1, grace=0) == Removed(versions=[1], blobs=1, bytes=1, leftovers=0)
    with pytest.raises(GoneError, match="version 1 was removed by gc"):
        publish(state, "j")
    assert state.pinned() == {}


def act_stage(state: State) -> None:
    stage_next(state, "during", a=b"old bytes", b=None, c=b"new")


def act_publish(state: State) -> None:
    act_stage(state)
    publish(state, "during")


def act_finish(state: State) -> None:
    publish(state, "waiting")


def act_pin(state: State) -> None:
    with suppress(GoneError):
        pin(state, "during", 2)


def act_rollback(state: State) -> None:
    with suppress(GoneError, ConflictError):
        rollback(state, 2)


def act_late(state: State) -> None:
    """A job that has trained on an old version stages its outcome, which can't win any more."""
    with suppress(GoneError):
        late = state.manifest(2)
        stage(state, [("a", None), ("b", b"late")], job="late", parent=(state, late), lineage={})


def act_gc(state: State) -> None:
    gc(state, keep=1, grace=3600)


EVERY = [5, pytest.param(1, marks=pytest.mark.slow)]  # calls


@pytest.mark.slow
@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize(
    "act", [act_stage, act_publish, act_finish, act_pin, act_rollback, act_late, act_gc]
)
def test_gc_beside_everything_else(
    tmp_path: Path, act: Callable[[State], None], every: int
) -> None:
    """At every call that gc makes to the store, another process does something whole."""
    calls = 0
    for k in range(0, 100, every):
        if k > calls:
            break
        state, other = scene(tmp_path / str(k))
        ran = before_each_call(state, {k: lambda: act(other)})  # noqa: B023
        gc(state, keep=1, grace=3600)
        calls = len(ran)
        check_scene(other)
    assert calls > 15


@pytest.mark.slow
@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("act", [act_publish, act_finish, act_pin, act_rollback, act_late])
def test_everything_else_beside_gc(
    tmp_path: Path, act: Callable[[State], None], every: int
) -> None:
    """The same the other way round: a whole gc before every call that the other makes."""
    calls = 0
    for k in range(0, 100, every):
        if k > calls:
            break
        other, state = scene(tmp_path / str(k))
        ran = before_each_call(state, {k: lambda: act_gc(other)})  # noqa: B023
        act(state)
        calls = len(ran)
        check_scene(other)
    assert calls > 3


def scene(folder: Path) -> tuple[State, State]:
    """Three old versions, old orphans with familiar bytes, an old candidate, an old pin; opened
    twice.
    """
    state = State(str(folder))
    for i in range(3):
        publish_next(state, a=b"%d" % i, b=b"b" if i < 2 else b"bb")
    pin(state, "first", 1)
    stage_next(state, "orphan", a=b"old bytes", c=b"new")
    drop(state, "orphan")
    stage_next(state, "waiting", a=b"waiting", b=None)
    age(folder)
    return state, State(str(folder))


def check_scene(state: State) -> None:
    verify_everything(state)
    assert 1 in state.versions()
    assert state.versions()[-1] >= 3
    assert "waiting" in {c.job for c in candidates(state)} | {
        state.manifest(v).job for v in state.versions()
    }
    newest = publish_next(state, a=b"after", b=None)
    assert state.verify() == newest


def test_two_gcs_at_once(state: State) -> None:
    """The second finds the blobs gone; that is no error."""
    for i in range(5):
        publish_next(state, a=b"%d" % i)
    other = State(state.url)
    delete = state.store.delete

    def late(keys: list[str]) -> None:
        if keys and keys[0].startswith("blobs/"):
            assert gc(other, keep=1, grace=0).blobs == 4
        delete(keys)

    state.store.delete = late  # type: ignore[method-assign, assignment]
    gc(state, keep=1, grace=0)
    assert len(state.store.list("blobs")) == 1
    verify_everything(state)


def test_a_killed_writers_staging_file_goes_after_the_grace_period(
    state: State, root: Path
) -> None:
    publish_next(state, a=b"1")
    for name in ("staging/killed", "blobs/killed#1"):
        (root / name).write_text("torn")
    assert gc(state, keep=1, grace=3600).leftovers == 0
    then = time.time() - 7200
    for name in ("staging/killed", "blobs/killed#1"):
        os.utime(root / name, (then, then))
    assert gc(state, keep=1, grace=3600).leftovers == 2
    verify_everything(state)
