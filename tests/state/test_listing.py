"""What a listing can't see must not be taken for absent."""

import os
from pathlib import Path
from typing import Any

import pytest

from renate.errors import StateError
from renate.state.gc import gc
from renate.state.versions import State
from tests.state.scenes import publish_next, snapshot


def test_a_file_that_cannot_be_looked_at_is_an_error(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        publish_next(state, a=b"%d" % i)
    before = snapshot(Path(state.url))
    real = os.scandir

    class Broken:
        def __init__(self, entry: Any) -> None:
            self.name = entry.name
            self.path = entry.path

        def stat(self) -> None:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "scandir", lambda path: [Broken(entry) for entry in real(path)])
    with pytest.raises(StateError, match="can't list .*Input/output error"):
        gc(state, keep=1, grace=0)
    monkeypatch.undo()
    assert snapshot(Path(state.url)) == before


def test_gc_removes_nothing_where_a_manifest_is_missing(state: State) -> None:
    for i in range(3):
        publish_next(state, a=b"%d" % i)
    Path(state.url, "versions", "00000002.json").unlink()
    before = snapshot(Path(state.url))
    with pytest.raises(
        StateError, match="the manifest of version 2 is missing, so nothing is removed"
    ):
        gc(state, keep=1, grace=0)
    assert snapshot(Path(state.url)) == before
