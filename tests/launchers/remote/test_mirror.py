"""A job's directory in an object store holds what the next node needs, and no more."""

import time
from pathlib import Path

import pytest

from renate.errors import StateError
from renate.launchers.remote.inside import mirror
from renate.launchers.remote.inside.mirror import Mirror
from renate.state.store import open_store


def test_the_next_node_finds_what_the_last_one_had(tmp_path: Path) -> None:
    """Not what it had removed, nor what it was just writing."""
    store = open_store(str(tmp_path / "store"))
    (tmp_path / "one").mkdir()
    first = Mirror(tmp_path / "one", store)
    (tmp_path / "one" / "checkpoint-0-000000001.pt").write_bytes(b"early")
    first.look()
    (tmp_path / "one" / "checkpoint-0-000000001.pt").unlink()
    (tmp_path / "one" / "checkpoint-0-000000002.pt").write_bytes(b"late")
    (tmp_path / "one" / ".checkpoint-0-000000003.pt.0a.tmp").write_bytes(b"half")
    (tmp_path / "one" / "state").mkdir()
    (tmp_path / "one" / "state" / "blob").write_bytes(b"has a place of its own")
    first.close()

    (tmp_path / "two").mkdir()
    second = Mirror(tmp_path / "two", store)
    second.close()
    found = {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert found == {"checkpoint-0-000000002.pt": b"late"}


def test_a_store_that_fails_once_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mirror, "PERIOD", 0.01)
    store = open_store(str(tmp_path / "store"))
    (tmp_path / "job").mkdir()
    write = store.replace
    failing = [True] * 3

    def replace(key: str, data: bytes) -> None:
        if failing and failing.pop():
            raise StateError("no connection")
        write(key, data)

    monkeypatch.setattr(store, "replace", replace)
    running = Mirror(tmp_path / "job", store)
    (tmp_path / "job" / "checkpoint.pt").write_bytes(b"late")
    end = time.monotonic() + 60
    while not store.list("checkpoints"):
        assert time.monotonic() < end
        time.sleep(0.01)
    running.close()
    assert not failing
    assert "renate: copies wait: no connection" in capsys.readouterr().err
