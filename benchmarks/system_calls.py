"""Each system call of a publish failing once, or being its last: `python
benchmarks/system_calls.py`, needs strace.

One undisturbed publish is traced first: in which order bytes and names are made durable, and every
call that touches the state. Then each of them fails once, alone, with each error that fits it, or
the process is killed on its way into it; and files may grow to so many bytes only, so that a write
stops part-way. After each of these the state opens, the version that was there is the same, the new
one is whole or absent, it is published as `renate state publish JOB_DIR` does it, and gc leaves
only what versions name. The same for gc, which must keep the versions that it was told to keep.

strace counts a call per thread, and which thread of the file-system library serves a call is
chance: the trace of each run says what was really hit, and a run that hit something else is
repeated.
"""

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from machine import write

from renate.errors import ConflictError, CorruptError, GoneError, NoVersionError
from renate.state.gc import gc
from renate.state.publish import candidates, drop, publish, stage
from renate.state.versions import State, version_key

CHILD = """
import itertools, resource, sys, uuid
numbers = itertools.count()
# The same names in each run; a blob's has zeros of it only.
uuid.uuid4 = lambda: uuid.UUID(int=next(numbers))
from renate.state.gc import gc
from renate.state.publish import publish, stage
from renate.state.versions import State
url, act, limit = sys.argv[1], sys.argv[2], int(sys.argv[3])
if limit >= 0:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
state = State(url)
if act == "gc":
    print(gc(state, keep=2, grace=0))
    sys.exit()
newest = state.newest()
files = [("same", None if newest else b"s" * 1000), ("new", b"n" * 3000), ("more", b"m" * 5000)]
stage(state, files, job="job", parent=(state, newest) if newest else None, lineage={})
print("version", publish(state, "job").version)
"""
CONTENT = {"same": b"s" * 1000, "new": b"n" * 3000, "more": b"m" * 5000}

KILL = "SIGKILL"
KILLED = (-9, 137)
BEFORE = {"second version": 1, "first version": 0, "gc": 3}  # how many versions there are
FOLDERS = ("blobs", "pins", "versions")
ORDERED = ("write", "fsync", "fdatasync", "rename", "linkat", "unlink", "mkdir")
ERRORS = {
    "write": ["EIO", "ENOSPC", "EINTR"],
    "openat": ["EIO", "EMFILE", "EINTR"],
    "openat, new": ["EIO", "ENOSPC", "EINTR"],
    "fsync": ["EIO", "ENOSPC", "EINTR"],
    "pread64": ["EIO", "EINTR"],
    "linkat": ["EIO", "ENOSPC", "EMLINK"],
    "rename": ["EIO", "ENOSPC"],
    "mkdir": ["EIO", "ENOSPC"],
}
# Bytes a file may have
LIMITS = [0, 1, 500, 700, 800, 999, 1000, 1001, 2048, 2999, 3000, 3001, 4096, 4999]
TRIES = 6


class Call(NamedTuple):
    """One line of a trace, or two: paths are relative to the folder; start and end are lines."""

    name: str
    paths: list[str]
    result: str
    thread: str
    start: int
    end: int

    @property
    def kind(self) -> str:
        return (
            f"{self.name}, new"
            if self.name == "openat" and self.paths[0].endswith("#1")
            else self.name
        )

    def __str__(self) -> str:
        return f"{self.name} {' → '.join(shorten(path) for path in self.paths)}"


class Fault(NamedTuple):
    """The `nth` call of its name on a path is to fail; `rank` is which of its thread it was when
    undisturbed.
    """

    kind: str
    path: str
    nth: int
    rank: int
    error: str


def shorten(path: str) -> str:
    """Without the long random names."""
    return re.sub(
        r"\b([0-9a-f]{4})[0-9a-f]{26,}(?:-0+)?(?=#|$)|\b0{29}([0-9a-f]{3})", r"\1\2", path
    )


def calls(log: Path, folder: Path) -> list[Call]:
    """The calls on paths in a folder, and the last one: the write to the standard output."""
    waiting: dict[str, tuple[str, int]] = {}
    found = []

    for number, line in enumerate(log.read_text().splitlines()):
        thread, text = line.split(maxsplit=1)
        start = number
        if text.endswith("<unfinished ...>"):
            waiting[thread] = text.removesuffix("<unfinished ...>"), number
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>", text):
            begun, start = waiting.pop(thread)
            text = begun + text[resumed.end() :]
        if match := re.match(r"(\w+)\((.*)\) += (.*)", text):
            found.append(Call(match[1], within(match[2], folder), match[3], thread, start, number))

    for thread, (begun, start) in waiting.items():  # killed inside
        found.append(Call(begun.split("(")[0], within(begun, folder), "?", thread, start, start))

    return sorted((call for call in found if call.paths), key=lambda call: call.start)


def within(arguments: str, folder: Path) -> list[str]:
    if arguments.startswith("1<pipe"):
        return ["stdout"]
    paths = re.findall(r'(?<!AT_FDCWD)<(/[^>]*)>|"(/[^"]*)"', arguments)
    inside = [Path(a or b) for a, b in paths if Path(a or b).is_relative_to(folder)]
    return [str(path.relative_to(folder)) for path in inside]


def traced(folder: Path, scene: str, *options: str, limit: int = -1) -> tuple[list[Call], int]:
    """Publish into folder/state, or collect, with strace beside it; return the trace and the
    exit status.
    """
    log = folder.parent / f"{folder.name}.log"
    command = ["strace", "-f", "-y", "-s", "0", "-o", str(log), *options]
    child = [sys.executable, "-c", CHILD, str(folder / "state"), scene, str(limit)]
    done = subprocess.run([*command, *child], capture_output=True, timeout=60)

    return calls(log, folder), done.returncode


def begin(where: Path, scene: str, name: str) -> Path:
    folder = where / f"{scene} {name}".replace(" ", "-")
    folder.mkdir()
    state = State(str(folder / "state"))

    for number in range(1, BEFORE[scene] + 1):
        newest = state.newest()
        parent = (state, newest) if newest else None
        stage(state, list(old(number).items()), job=f"old-{number}", parent=parent, lineage={})
        publish(state, f"old-{number}")

    return folder


def old(number: int) -> dict[str, bytes]:
    return {"same": CONTENT["same"], "new": b"version %d" % number}


def check_order(trace: list[Call]) -> None:
    """Bytes before the name that makes them count, names before the next step, all before
    success is reported.
    """

    def synced(path: str, after: int, before: int) -> bool:
        return any(
            c.name in ("fsync", "fdatasync")
            and c.paths == [path]
            and after < c.start
            and c.end < before
            for c in trace
            if c.result == "0"
        )

    names = [c for c in trace if c.name in ("rename", "linkat") and c.result == "0"]
    step = {
        folder: [c for c in names if c.paths[1].startswith(f"state/{folder}/")]
        for folder in FOLDERS
    }
    (pinned,) = step["pins"]
    (published,) = step["versions"]
    report = next(c for c in trace if c.name == "write" and c.paths == ["stdout"])
    until = {"blobs": pinned.start, "pins": published.start, "versions": report.start}

    for folder, deadline in until.items():
        for named in step[folder]:
            source, target = named.paths
            last = max(
                c.end for c in trace if c.name == "write" and c.paths[0] in (f"{source}#1", source)
            )
            # Nothing refers to it before the pin, so its bytes may follow its name
            if folder == "blobs":
                assert synced(target, last, deadline), (
                    f"{named}: its bytes are not durable before the pin"
                )
            else:
                assert synced(source, last, named.start), (
                    f"{named}: its bytes are not durable before the name"
                )

            assert synced(f"state/{folder}", named.end, deadline), (
                f"{named}: the name is not durable in time"
            )

    for made in (c for c in trace if c.name == "mkdir" and c.result == "0"):
        following = pinned if made.end < pinned.start else published
        parent = str(Path(made.paths[0]).parent)
        assert synced(parent, made.end, following.start), (
            f"{made}: the folder is not durable in time"
        )

    unpinned = next(
        c for c in trace if c.name == "unlink" and c.paths == ["state/pins/job-job.json"]
    )
    assert synced("state/versions", published.end, unpinned.start), (
        "the pin goes before the version is durable"
    )


def plan(trace: list[Call]) -> Iterator[Fault]:
    seen: Counter[tuple[str, str]] = Counter()
    ranks: Counter[tuple[str, str, str]] = Counter()
    for call in trace:
        path = call.paths[0]
        if path == "stdout":
            continue

        seen[call.name, path] += 1
        ranks[call.name, path, call.thread] += 1
        for error in [*ERRORS.get(call.kind, ["EIO"]), KILL]:
            yield Fault(
                call.kind, path, seen[call.name, path], ranks[call.name, path, call.thread], error
            )


def inject(where: Path, scene: str, fault: Fault, number: int) -> tuple[Fault, list[str]]:
    """Let a fault happen; return the outcome of every run, the last of which hit the one that
    was meant, or nothing.
    """
    name = fault.kind.split(",")[0]
    ranks = [fault.rank, *(r for r in range(min(fault.nth, 2), fault.nth + 1) if r != fault.rank)]
    outcomes = []

    for attempt in range(TRIES):
        folder = begin(where, scene, f"{number}-{attempt}")
        how = "signal=SIGKILL" if fault.error == KILL else f"error={fault.error}"
        rule = f"--inject={name}:{how}:when={ranks[attempt % len(ranks)]}"
        trace, code = traced(folder, scene, f"--trace={name}", "-P", str(folder / fault.path), rule)
        mine = [call for call in trace if call.name == name and call.paths[0] == fault.path]
        hits = [nth for nth, call in enumerate(mine, 1) if "INJECTED" in call.result]
        if fault.error == KILL:
            hits = [len(mine)] if code in KILLED else []
        if hits:
            outcomes.append(judge(folder, scene, code))
        if hits == [fault.nth]:
            return fault, outcomes

    return fault, [*outcomes, ""]


def judge(folder: Path, scene: str, code: int) -> str:
    """What became of the versions; then publish and clean up."""
    state = State(str(folder / "state"))
    number = BEFORE[scene] + 1
    kept = {n: old(n) for n in range(2 if scene == "gc" else 1, number)}

    try:
        intact(state, kept)
        there = number in state.versions()
        if there:
            intact(state, {number: CONTENT})
        elif code == 0 and scene != "gc":
            return "LOST"

        again(state, number)
        intact(state, kept | {number: CONTENT})
        gc(state, keep=2, grace=0)
        intact(state, {number: CONTENT})
    except NoVersionError:
        return "LOST"
    except (CorruptError, GoneError):
        return "BROKEN"

    named = {
        blob.key for version in state.versions() for blob in state.manifest(version).files.values()
    }
    left = {str(path.relative_to(state.url)) for path in Path(state.url).glob("*/*")}
    assert left == named | {version_key(n) for n in state.numbers()}, left
    said = "reported" if code == 0 else "killed" if code in KILLED else "refused"

    return said if scene == "gc" else f"{said}, {'whole' if there else 'absent'}"


def intact(state: State, versions: dict[int, dict[str, bytes]]) -> None:
    for number, content in versions.items():
        manifest = state.verify(number)
        assert {name: bytes(state.read(manifest, name)) for name in manifest.files} == content, (
            number
        )


def again(state: State, number: int) -> None:
    """Publish the candidate, or make it again first where staging failed; once more changes
    nothing.
    """
    if number not in state.versions() and not candidates(state):
        newest = state.newest()
        parent = (state, newest) if newest else None
        stage(state, list(CONTENT.items()), job="job", parent=parent, lineage={})

    try:
        publish(state, "job")
    # It was staged on an older version than the newest, which the fault had hidden
    except ConflictError:
        drop(state, "job")
        again(state, number)

    assert publish(state, "job").version == number
    assert state.numbers() == list(range(1, number + 1))
    assert not candidates(state)


def rows(scene: str, results: list[tuple[Fault, list[str]]]) -> Iterator[str]:
    """One row a call; an empty outcome stands for a fault that didn't hit what it was meant for."""
    hit: dict[str, Counter[str]] = {}
    planned: dict[str, Counter[str]] = {}
    outcomes: dict[str, Counter[str]] = {}

    for fault, found in results:
        planned.setdefault(fault.kind, Counter())[fault.error] += 1
        hit.setdefault(fault.kind, Counter())[fault.error] += "" not in found
        outcomes.setdefault(fault.kind, Counter()).update(filter(None, found))

    for kind, errors in sorted(planned.items()):
        faults = "; ".join(
            f"{error} {hit[kind][error]} of {count}" for error, count in errors.items()
        )
        ends = "; ".join(
            f"{count} × {outcome}" for outcome, count in sorted(outcomes[kind].items())
        )
        yield f"| {scene} | {kind} | {faults} | {ends} |"


def durable(trace: list[Call]) -> list[str]:
    steps = (
        c
        for c in trace
        if c.name in ORDERED and c.paths != ["stdout"] and not c.result.startswith("-")
    )
    return [*map(str, steps), "success is reported"]


def main() -> None:
    began = time.monotonic()
    table = [
        "| what is done | call | faults, hit of planned | outcomes |",
        "| --- | --- | --- | --- |",
    ]
    order: list[str] = []
    planned: list[bool] = []
    ends: Counter[str] = Counter()

    with TemporaryDirectory() as place, ThreadPoolExecutor(2) as pool:
        where = Path(place).resolve()
        for scene in BEFORE:
            trace, code = traced(begin(where, scene, "undisturbed"), scene, "--trace=%file,%desc")
            assert code == 0
            if scene != "gc":
                check_order(trace)
                order += [
                    "",
                    f"Publishing the {scene}, undisturbed:",
                    "",
                    "```text",
                    *durable(trace),
                    "```",
                ]

            faults = list(plan(trace))
            count = len(faults)
            results = list(pool.map(inject, [where] * count, [scene] * count, faults, range(count)))
            if scene != "gc":
                for limit in LIMITS:
                    folder = begin(where, scene, f"limit-{limit}")
                    _, code = traced(folder, scene, "--trace=none", limit=limit)
                    assert code == 1, limit
                    results.append(
                        (Fault("write", "", 0, 0, "part-way"), [judge(folder, scene, code)])
                    )

            table += rows(scene, results)
            planned.extend("" not in found for _, found in results)
            ends.update(end for _, found in results for end in found if end)

    whole = "; ".join(f"{count} × {end}" for end, count in sorted(ends.items()))
    table += [f"| in all | | {sum(planned)} of {len(planned)} | {whole} |"]
    what = (
        f"each system call of two publishes and a gc fails once; {time.monotonic() - began:.0f} "
        "seconds. Refused, "
        "reported and killed: what the process said; whole and absent: the new version then. A run "
        "that hit "
        "another call than was planned is judged too, so there are more outcomes than hits."
    )
    write("system_calls", "Faults of single system calls", what, [*table, *order])
    if ends["BROKEN"] or ends["LOST"]:
        sys.exit("a version was broken or lost")


if __name__ == "__main__":
    main()
