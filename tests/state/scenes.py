"""What many tests of the state begin with."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from renate.state.manifest import Manifest
from renate.state.publish import publish, stage
from renate.state.versions import State


def stage_next(state: State, job: str, **content: bytes | None) -> Manifest:
    """Stage `content` on the newest version."""
    newest = state.newest()
    parent = (state, newest) if newest else None
    return stage(state, list(content.items()), job=job, parent=parent, lineage={"seed": 1})


def publish_next(state: State, **content: bytes | None) -> Manifest:
    job = f"job{len(state.numbers()) + 1}"
    stage_next(state, job, **content)
    return publish(state, job)


def read_all(state: State, manifest: Manifest) -> dict[str, bytes]:
    return {name: bytes(state.read(manifest, name)) for name in manifest.files}


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, by its path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def age(folder: Path, seconds: float = 7200.0) -> None:
    """Make every file older."""
    then = time.time() - seconds
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


def before_each_call(state: State, acts: dict[int, Callable[[], None]]) -> list[str]:
    """Do `acts[k]` before the k-th call to this state's store, from now on; return the list of
    calls made.
    """
    made: list[str] = []

    def wrap(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            made.append(name)
            acts.get(len(made) - 1, lambda: None)()
            return method(*args)

        return call

    for name in ("get", "list", "put", "create", "replace", "delete", "sync", "sweep"):
        setattr(state.store, name, wrap(name, getattr(state.store, name)))
    return made


def uploaded(state: State) -> dict[str, int]:
    """From now on, the blobs that go up, with their sizes."""
    sizes: dict[str, int] = {}
    put = state.store.put

    def counted(key: str, data: bytes | memoryview) -> None:
        if key.startswith("blobs/"):
            sizes[key] = len(data)
        put(key, data)

    state.store.put = counted  # type: ignore[method-assign]
    return sizes
