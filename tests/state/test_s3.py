"""The same protocol over S3's requests: against a small fake that can fail, and moto if it is
there.
"""

import importlib
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from renate.errors import ConflictError, CorruptError, StateError
from renate.state.aliases.standing import resolve
from renate.state.gc import gc
from renate.state.pins import pin, pins
from renate.state.publish import candidates, drop, publish, rollback, stage
from renate.state.versions import State

from .fake_s3 import FakeS3
from .scenes import publish_next, read_all, stage_next


def connect(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-west-2",
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    server = FakeS3()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    connect(monkeypatch, server.url)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def story(url: str) -> State:
    """Three updates, a conflict, a rollback, a pin and a gc."""
    state = State(url)
    assert state.newest() is None
    publish_next(state, model=b"m" * 1000, memory=b"x" * 1000, empty=b"")
    publish_next(state, model=b"n" * 1000, memory=None)
    loser = stage_next(state, "loser", model=b"l")
    winner = stage_next(state, "winner", model=b"w")
    assert publish(state, "winner").writer == winner.writer
    with pytest.raises(ConflictError, match="version 3 was published by job 'winner'"):
        publish(state, "loser")
    assert candidates(state) == [loser]
    pin(state, "p", 2)
    assert (pins(state), resolve(state, "p"), resolve(state, "latest")) == ({"p": 2}, 2, 3)
    assert read_all(state, rollback(state, 2)) == {"model": b"n" * 1000, "memory": b"x" * 1000}
    drop(state, "loser")
    assert gc(state, keep=1, grace=0).versions == [1, 3]
    assert state.versions() == [2, 4]
    assert [state.verify(n).version for n in (2, 4)] == [2, 4]
    return state


def test_the_story_on_s3(s3: FakeS3) -> None:
    story("s3://bucket/team/state/")
    assert all(key.startswith("bucket/team/state/") for key in s3.objects)
    story("s3://bucket/team/state-2")  # not a neighbour with the same beginning
    assert len({key.split("/")[2] for key in s3.objects}) == 2


def test_the_story_on_moto(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("moto", reason="moto[server] is not installed")
    boto3 = importlib.import_module("boto3")
    moto = importlib.import_module("moto.server")
    server = moto.ThreadedMotoServer(port=0)
    server.start()
    try:
        endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
        connect(monkeypatch, endpoint)
        boto3.client("s3", endpoint_url=endpoint).create_bucket(
            Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
        )
        story("s3://bucket/state")
    finally:
        server.stop()


def once(fault: int | str) -> Callable[[str, str, dict[str, str]], int | str | None]:
    """The first put of a manifest fails."""
    left = [fault]
    return lambda method, key, headers: (
        left.pop()
        if left and method == "PUT" and "/versions/" in key and "if-none-match" in headers
        else None
    )


@pytest.mark.parametrize("fault", [409, 500, 503, "lost"])
def test_a_commit_that_met_trouble(s3: FakeS3, fault: int | str) -> None:
    """409: a concurrent attempt, nothing there; 500, 503: obstore retries; lost: it meets its
    own success.
    """
    state = State("s3://bucket/state")
    stage_next(state, "j", a=b"1")
    s3.fault = once(fault)
    assert publish(state, "j").version == 1
    puts = [r for r in s3.requests if r == "PUT bucket/state/versions/00000001.json"]
    assert len(puts) == 2
    assert candidates(state) == []
    assert read_all(state, state.verify()) == {"a": b"1"}


def test_a_refused_commit_keeps_the_candidate(s3: FakeS3) -> None:
    state = State("s3://bucket/state")
    candidate = stage_next(state, "j", a=b"1")
    s3.fault = once(403)
    with pytest.raises(
        StateError,
        match=r"^s3://bucket/state: can't create versions/00000001.json: .*403 .*; check the URL, the cred",
    ):
        publish(state, "j")
    assert candidates(state) == [candidate]
    assert publish(state, "j").version == 1


def test_who_may_not_delete_may_publish(s3: FakeS3) -> None:
    state = State("s3://bucket/state")
    stage_next(state, "j", a=b"1")
    s3.fault = lambda method, key, headers: 403 if method == "POST" and key == "bucket" else None
    assert publish(state, "j").version == publish(state, "j").version == 1
    assert publish_next(state, a=b"2").version == 2


def test_large_blobs_go_up_in_parts(s3: FakeS3) -> None:
    state = State("s3://bucket/state")
    data = os.urandom(17 << 20)
    stage(state, [("big", data)], job="j", parent=None, lineage={})
    assert sum(r.startswith("PUT bucket/state/blobs/") for r in s3.requests) == 3
    assert read_all(state, publish(state, "j")) == {"big": data}


def test_damage_and_absence(s3: FakeS3) -> None:
    state = State("s3://bucket/state")
    first = publish_next(state, a=b"12345")
    key = f"bucket/state/{first.files['a'].key}"
    s3.objects[key] = (b"54321", s3.objects[key][1])
    with pytest.raises(CorruptError, match="other bytes than were published"):
        state.read(first, "a")
    del s3.objects[key]
    with pytest.raises(
        CorruptError, match=r"file 'a' of version 1, is missing; spoils version 1: bring it back"
    ):
        state.verify()


def test_no_such_bucket(s3: FakeS3) -> None:
    message = (
        r"^s3://nobucket/state: no bucket nobucket in region us-west-2: check the URL and "
        r"AWS_DEFAULT_REGION$"
    )
    with pytest.raises(StateError, match=message):
        State("s3://nobucket/state").newest()
    with pytest.raises(StateError, match=message):
        stage(State("s3://nobucket/state"), [("a", b"1")], job="j", parent=None, lineage={})
