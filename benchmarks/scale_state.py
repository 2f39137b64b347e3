"""A state of up to 10,000 versions and a million blobs in a folder: what opening, listing,
publishing, verifying and collecting cost.
"""

import contextlib
import hashlib
import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from exponents import cpu, head, in_child, resident, row, up_to
from machine import write

from renate.cli import listing
from renate.state.gc import gc
from renate.state.manifest import Blob, Manifest, Parent, now
from renate.state.pins import pin
from renate.state.publish import publish, stage
from renate.state.versions import State, version_key

VERSIONS = (30, 100, 300, 1_000, 10_000)
BLOBS = 100  # that each version adds
KEPT = 10  # versions, of the second gc


def laid_out(root: Path, versions: int) -> State:
    """A state as so many publishes leave it, without their fsyncs."""
    for folder in ("blobs", "versions", "pins"):
        (root / folder).mkdir(parents=True)

    parent = None
    for number in range(1, versions + 1):
        files = {}
        for place in range(BLOBS):
            data = f"{number}/{place}".encode()
            digest = hashlib.sha256(data).hexdigest()
            blob = Blob(f"blobs/{digest}-{uuid4().hex[:8]}", digest, len(data))
            (root / blob.key).write_bytes(data)
            files[f"file-{place:03d}"] = blob

        made = Manifest(number, number - 1, parent, uuid4().hex, now(), f"job-{number}", {}, files)
        raw = made.encode()
        (root / version_key(number)).write_bytes(raw)
        parent = Parent(None, number, hashlib.sha256(raw).hexdigest())

    return State(str(root))


def publish_one(state: State, job: str) -> None:
    newest = state.manifest()
    files: list[tuple[str, bytes | None]] = [(name, None) for name in newest.files]
    files[0] = (files[0][0], os.urandom(16))
    stage(state, files, job=job, parent=(state, newest), lineage={})
    publish(state, job)


def listed(url: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        listing.ls(State(url), None)


def measured(versions: int) -> dict[str, float]:
    """What is asked of a state of so many versions -> CPU seconds; and memory, in MB."""
    found: dict[str, float] = {}

    def take(name: str, call: Callable[[], object], times: int = 1) -> None:
        began = time.perf_counter()
        found[name] = cpu(call, times)
        print(
            f"  {versions:,}: {name}: {found[name]:.3f} s of CPU, "
            f"{time.perf_counter() - began:.1f} s",
            flush=True,
        )

    with tempfile.TemporaryDirectory(prefix="renate-scale-") as folder:
        root = Path(folder) / "state"
        state = laid_out(root, versions)
        url = str(root)

        take("open it and find the newest version", lambda: State(url).newest(), 3)
        take("find one version by its number", lambda: state.find(versions // 2), 3)
        take("list the numbers of all versions", state.numbers, 3)
        take("read the manifests of all versions", state.versions)
        take("renate state ls", lambda: listed(url))
        take("publish on top", lambda: publish_one(state, uuid4().hex), 3)
        take("verify the newest version", state.verify, 3)

        for number in range(1, versions, 10):
            pin(state, f"week-{number}", number)

        before = resident()
        take("gc that finds nothing to remove", lambda: gc(state, keep=versions + KEPT, grace=0))
        found["memory of gc, MB"] = max(1.0, (resident() - before) / 2**20)
        take(
            f"gc that keeps {KEPT} versions and each tenth, which is pinned",
            lambda: gc(state, keep=KEPT, grace=0),
        )

        left = len(list((root / "blobs").iterdir()))
        pinned = len(range(1, versions, 10))
        assert left <= (pinned + KEPT + 5) * BLOBS, f"gc left {left} blobs"
        state.verify()

    return found


def main(largest: int | None = None) -> None:
    """Measure states of so many blobs at most."""
    sizes = up_to([n * BLOBS for n in VERSIONS], largest)
    versions = [size // BLOBS for size in sizes]
    costs = [in_child(measured, n) for n in versions]
    listed_versions = ", ".join(f"{n:,}" for n in versions)
    table = [
        f"{listed_versions} versions, each of {BLOBS} new blobs; sizes are blobs.",
        "",
        *head("CPU s"),
        *(row(name, sizes, [cost[name] for cost in costs]) for name in costs[0]),
    ]
    write(
        "scale_state",
        "A state against its size",
        "a folder on a local disk, laid out as publishing leaves it; CPU seconds of all threads.",
        table,
        script="scale",
    )


if __name__ == "__main__":
    main()
