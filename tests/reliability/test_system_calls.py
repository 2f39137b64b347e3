"""Publishing in system calls: bytes are durable before their name; one call that fails breaks
nothing.
"""

import re
import shutil
import subprocess
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import pytest

from renate.state.gc import gc
from renate.state.publish import candidates, publish
from renate.state.versions import State

from ..state.scenes import publish_next, read_all, stage_next

CHILD = """
import itertools, sys, uuid
numbers = itertools.count()
uuid.uuid4 = lambda: uuid.UUID(int=next(numbers))  # the same names in each run; a blob's has zeros of it only
from renate.state.gc import gc
from renate.state.publish import publish, stage
from renate.state.versions import State
state, act = State(sys.argv[1]), sys.argv[2]
if act == "gc":
    sys.exit(print(gc(state, keep=3, grace=0)))
if act == "update":
    newest = state.newest()
    stage(state, [("a", b"new" * 1000), ("b", None)], job="job", parent=(state, newest), lineage={})
print(f"version {publish(state, 'job').version}")
"""
NEW = {"a": b"new" * 1000, "b": b"b"}
BLOB = f"blobs/{sha256(NEW['a']).hexdigest()}-00000000"
CANDIDATE, MANIFEST = f"staging/{2:032x}", f"staging/{3:032x}"  # before they have their names
VERSION = "versions/00000002.json"
PIN = "pins/job-job.json"


class Call(NamedTuple):
    """A system call on paths below the state, between two lines of a trace."""

    name: str
    paths: list[str]
    start: int
    end: int


@cache
def missing() -> str:
    """Why nothing can be traced here; empty if it can."""
    if shutil.which("strace") is None:
        return "needs strace"
    done = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True)
    return f"strace can't trace here: {done.stderr.strip()[:200]}" if done.returncode else ""


@pytest.fixture
def state(tmp_path: Path) -> State:
    if reason := missing():
        pytest.skip(reason)
    state = State(str(tmp_path / "state"))
    publish_next(state, a=b"old", b=b"b")
    return state


def traced(
    state: State, act: str, *options: str
) -> tuple[list[str], subprocess.CompletedProcess[str]]:
    log = Path(state.url).parent / "log"
    command = [
        "strace",
        "-f",
        "-y",
        "-s",
        "0",
        "-o",
        str(log),
        *options,
        sys.executable,
        "-c",
        CHILD,
        state.url,
        act,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return log.read_text().splitlines(), done


def calls(state: State, act: str) -> list[Call]:
    """What an undisturbed act does, as far as it succeeds; the last is the report."""
    names = "write,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat"
    lines, done = traced(state, act, f"--trace={names}")
    assert done.returncode == 0, done.stderr
    found = []
    begun = {}
    for number, line in enumerate(lines):
        thread, text = line.split(maxsplit=1)
        start = number
        if "<unfinished" in text:
            begun[thread] = text.partition(" <unfinished")[0], number
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>", text):
            before, start = begun.pop(thread)
            text = before + text[resumed.end() :]
        if match := re.match(r"(\w+)\((.*)\) += \d", text):
            paths = re.findall(rf'[<"]{re.escape(state.url)}/([^>"]*)[>"]', match[2])
            if paths or match[2].startswith("1<"):
                found.append(Call(match[1], paths, start, number))
    return found


def failing(
    state: State, act: str, call: str, path: str, error: str
) -> subprocess.CompletedProcess[str]:
    """Let one call on a path fail."""
    lines, done = traced(
        state, act, f"--trace={call}", "-P", f"{state.url}/{path}", f"--inject={call}:error={error}"
    )
    assert sum("(INJECTED)" in line for line in lines) == 1, lines
    return done


def synced(trace: list[Call], path: str, after: Call, before: Call) -> bool:
    syncs = [c for c in trace if c.name in ("fsync", "fdatasync") and c.paths == [path]]
    return any(after.end < sync.start and sync.end < before.start for sync in syncs)


def test_bytes_before_names_and_names_before_the_report(state: State) -> None:
    trace = calls(state, "update")
    named = {c.paths[1]: c for c in trace if c.name.startswith(("rename", "link"))}
    report = next(c for c in trace if not c.paths)
    wrote = {c.paths[0].removesuffix("#1"): c for c in trace if c.name == "write" and c.paths}
    pinned = named[PIN]
    published = named[VERSION]
    blobs = [path for path in named if path.startswith("blobs/") and "#" not in path]
    assert len(blobs) == 1
    assert synced(trace, blobs[0], wrote[blobs[0]], pinned)
    assert synced(trace, "blobs", named[blobs[0]], pinned)
    staged = [
        c for c in trace if c.name == "write" and c.paths and c.paths[0].startswith("staging/")
    ]
    for name, write in zip([pinned, published], staged, strict=True):
        assert synced(trace, name.paths[0], write, name)
    assert synced(trace, "pins", pinned, published)
    assert synced(
        trace,
        "versions",
        published,
        next(c for c in trace if c.paths == [PIN] and "unlink" in c.name),
    )
    assert synced(trace, "versions", published, report)


@pytest.mark.parametrize(
    ("call", "path", "error", "whole"),
    [
        ("write", f"{BLOB}#1", "ENOSPC", False),
        ("fsync", BLOB, "EIO", False),
        ("fsync", "blobs", "EIO", False),
        ("rename", CANDIDATE, "EIO", False),
        ("fsync", MANIFEST, "EIO", False),
        ("linkat", VERSION, "EIO", False),
        ("fsync", "versions", "EIO", True),
    ],
)
def test_a_call_fails(call: str, path: str, error: str, whole: bool, state: State) -> None:
    done = failing(state, "update", call, path, f"{error}:when=1")
    assert done.returncode == 1
    assert "StateError" in done.stderr
    assert state.versions() == ([1, 2] if whole else [1])
    assert read_all(state, state.verify(1)) == {"a": b"old", "b": b"b"}
    if whole:
        assert read_all(state, state.verify(2)) == NEW
    elif not candidates(state):
        stage_next(state, "job", a=NEW["a"], b=None)
    assert publish(state, "job").version == 2
    assert publish(state, "job").version == 2
    assert read_all(state, state.verify()) == NEW
    assert state.versions() == [1, 2]
    gc(state, keep=2, grace=0)
    named = {blob.key for n in (1, 2) for blob in state.manifest(n).files.values()}
    left = {str(path.relative_to(state.url)) for path in Path(state.url).glob("*/*")}
    assert left == named | {"versions/00000001.json", VERSION}


def test_publishing_again_makes_the_name_durable(state: State) -> None:
    failing(state, "update", "fsync", "versions", "EIO:when=1")
    trace = calls(state, "publish")
    report = next(c for c in trace if not c.paths)
    assert any(
        c.name == "fsync" and c.paths == ["versions"] and c.end < report.start for c in trace
    )


def test_gc_takes_nothing_that_a_failed_stat_hides(state: State) -> None:
    publish_next(state, a=b"second")
    publish_next(state, a=b"third")
    stats = "statx,newfstatat,?stat,?lstat"
    hits = 0
    for nth in range(1, 7):
        inject = f"--inject={stats}:error=EIO:when={nth}"
        lines, _ = traced(state, "gc", f"--trace={stats}", "-P", f"{state.url}/{VERSION}", inject)
        hits += sum("(INJECTED)" in line for line in lines)
        for number in (1, 2, 3):
            state.verify(number)
    assert hits
