"""Data in an object store, against the fake one of tests/state."""

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from renate.data.base import Known
from renate.data.files import Files
from renate.data.fingerprint import expand, fingerprint
from renate.data.kept.trained import Trained
from renate.data.tables.remote import read
from renate.errors import DataError, NothingNewError
from tests.state.fake_s3 import FakeS3

CSV = b"x,label\n1,0\n2,1\n"


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeS3]:
    server = FakeS3()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-west-2",
        "no_proxy": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    for key in (
        "at/new/a.csv",
        "at/new/b.csv",
        "at/new/old/c.csv",
        "at/new-2/d.csv",
        "at/new/e.txt",
    ):
        server.objects[f"bucket/{key}"] = (CSV, datetime.now(UTC))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("at/new/a.csv", ["at/new/a.csv"]),
        ("at/new/*.csv", ["at/new/a.csv", "at/new/b.csv"]),
        ("at/new*/*.csv", ["at/new-2/d.csv", "at/new/a.csv", "at/new/b.csv"]),
        ("at/new/**/*.csv", ["at/new/a.csv", "at/new/b.csv", "at/new/old/c.csv"]),
    ],
)
def test_patterns_mean_what_they_do_on_a_disk(
    s3: FakeS3, workdir: Path, pattern: str, found: list[str]
) -> None:
    assert expand(f"s3://bucket/{pattern}", "data.train") == [
        f"s3://bucket/{name}" for name in found
    ]
    for key in s3.objects:
        path = workdir / key.removeprefix("bucket/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert expand(pattern, "data.train") == found


def test_reading(s3: FakeS3, workdir: Path) -> None:
    source = Files(
        train="s3://bucket/at/new/*.csv",
        test="s3://bucket/at/new-2/d.csv",
        test_size=0,
        target="label",
        inputs=None,
        image_size=None,
        cache_dir="cache",
        batch_size=2,
        val_size=0,
        limit=None,
    )
    data = source.load(seed=0)
    assert data.train["inputs"].tolist() == [[1.0], [2.0], [1.0], [2.0]]
    assert data.test["test"]["targets"].tolist() == [0, 1]


def test_what_was_trained_on_is_known_wherever_it_lies(s3: FakeS3, workdir: Path) -> None:
    """A file that was trained on here, is uploaded, and is written once more in other parts."""
    given: dict[str, Any] = {
        "test": None,
        "test_size": 0.2,
        "target": "label",
        "inputs": None,
        "image_size": None,
        "cache_dir": "cache",
        "batch_size": 2,
        "val_size": 0,
        "limit": None,
        "seen": "new",
    }
    rows = [f"{number},{number % 2}" for number in range(40)]
    content = "\n".join(["x,label", *rows]).encode()
    Path("a.csv").write_bytes(content)
    here = Files(train="a.csv", **given).load(seed=0)
    keys = [key for file in here.files["train"] for key in file.keys]
    assert len(keys) == 1
    known = Known(here.problem, here.inputs, here.split, trained=Trained().extended(keys, 1))

    s3.objects["bucket/shipped/a.csv"] = (content, datetime.now(UTC))
    there = Files(train="s3://bucket/shipped/*.csv", **given)
    with pytest.raises(NothingNewError, match="the one file of data.train was trained on by"):
        there.load(seed=0, known=known)

    s3.objects["bucket/shipped/b.csv"] = (content + b"\n99,1\n98,0", datetime.now(UTC))
    data = there.load(seed=0, known=known)
    assert "data: 1 new file of 2, 1 was trained on by version 1" in data.notes
    (_, new) = data.files["train"]
    assert len(new.keys) == 2, "its bytes, and what the store says of them"
    later = Trained().extended([new.keys[0]], 2)
    assert later.version_of(new.keys) == 2


@pytest.mark.parametrize("size", [0, 5, (8 << 20) + 1, 20 << 20])
def test_objects_of_any_size(s3: FakeS3, size: int) -> None:
    data = os.urandom(size)
    s3.objects["bucket/large"] = (data, datetime.now(UTC))
    assert bytes(read("s3://bucket/large")) == data


def test_the_fingerprint_reads_no_object_and_lists_once(s3: FakeS3, workdir: Path) -> None:
    first = fingerprint(["s3://bucket/at/new/*.csv"], workdir)
    assert len(s3.requests) == 1
    assert fingerprint(["s3://bucket/at/new/*.csv"], workdir) == first
    s3.objects["bucket/at/new/b.csv"] = (CSV + b"3,1\n", datetime.now(UTC))
    assert fingerprint(["s3://bucket/at/new/*.csv"], workdir) != first


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("s3://bucket/at/new/x.csv", "data.train=s3://bucket/at/new/x.csv: no such object"),
        (
            "s3://bucket/at/new/*.parquet",
            "data.train=s3://bucket/at/new/*.parquet: no object matches",
        ),
        ("s4://bucket/a.csv", "data.train=s4://bucket/a.csv: "),
    ],
)
def test_messages(s3: FakeS3, pattern: str, text: str) -> None:
    with pytest.raises(DataError) as caught:
        expand(pattern, "data.train")
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)


def test_a_store_that_refuses(s3: FakeS3) -> None:
    s3.fault = lambda method, key, headers: 403
    with pytest.raises(
        DataError,
        match="^data.train=s3://bucket/at/new/a.csv: .*; check the URL, the credentials and",
    ):
        expand("s3://bucket/at/new/a.csv", "data.train")
