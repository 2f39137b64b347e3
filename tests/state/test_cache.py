"""The cache of downloads: by content, bounded, shared by processes, and never trusted."""

import hashlib
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from renate.errors import ConfigError, CorruptError
from renate.state.cache import Cache
from renate.state.manifest import Blob
from renate.state.versions import State

from .fake_s3 import FakeS3
from .scenes import publish_next
from .test_s3 import s3  # noqa: F401 (a fixture)


def blob(data: bytes) -> Blob:
    digest = hashlib.sha256(data).hexdigest()
    return Blob(f"blobs/{digest}-{'0' * 8}", digest, len(data))


def keep(cache: Cache, data: bytes, age: float = 0.0) -> Blob:
    """Put an entry that was last used some seconds ago."""
    made = blob(data)
    cache.put(made, memoryview(data))
    then = time.time() - age
    os.utime(cache.folder / made.sha256, (then, then))
    return made


def sizes(cache: Cache) -> int:
    return sum(path.stat().st_size for path in cache.folder.iterdir())


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path), 100)
    one = keep(cache, b"one")
    assert bytes(cache.get(one) or b"") == b"one"
    assert cache.get(blob(b"two")) is None
    assert [path.name for path in cache.folder.iterdir()] == [one.sha256]


def test_the_longest_unused_goes_first(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path), 30)
    old = keep(cache, b"a" * 10, 50)
    older = keep(cache, b"b" * 10, 90)
    new = keep(cache, b"c" * 10, 10)
    assert cache.get(older)  # used just now
    keep(cache, b"d" * 10)
    assert [cache.get(entry) is not None for entry in (old, older, new)] == [False, True, True]
    assert sizes(cache) == 30


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path), 5)
    cache.put(blob(b"123456"), memoryview(b"123456"))
    assert not cache.folder.exists()
    Cache(str(tmp_path / "none"), 0).put(blob(b"1"), memoryview(b"1"))
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("damage", [b"", b"on", b"oNe", b"more than one"])
def test_damage_is_noticed(tmp_path: Path, damage: bytes) -> None:
    cache = Cache(str(tmp_path), 100)
    one = keep(cache, b"one")
    (cache.folder / one.sha256).write_bytes(damage)
    assert cache.get(one) is None
    keep(cache, b"one")
    assert cache.get(one)


def test_leftovers_of_killed_writers_go_once_they_are_old(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path), 100)
    keep(cache, b"one")
    for name, age in ((".old", 7200), (".fresh", 1)):
        path = cache.folder / name
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    keep(cache, b"two")
    assert not (cache.folder / ".old").exists()
    assert (cache.folder / ".fresh").exists()


def test_a_disk_that_refuses_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file where the folder should be")
    cache = Cache(str(tmp_path), 100)
    cache.put(blob(b"one"), memoryview(b"one"))
    assert cache.get(blob(b"one")) is None


def test_a_negative_limit() -> None:
    with pytest.raises(
        ConfigError, match=r"^state.cache_gb=-1: expected 0, which keeps nothing, or more$"
    ):
        Cache(None, -1e9)


def fill(folder: str, seed: int) -> int:
    cache = Cache(folder, 40_000)
    hits = 0
    for number in range(150):
        data = bytes([number**2 % 23]) * 4_000  # some twice in a row: one process alone hits too
        kept = cache.get(blob(data))
        assert kept is None or bytes(kept) == data
        hits += kept is not None
        cache.put(blob(data), memoryview(data))
    return hits


def test_processes_share_it(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        hits = pool.starmap(fill, [(str(tmp_path), seed) for seed in range(3)])
    cache = Cache(str(tmp_path), 40_000)
    assert sum(hits) > 0
    assert sizes(cache) <= 40_000 + 2 * 4_000  # each of the others may have just found room for one
    keep(cache, b"x")
    assert sizes(cache) <= 40_000


def gets(server: FakeS3) -> int:
    return sum("GET bucket/state/blobs/" in request for request in server.requests)


def test_a_state_downloads_once(s3: FakeS3, tmp_path: Path) -> None:  # noqa: F811
    publish_next(State("s3://bucket/state"), a=b"1" * 1000, b=b"2" * 1000)
    cache = Cache(str(tmp_path), 10_000)
    for _ in range(2):
        state = State("s3://bucket/state", cache=cache)
        manifest = state.manifest()
        assert [bytes(state.read(manifest, name)) for name in "ab"] == [b"1" * 1000, b"2" * 1000]
    assert gets(s3) == 2
    (cache.folder / manifest.files["a"].sha256).write_bytes(b"3" * 1000)
    assert bytes(state.read(manifest, "a")) == b"1" * 1000
    assert gets(s3) == 3


def test_verify_reads_the_store(s3: FakeS3, tmp_path: Path) -> None:  # noqa: F811
    state = State("s3://bucket/state", cache=Cache(str(tmp_path), 10_000))
    manifest = publish_next(state, a=b"12345")
    state.read(manifest, "a")
    key = f"bucket/state/{manifest.files['a'].key}"
    s3.objects[key] = (b"54321", s3.objects[key][1])
    with pytest.raises(CorruptError, match="other bytes than were published"):
        state.verify()


def test_damaged_bytes_are_never_kept(s3: FakeS3, tmp_path: Path) -> None:  # noqa: F811
    state = State("s3://bucket/state", cache=Cache(str(tmp_path), 10_000))
    manifest = publish_next(state, a=b"12345")
    key = f"bucket/state/{manifest.files['a'].key}"
    whole = s3.objects[key]
    s3.objects[key] = (b"54321", whole[1])
    with pytest.raises(CorruptError):
        state.read(manifest, "a")
    s3.objects[key] = whole
    assert bytes(state.read(manifest, "a")) == b"12345"


def test_a_local_state_has_none(tmp_path: Path) -> None:
    state = State(str(tmp_path / "state"), cache=Cache(str(tmp_path), 10_000))
    state.read(publish_next(state, a=b"1"), "a")
    assert state.cache is None
    assert not (tmp_path / "blobs").exists()
