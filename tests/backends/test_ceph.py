"""The same protocol against Ceph's gateway, which checks signatures and writes in parallel;
where it is installed.
"""

import os
import threading
from collections.abc import Iterator

import pytest

from renate.errors import StateError
from renate.state.publish import publish, stage
from renate.state.versions import State
from tests.state.scenes import read_all, stage_next
from tests.state.test_s3 import connect, story

from .services import ceph
from .services.faults import Proxy, Rule, proxy


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if reason := ceph.why_not():
        pytest.skip(reason)
    boto3 = pytest.importorskip("boto3")
    with ceph.gateway(tmp_path_factory.mktemp("ceph")) as running:
        keys = {
            "aws_access_key_id": ceph.KEY,
            "aws_secret_access_key": ceph.KEY,
            "region_name": ceph.REGION,
        }
        s3 = boto3.client("s3", endpoint_url=running, **keys)
        s3.create_bucket(Bucket="bucket")
        s3.close()
        yield running


@pytest.fixture
def s3(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with proxy(address) as running:
        connect(monkeypatch, running.url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", ceph.REGION)
        yield running


def test_the_story(s3: Proxy) -> None:
    story("s3://bucket/story")


def test_a_large_blob_goes_both_ways_in_parts(s3: Proxy) -> None:
    state = State("s3://bucket/large")
    data = os.urandom((20 << 20) + 1)
    stage(state, [("big", data)], job="j", parent=None, lineage={})
    assert read_all(state, publish(state, "j")) == {"big": data}
    assert sum("partNumber" in each["path"] for each in s3.log) == 3


@pytest.mark.parametrize("action", ["lose_reply", "drop", "cut_upload"])
def test_a_commit_that_met_trouble(s3: Proxy, action: str) -> None:
    state = State(f"s3://bucket/trouble/{action}")
    stage_next(state, "j", a=b"1")
    s3.order(Rule(action, "PUT", "/versions/"))
    assert publish(state, "j").version == 1
    assert read_all(state, state.verify()) == {"a": b"1"}


def test_of_creates_at_once_one_wins(s3: Proxy) -> None:
    store = State("s3://bucket/race").store
    for number in range(10):
        barrier = threading.Barrier(8)
        won = []

        def create(
            mine: int,
            number: int = number,
            barrier: threading.Barrier = barrier,
            won: list[int] = won,
        ) -> None:
            barrier.wait(30)
            try:
                store.create(f"versions/{number}", b"%d" % mine)
                won.append(mine)
            except FileExistsError:
                pass

        threads = [threading.Thread(target=create, args=(mine,)) for mine in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [bytes(store.get(f"versions/{number}"))] == [b"%d" % mine for mine in won]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "AWS_SECRET_ACCESS_KEY",
            "not the secret of this access key: check AWS_SECRET_ACCESS_KEY or the profile",
        ),
        (
            "AWS_ACCESS_KEY_ID",
            "AWS knows no such access key: check AWS_ACCESS_KEY_ID or the profile",
        ),
    ],
)
def test_a_wrong_key(s3: Proxy, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(name, "wrong")
    with pytest.raises(StateError) as caught:
        State("s3://bucket/state").newest()
    assert str(caught.value) == f"s3://bucket/state: {text}"


def test_no_such_bucket(s3: Proxy) -> None:
    with pytest.raises(
        StateError,
        match=r"^s3://elsewhere/state: no bucket elsewhere in region us-east-1: check the",
    ):
        State("s3://elsewhere/state").newest()
