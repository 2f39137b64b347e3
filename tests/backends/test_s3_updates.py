"""Real updates whose data and states are in S3, and every `renate state` verb on such a URL."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import renate
from renate.cli import state as verbs
from renate.errors import RenateError
from renate.jobs.context import Job
from renate.jobs.directory import JobDirectory
from renate.jobs.records import JobRecord
from renate.state.publish import candidates, publish, stage
from renate.state.versions import State
from tests.command import RENATE
from tests.conftest import ROOT, write_table

from .services.faults import Proxy, Rule
from .services.start import REGION, client

QUICK = {"trainer.max_epochs": 2, "model.hidden_sizes": [8], "state.cache_dir": "./cache"}


def place(address: str, name: str, *, seed: int, folder: Path) -> str:
    """Put a table into the bucket; returns its URL."""
    path = write_table(folder / "table.parquet", seed=seed)
    s3 = client("s3", address)
    s3.put_object(Bucket="renate-demo", Key=name, Body=path.read_bytes())
    s3.close()
    return f"s3://renate-demo/{name}"


def blobs(s3: Proxy, method: str) -> int:
    return sum(each["method"] == method and "/blobs/" in each["path"] for each in s3.log)


@pytest.mark.slow
def test_data_and_state_in_s3(s3: Proxy, moto: str, workdir: Path) -> None:
    """Two weeks: the second finds only its own data new, reads the first's state, and uploads
    what changed.
    """
    url = "s3://renate-demo/weekly"
    test = place(moto, "held/test.parquet", seed=9, folder=workdir)
    common = QUICK | {"data": "files", "data.target": "label", "data.test": test, "state.url": url}
    place(moto, "week1/a.parquet", seed=1, folder=workdir)
    first = renate.run(
        common | {"data.train": "s3://renate-demo/week1/*.parquet", "state.first": True}
    )
    place(moto, "week2/a.parquet", seed=2, folder=workdir)
    s3.order()
    second = renate.run(common | {"data.train": "s3://renate-demo/week2/*.parquet"})
    assert (first.version, second.version) == (1, 2)
    assert second.metrics["test_accuracy"] > 0.8
    assert second.state_url == url
    state = State(url)
    parent = state.verify(1)
    newest = state.verify(2)
    assert newest.parent is not None
    assert newest.parent.sha256 == parent.sha256
    assert blobs(s3, "PUT") == len(
        {b.key for b in newest.files.values()} - {b.key for b in parent.files.values()}
    )
    assert renate.load_model(url).version == 2
    # What the second downloaded is kept: a third doesn't fetch it again.
    kept = {path.name for path in (workdir / "cache" / "blobs").iterdir()}
    assert {parent.files[name].sha256 for name in ("model.json", "model.safetensors")} <= kept


@pytest.mark.slow
def test_the_next_version_goes_elsewhere(s3: Proxy, workdir: Path) -> None:
    """From a local state to S3 and on to another prefix; each is complete by itself."""
    quick = QUICK | {"data.limit": 200, "trainer.max_epochs": 1}
    renate.run(quick | {"state.url": "./local", "state.first": True})
    there = "s3://renate-demo/next/there"
    renate.run(quick | {"state.url": "./local", "state.next_url": there, "seed": 1})
    renate.run(
        quick | {"state.url": there, "state.next_url": "s3://renate-demo/next/further", "seed": 2}
    )
    assert [
        State(url).versions() for url in ("./local", there, "s3://renate-demo/next/further")
    ] == [[1], [1], [1]]
    for url in (there, "s3://renate-demo/next/further"):
        assert State(url).verify().version == 1
    assert State("./local").verify().version == 1


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    capsys.readouterr()
    verbs.run(list(argv))
    return capsys.readouterr().out


@pytest.mark.slow
def test_every_verb(s3: Proxy, workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "s3://renate-demo/verbs"
    quick = QUICK | {"data.limit": 200, "trainer.max_epochs": 1, "state.url": url}
    renate.run(quick | {"state.first": True})
    renate.run(quick | {"seed": 1})
    s3.order(Rule("status", "PUT", "/versions/", status=403, code="AccessDenied"))
    with pytest.raises(
        RenateError, match=r"may not s3:PutObject on renate-demo/verbs/versions/00000003.json"
    ):
        renate.run(quick | {"seed": 2})
    (waiting,) = candidates(State(url))
    assert said(capsys, "ls", url).count("candidate") == 1
    assert "version    2 of s3://renate-demo/verbs" in said(capsys, "show", url)
    assert said(capsys, "publish", str(waiting.job)).strip() == f"version 3 of {url}"
    assert said(capsys, "pin", url, "live", "2").strip() == "live is version 2"
    assert (
        said(capsys, "rollback", url, "live").strip() == "version 4 has the content of version live"
    )
    assert said(capsys, "verify", url).count("as published") == 4
    assert said(capsys, "gc", url, "--keep", "1", "--grace-days", "0").startswith(
        "versions removed: 1, 3; "
    )
    assert State(url).versions() == [2, 4]
    assert said(capsys, "unpin", url, "live").strip() == "live is gone"
    assert said(capsys, "verify", url).count("as published") == 2


@pytest.mark.slow
def test_the_page_as_typed(s3: Proxy, moto: str, workdir: Path) -> None:
    """The commands of docs/how_to/s3.md, in a bucket of the name that it uses."""
    given = client("s3", moto)
    given.create_bucket(
        Bucket="my-bucket", CreateBucketConfiguration={"LocationConstraint": REGION}
    )

    def bring(week: str, seed: int) -> None:
        content = write_table(workdir / week, seed=seed).read_bytes()
        given.put_object(Bucket="my-bucket", Key=f"new/{week}.parquet", Body=content)

    (block,) = re.findall(
        r"```bash\n(.*?)```", (ROOT / "docs" / "how_to" / "s3.md").read_text(), re.DOTALL
    )
    first, *later = block.replace("renate ", f"{shlex.join(RENATE)} ").splitlines()
    home = os.environ | {"HOME": str(workdir)}  # where the cache is

    def run(script: str) -> str:
        done = subprocess.run(
            ["bash", "-e", "-c", script], cwd=workdir, env=home, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    bring("a", 1)
    run(first)
    bring("b", 2)
    printed = run("\n".join(later)).splitlines()
    given.close()
    assert printed[-2].startswith("version 1: ")
    assert printed[-1].startswith("version 2: ")
    assert list((workdir / ".cache" / "renate" / "blobs").iterdir())


def test_large_transfers_are_progress_of_the_job(s3: Proxy, workdir: Path) -> None:
    events: list[dict[str, object]] = []
    settings = {"state": {"cache_gb": 0, "cache_dir": None}}
    job = Job(
        settings,
        "",
        JobDirectory(workdir),
        JobRecord("j", "r", [], ".", 0.0),
        events.append,
        "update 2/5",
    )
    state = job.state("s3://renate-demo/large")
    stage(state, [("large", bytes(40 << 20))], job="j", parent=None, lineage={})
    state.read(publish(state, "j"), "large")
    assert {event["event"] for event in events} == {"progress"}
    for verb in ("uploading", "downloading"):
        texts = [str(event["text"]) for event in events if verb in str(event["text"])]
        assert texts[-1] == f"update 2/5 {verb} 42 of 42 MB"
