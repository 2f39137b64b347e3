import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from renate.errors import GoneError, StateError
from renate.state import publish as publish_module
from renate.state.gc import gc
from renate.state.manifest import Parent
from renate.state.publish import candidates, drop, publish, stage
from renate.state.versions import State

from .scenes import publish_next, read_all, snapshot, stage_next, uploaded


def test_the_first_version(state: State, root: Path) -> None:
    files = {"model.safetensors": b"weights", "memory/segment-0": b"", "config.yaml": b"seed: 0"}
    candidate = stage(state, files.items(), job="week1", parent=None, lineage={"seed": 3})
    assert (candidate.version, candidate.base, candidate.parent, candidate.job) == (
        None,
        0,
        None,
        "week1",
    )
    assert state.newest() is None
    assert candidates(state) == [candidate]
    assert read_all(state, candidate) == files
    first = publish(state, "week1")
    assert (first.version, first.writer, first.lineage) == (1, candidate.writer, {"seed": 3})
    assert first == state.newest() == state.manifest(1) == State(state.url).verify()
    assert read_all(state, first) == files
    assert candidates(state) == []
    kept = sorted(str(p.relative_to(root)).split("-")[0] for p in root.rglob("*") if p.is_file())
    assert kept == sorted(
        [*(f"blobs/{b.sha256}" for b in first.files.values()), "versions/00000001.json"]
    )


def test_only_what_changed_goes_up(state: State) -> None:
    publish_next(state, model=b"m" * 100, big=b"b" * 10_000, same=b"s" * 1000)
    sizes = uploaded(state)
    second = publish_next(
        state, model=b"n" * 100, big=None, same=b"s" * 1000, renamed=b"b" * 10_000
    )
    assert sum(sizes.values()) == 100
    first = state.manifest(1)
    assert second.files["big"] == second.files["renamed"] == first.files["big"]
    assert second.files["same"] == first.files["same"]
    assert second.parent == Parent(None, 1, first.sha256)
    assert read_all(state, second)["renamed"] == b"b" * 10_000
    state.verify(2)


def test_only_the_parents_blobs_are_reused(state: State) -> None:
    """An orphan with the same bytes may be about to go, and so may a version that isn't the
    parent.
    """
    stage_next(state, "dropped", x=b"same bytes")
    drop(state, "dropped")
    publish_next(state, x=b"same bytes")
    publish_next(state, x=b"others")
    publish_next(state, x=b"same bytes")
    assert len({state.manifest(n).files["x"].key for n in (1, 2, 3)}) == 3
    assert len(state.store.list("blobs")) == 4


def test_the_next_url_is_complete_by_itself(state: State, tmp_path: Path) -> None:
    publish_next(state, model=b"m", big=b"b" * 1000)
    parent = state.manifest(1)
    other = State(str(tmp_path / "other"))
    files = [("model", b"m"), ("big", None), ("new", b"n")]
    stage(other, files, job="moved", parent=(state, parent), lineage={})
    published = publish(other, "moved")
    assert (published.version, published.parent) == (1, Parent(state.url, 1, parent.sha256))
    shutil.rmtree(state.url)
    assert read_all(other, other.verify()) == {"model": b"m", "big": b"b" * 1000, "new": b"n"}


def test_the_next_url_may_hold_versions(state: State, tmp_path: Path) -> None:
    publish_next(state, model=b"m")
    other = State(str(tmp_path / "other"))
    for i in range(3):
        publish_next(other, model=b"%d" % i)
    candidate = stage(
        other, [("model", None)], job="j", parent=(state, state.manifest(1)), lineage={}
    )
    assert candidate.base == 3
    assert publish(other, "j").version == 4


def test_staging_again_replaces_the_candidate(state: State) -> None:
    stage_next(state, "j", a=b"1")
    second = stage_next(state, "j", a=b"2")
    assert candidates(state) == [second]
    assert read_all(state, publish(state, "j")) == {"a": b"2"}


def test_publishing_again_returns_the_version(state: State, root: Path) -> None:
    publish_next(state, a=b"1")
    stage_next(state, "mine", a=b"2")
    pinned = snapshot(root / "pins")
    second = publish(state, "mine")
    publish_next(state, a=b"3")
    assert publish(state, "mine") == second
    # As after a crash before its removal
    (root / "pins" / "job-mine.json").write_bytes(pinned["job-mine.json"])
    assert publish(state, "mine") == second
    assert not (root / "pins" / "job-mine.json").exists()
    assert state.numbers() == [1, 2, 3]


def test_a_job_without_a_candidate(state: State) -> None:
    with pytest.raises(StateError, match=r"no candidate of job 'j', there is none$"):
        publish(state, "j")
    publish_next(state, a=b"1")
    stage_next(state, "week12", a=b"1")
    with pytest.raises(
        StateError, match=r"no candidate of job 'wek12', there is week12, did you mean 'week12'\?"
    ):
        publish(state, "wek12")
    with pytest.raises(StateError, match=r"no candidate of job 'wek12', there is week12, did"):
        drop(state, "wek12")


def test_a_failed_upload_loses_nothing(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    first = publish_next(state, a=b"1", b=b"2")
    old = stage_next(state, "j", a=b"3")
    put = state.store.put
    calls = []

    def failing(key: str, data: bytes | memoryview) -> None:
        calls.append(key)
        if len(calls) == 3:
            raise StateError("disk full")
        put(key, data)

    with monkeypatch.context() as patch:
        patch.setattr(state.store, "put", failing)
        with pytest.raises(StateError, match="disk full"):
            stage_next(state, "j", **{f"f{i}": b"%d" % i for i in range(30)})
    assert len(calls) < 20, "it went on long after the failure"
    assert state.newest() == first
    assert candidates(state) == [old]
    assert publish(state, "j").version == 2


def test_few_files_are_in_memory_at_once(state: State) -> None:
    made = 0
    done = 0
    most = 0
    put = state.store.put
    lock = threading.Lock()

    def slow(key: str, data: bytes | memoryview) -> None:
        nonlocal done
        time.sleep(0.001)
        put(key, data)
        with lock:
            done += 1

    def files() -> Iterator[tuple[str, bytes]]:
        nonlocal made, most
        for i in range(100):
            made += 1
            most = max(most, made - done)
            yield f"f{i}", b"%d" % i

    state.store.put = slow  # type: ignore[method-assign]
    stage(state, files(), job="j", parent=None, lineage={})
    assert most <= 9
    assert done == 101  # 100 blobs and the pin


def test_staging_must_end_before_gc_may_come(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_module, "GRACE", 0.0)
    with pytest.raises(
        StateError, match=r"staging took over 0 hours, so gc may take its blobs; run the job"
    ):
        stage_next(state, "j", a=b"1")
    assert candidates(state) == []


def test_lineage_is_checked_before_anything_goes_up(state: State, root: Path) -> None:
    with pytest.raises(StateError, match="plain JSON only"):
        stage(state, [("a", b"1")], job="j", parent=None, lineage={"loss": float("nan")})
    assert not root.exists()


def test_unchanged_needs_a_parent_that_has_it(state: State) -> None:
    with pytest.raises(
        StateError, match=r"file 'a' is to be the parent's, which has none: give its bytes"
    ):
        stage_next(state, "j", a=None)
    publish_next(state, a=b"1")
    with pytest.raises(StateError, match="file 'b' is to be the parent's"):
        stage_next(state, "j", b=None)


def test_a_parent_that_was_removed_meanwhile(state: State) -> None:
    first = publish_next(state, a=b"1")
    publish_next(state, a=b"2")
    gc(state, keep=1, grace=0)
    message = (
        r"version 1 was removed by gc on 2\d.*; it has version 2; job 'j' started from it: run "
        r"the"
    )
    with pytest.raises(GoneError, match=message):
        stage(state, [("a", b"3")], job="j", parent=(state, first), lineage={})
    assert candidates(state) == []


def test_a_parent_that_was_replaced_meanwhile(state: State, root: Path) -> None:
    first = publish_next(state, a=b"1")
    shutil.rmtree(root)
    publish_next(state, a=b"2")
    with pytest.raises(
        StateError, match=r"version 1 isn't the one that job 'j' started from: run the update"
    ):
        stage(state, [("a", None)], job="j", parent=(state, first), lineage={})


@pytest.mark.parametrize("job", ["", "a/b", "../x", "-a", "a b", "x" * 101])
def test_a_job_has_a_plain_name(state: State, job: str) -> None:
    with pytest.raises(StateError, match=r"is no name for a job: expected letters, digits"):
        stage(state, [], job=job, parent=None, lineage={})


def test_another_process_sees_it_at_once(state: State) -> None:
    other: Any = State(f"file://{state.url}")
    publish_next(state, a=b"1")
    assert other.newest() == state.newest()
    publish_next(other, a=b"2")
    assert state.versions() == [1, 2]
