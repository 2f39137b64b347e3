"""What is shown of large transfers."""

import os
import threading

import pytest

from renate.object_store.multipart import PART
from renate.state.publish import publish, stage
from renate.state.store import meter
from renate.state.versions import State

from .fake_s3 import FakeS3
from .test_s3 import s3  # noqa: F401 (a fixture)


def test_all_that_goes_one_way_is_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "PERIOD", 0)
    shown: list[tuple[int, int, str]] = []
    counter = meter.Meter("uploading")
    counter.show = lambda *line: shown.append(line)
    million = 1_000_000
    with counter.counting("a", 40 * million) as a:
        a(10 * million)
        with counter.counting("b", 60 * million) as b:
            b(30 * million)
        a(30 * million)
    assert shown == [
        (10 * million, 40 * million, "uploading 10 of 40 MB"),
        (40 * million, 100 * million, "uploading 40 of 100 MB"),
        (70 * million, 100 * million, "uploading 70 of 100 MB"),
    ]
    with counter.counting("c", 50 * million) as c:  # the next begin anew
        c(50 * million)
    assert shown[-1] == (50 * million, 50 * million, "uploading 50 of 50 MB")


def test_a_second_try_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter, "PERIOD", 0)
    monkeypatch.setattr(meter, "LARGE", PART)
    done: list[int] = []
    counter = meter.Meter("uploading")
    counter.show = lambda *line: done.append(line[0])
    for _ in range(2):
        with counter.counting("a", 2 * PART) as moved:
            moved(PART)
        with counter.counting("small", PART) as moved:
            moved(PART)
    assert done == [PART, PART]


def test_what_is_small_or_soon_is_not_shown() -> None:
    shown: list[str] = []
    counter = meter.Meter("downloading")
    counter.show = lambda done, total, text: shown.append(text)
    with counter.counting("small", 10) as moved:
        moved(10)
    with counter.counting("large", 1000 * meter.LARGE) as moved:
        for _ in range(1000):
            moved(meter.LARGE)
    assert len(shown) < 50
    assert shown[-1].startswith("downloading 33554 of")


def test_a_large_blob_goes_both_ways_in_parts(s3: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(meter, "PERIOD", 0)
    lines: list[tuple[int, int, str]] = []
    lock = threading.Lock()

    def show(*line: int | str) -> None:
        with lock:
            lines.append(line)  # type: ignore[arg-type]

    state = State("s3://bucket/state", show=show)
    data = os.urandom((36 << 20) + 5)
    stage(state, [("big", data)], job="j", parent=None, lineage={})
    manifest = publish(state, "j")
    assert bytes(state.read(manifest, "big")) == data
    for verb in ("uploading", "downloading"):
        steps = [
            done for done, total, text in lines if text.startswith(verb) and total == len(data)
        ]
        assert max(steps) == len(data), verb
        assert len(steps) == 5, verb
    assert sum("GET bucket/state/blobs/" in request for request in s3.requests) == 5
