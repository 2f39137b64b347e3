import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError

from renate.errors import StateError
from renate.state.store import Folder, open_store


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "gcs://b/x",
            r"gcs://b/x: unknown scheme 'gcs', expected a folder or file://, s3://, gs://, az://, "
            r"did",
        ),
        ("s3a://b/x", r"unknown scheme 's3a'.*, did you mean 's3'\?"),
        ("ftp://b/x", r"unknown scheme 'ftp'.*az://$"),
        ("s3:/b/x", r"'s3:/b/x': expected a folder or a URL such as s3://bucket/path"),
        ("", r"'': expected a folder"),
        ("s3://", r"s3://: names no bucket, expected s3://bucket/path"),
        ("file://x/y", r"file://x/y: expected an absolute path"),
    ],
)
def test_a_url_that_cannot_be(url: str, message: str) -> None:
    with pytest.raises(StateError, match=message):
        open_store(url)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(StateError, match=r"x: is a file, expected a folder$"):
        open_store(str(tmp_path / "x"))
    with pytest.raises(StateError, match=r"x: is a file, expected a folder$"):
        open_store(str(tmp_path / "x" / "y"))


def test_every_spelling_of_a_folder_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a b")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    spellings = [
        "a b",
        "./a b/",
        "~/a b",
        "link",
        str(tmp_path / "a b"),
        f"file://{tmp_path}/a%20b",
    ]
    assert {open_store(url).url for url in spellings} == {str(tmp_path / "a b")}


def test_reading_creates_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "none"))
    assert store.list("versions") == []
    assert store.sweep(time.time()) == 0
    store.delete(["blobs/a"])
    store.sync("blobs")
    with pytest.raises(FileNotFoundError):
        store.get("versions/1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_bytes_come_back(tmp_path: Path, size: int) -> None:
    store = open_store(str(tmp_path / "s"))
    data = os.urandom(size)
    store.put("blobs/a", memoryview(data))
    store.create("versions/a", data)
    store.replace("pins/a", b"old")
    store.replace("pins/a", data)
    assert [bytes(store.get(key)) for key in ("blobs/a", "versions/a", "pins/a")] == [data] * 3
    (entry,) = store.list("blobs")
    assert entry[:2] == ("blobs/a", size)
    assert abs(entry.modified - time.time()) < 60
    assert list((tmp_path / "s" / "staging").iterdir()) == []


def test_create_has_one_winner(tmp_path: Path) -> None:
    stores = [open_store(str(tmp_path / "s")) for _ in range(16)]

    def attempt(i: int) -> bool:
        try:
            stores[i].create("versions/1", str(i).encode())
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(attempt, range(16)))
    assert sum(won) == 1
    assert bytes(stores[0].get("versions/1")) == str(won.index(True)).encode()
    assert list((tmp_path / "s" / "staging").iterdir()) == []


def test_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The text obstore 0.12 gives where linkat returns EPERM
    def refuse(*args: Any, **kwargs: Any) -> None:
        what = "Unable to copy file from /x to /y: Operation not permitted (os error 1)"
        raise GenericError(f"Generic LocalFileSystem error: {what}\n…")

    monkeypatch.setattr(obstore, "copy", refuse)
    store = open_store(str(tmp_path))
    with pytest.raises(
        StateError,
        match=r"can't make a hard link to versions/1 \(Operation not permitted .*another",
    ):
        store.create("versions/1", b"x")
    assert store.list("versions") == store.list("staging") == []


def test_the_bytes_are_durable_before_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """put = write, fsync (obstore doesn't); create, replace = write aside, fsync, name, fsync
    the folders.
    """
    log: list[str] = []
    real = os.fsync

    def fsync(handle: int) -> None:
        log.append(
            f"fsync {Path(f'/proc/self/fd/{handle}').readlink().relative_to(tmp_path.parent)}"
        )
        real(handle)

    def logged(name: str) -> Any:
        function = getattr(obstore, name)

        def call(store: Any, *args: Any, **kwargs: Any) -> Any:
            log.append(" ".join([name, *(a for a in args if isinstance(a, str))]))
            return function(store, *args, **kwargs)

        return call

    for name in ("put", "copy", "rename"):
        monkeypatch.setattr(obstore, name, logged(name))
    monkeypatch.setattr(os, "fsync", fsync)
    store = Folder(tmp_path / "s")
    top = tmp_path.name
    store.put("blobs/a", b"1")
    made = [f"fsync {top}", f"fsync {top}/s"]  # the names of s/ in its parent and of blobs/ in s/
    assert log == [*made, "put blobs/a", f"fsync {top}/s/blobs/a"]
    for method, naming, key in (
        (store.create, "copy", "versions/1"),
        (store.replace, "rename", "pins/p"),
    ):
        method(key, b"1")  # makes its folders
        store.delete([key])
        log.clear()
        method(key, b"1")
        staged = log[0].split()[1]
        folder = key.split("/")[0]
        assert staged.startswith("staging/")
        assert log == [
            f"put {staged}",
            f"fsync {top}/s/{staged}",
            f"{naming} {staged} {key}",
            f"fsync {top}/s/{folder}",
            f"fsync {top}/s",  # its name, should its maker have been killed
            f"fsync {top}",
        ]


def test_sweep_takes_old_leftovers_only(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    for key in ("blobs/a", "versions/1", "pins/p"):
        store.put(key, b"1")
    leftovers = ["blobs/a#1", "versions/1#12", "pins/p#2", "staging/x", "staging/y"]
    (tmp_path / "staging").mkdir()
    for name in leftovers:
        (tmp_path / name).write_text("")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "mine#1").write_text("")
    then = time.time() - 100
    for path in tmp_path.rglob("*"):
        os.utime(path, (then, then))
    os.utime(tmp_path / "staging" / "y")
    assert store.sweep(time.time() - 50) == 4
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert left == {"blobs/a", "versions/1", "pins/p", "staging/y", "jobs/mine#1"}


def test_a_folder_that_may_be_read_only() -> None:
    """Reading works, writing says what is wrong; in a process of its own, since root may write
    everywhere.
    """
    code = """
import os, sys
from renate.errors import StateError
from renate.state.publish import publish, stage
from renate.state.versions import State
state = State(sys.argv[1])
stage(state, [("a", b"1")], job="j", parent=None, lineage={})
publish(state, "j")
for folder, _, _ in os.walk(sys.argv[1]):
    os.chmod(folder, 0o555)
if os.geteuid() == 0:
    os.setegid(65534), os.seteuid(65534)
newest = State(sys.argv[1]).verify()
assert bytes(state.read(newest, "a")) == b"1"
try:
    stage(state, [("a", b"2")], job="k", parent=(state, newest), lineage={})
except StateError as error:
    print(error)
"""
    with tempfile.TemporaryDirectory() as folder:  # tmp_path's parents are closed to other users
        Path(folder).chmod(0o755)
        out = subprocess.run(
            [sys.executable, "-c", code, f"{folder}/s"], capture_output=True, text=True, check=True
        ).stdout
    assert re.fullmatch(r"/.*/s: can't write blobs/[0-9a-f-]+: .*Permission denied.*\n", out), out
