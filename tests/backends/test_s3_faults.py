"""Publishing to S3 while it fails: every request once by every fault, rivals, an outage,
credentials that end.
"""

import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from renate.errors import ConflictError, RenateError, StateError
from renate.object_store import credentials
from renate.state.publish import candidates, publish, stage
from renate.state.versions import State
from tests.state.scenes import read_all

from .services.faults import Proxy, Rule
from .services.start import server

FAULTS = {
    "500": Rule("status", status=500, code="InternalError"),
    "503": Rule("status", status=503, code="SlowDown"),
    "409": Rule("status", status=409, code="OperationAborted"),
    "403": Rule("status", status=403, code="AccessDenied"),
    "dropped": Rule("drop"),
    "lost reply": Rule("lose_reply"),
    "stalled": Rule("stall", seconds=0.5),
    "cut download": Rule("cut"),
    "cut upload": Rule("cut_upload"),
}
# Whom a single such fault never stops: the request is made again, by obstore or by us.
SURVIVED = {"500", "503", "dropped", "stalled", "lost reply"}
LARGE = b"large" * (9 << 18)  # goes up in two parts


def content(number: int, *, large: bool) -> list[tuple[str, bytes | None]]:
    files: list[tuple[str, bytes | None]] = [
        ("a", b"%d" % number * 100),
        ("kept", None if number else b"kept"),
    ]
    return [*files, ("large", b"%d" % number + LARGE)] if large else files


def update(state: State, number: int, *, large: bool) -> None:
    """What a job does with the state: read the newest, stage, publish."""
    newest = state.newest()
    if newest:
        state.read(newest, "a")
    parent = (state, newest) if newest else None
    stage(state, content(number, large=large), job=f"job-{number}", parent=parent, lineage={})
    publish(state, f"job-{number}")


def recover(state: State, number: int, *, large: bool) -> None:
    """What a user does after a failure: publish the candidate if there is one, else run the job
    again.
    """
    if f"job-{number}" in [candidate.job for candidate in candidates(state)]:
        publish(state, f"job-{number}")
    elif number + 1 not in state.versions():
        update(state, number, large=large)


def check(state: State, number: int, *, large: bool) -> None:
    manifest = state.manifest(number + 1)
    assert manifest.job == f"job-{number}"
    found = read_all(state, manifest)
    meant = dict(content(number, large=large))
    assert found == {name: b"kept" if data is None else data for name, data in meant.items()}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_every_request_of_an_update_fails_once(
    s3: Proxy, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv("AWS_TIMEOUT", "300ms")
    rule = FAULTS[fault]
    state = State(f"s3://renate-demo/faults/{fault.replace(' ', '-')}")
    s3.order()
    update(state, 0, large=False)
    number = hits = 0
    lines: list[str] = []
    while True:
        number += 1
        s3.order(
            Rule(rule.action, nth=number, status=rule.status, code=rule.code, seconds=rule.seconds)
        )
        try:
            update(state, number, large=False)
        except RenateError as error:
            lines.append(str(error))
        done = len(s3.log) < number  # there was no request of this number
        s3.order()
        assert state.verify().version in (number, number + 1)
        recover(state, number, large=False)
        check(state, number, large=False)
        if done:
            break
        hits += 1
    assert hits >= 10
    assert [state.verify(version).version for version in state.versions()] == list(
        range(1, number + 2)
    )
    assert candidates(state) == []
    assert not [line for line in lines if "\n" in line or not line.startswith(f"{state.url}: ")]
    if fault in SURVIVED:
        assert lines == []
    elif fault == "403":
        assert len(lines) == hits - 1  # who may not delete may publish


@pytest.mark.parametrize("action", ["drop", "lose_reply", "cut", "cut_upload"])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "uploads"), ("PUT", "partNumber"), ("POST", "uploadId")]
)
def test_uploads_in_parts(s3: Proxy, action: str, method: str, path: str) -> None:
    """Each kind of request of a multipart upload; also a reply that can't be read to its end is
    asked for again.
    """
    state = State(f"s3://renate-demo/parts/{action}-{method}-{path}")
    s3.order(Rule(action, method, path))
    update(state, 0, large=True)
    assert [each["action"] for each in s3.log].count(action) == 1
    check(state, 0, large=True)


def test_a_download_in_parts_that_is_cut(s3: Proxy) -> None:
    state = State("s3://renate-demo/parts/download")
    update(state, 0, large=True)
    for nth in (1, 2):
        s3.order(Rule("cut", "GET", "/blobs/", nth=nth))
        check(state, 0, large=True)


def test_the_commit_is_one_plain_put(s3: Proxy) -> None:
    state = State("s3://renate-demo/plain")
    stage(state, content(0, large=True), job="job-0", parent=None, lineage={})
    s3.order()
    publish(state, "job-0")
    puts = [each for each in s3.log if each["method"] == "PUT"]
    assert [each["path"] for each in puts] == ["/renate-demo/plain/versions/00000001.json"]


def test_only_what_changed_is_uploaded(s3: Proxy) -> None:
    state = State("s3://renate-demo/changed")
    update(state, 0, large=True)
    newest = state.manifest()
    files = [(name, None) for name in newest.files if name != "a"]
    s3.order()
    stage(
        state,
        [*files, ("a", b"new"), ("same", LARGE)],
        job="job-1",
        parent=(state, newest),
        lineage={},
    )
    publish(state, "job-1")
    sent = sum(each["in"] for each in s3.log if "/blobs/" in each["path"])
    assert 3 + len(LARGE) <= sent < 1.01 * len(LARGE)  # "same" isn't: it lacks the digit


def test_publishers_at_once(s3: Proxy) -> None:
    """Six publishers, four rounds: one wins each, the others are told who and keep what they
    have.
    """
    url = "s3://renate-demo/rivals"
    for number in range(4):
        outcomes: dict[str, int | str] = {}
        barrier = threading.Barrier(6)

        def compete(
            job: str,
            barrier: threading.Barrier = barrier,
            outcomes: dict[str, int | str] = outcomes,
        ) -> None:
            state = State(url)
            newest = state.newest()
            parent = (state, newest) if newest else None
            stage(state, [("who", job.encode())], job=job, parent=parent, lineage={})
            barrier.wait(30)
            try:
                outcomes[job] = publish(state, job).base + 1
            except ConflictError as error:
                outcomes[job] = str(error)

        threads = [threading.Thread(target=compete, args=(f"p{number}-{i}",)) for i in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        state = State(url)
        (winner,) = [job for job, outcome in outcomes.items() if outcome == number + 1]
        losers = {job: outcome for job, outcome in outcomes.items() if job != winner}
        assert len(losers) == 5
        assert all(f"was published by job '{winner}'" in str(text) for text in losers.values())
        assert losers.keys() <= {candidate.job for candidate in candidates(state)}
        assert bytes(state.read(state.manifest(), "who")) == winner.encode()


@pytest.mark.parametrize("at", [1, 4, 6, 10])
def test_an_outage_in_the_middle(
    moto: str, s3: Proxy, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """What answers for S3 is killed at some call, and started again at the same address; the
    update waits for it.
    """
    monkeypatch.setattr("renate.object_store.connect.LONGEST_WAIT", timedelta(milliseconds=200))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "100")
    with ExitStack() as first:
        address = first.enter_context(server("faults", moto))
        over = threading.Event()
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        state = State(f"s3://renate-demo/outage/{at}")
        update(state, 0, large=False)
        ask = state.store._ask
        calls = 0

        def start_again() -> None:  # a server dies with the thread that started it
            with server("faults", moto, "--port", address.rpartition(":")[2]):
                over.wait(60)

        second = threading.Thread(target=start_again)

        def counted(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == at:
                first.close()  # SIGKILL
                second.start()
            return ask(*args)

        monkeypatch.setattr(state.store, "_ask", counted)
        try:
            update(state, 1, large=False)
            assert calls >= 10
            check(state, 1, large=False)
        finally:
            over.set()
            second.join()


PROCESS = """
import json, pathlib
count = pathlib.Path(__file__).with_name("count")
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
print(json.dumps({"Version": 1, "AccessKeyId": f"KEY{number}", "SecretAccessKey": "s", "SessionToken": "t"%s}))
"""


@pytest.fixture
def process(s3: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile with region, endpoint, and credentials of a script, which counts its runs in a
    file beside it.
    """
    config = tmp_path / "config"
    script = tmp_path / "process.py"
    place = f"region = us-west-2\nendpoint_url = {s3.url}"
    config.write_text(f"[profile asks]\n{place}\ncredential_process = {sys.executable} {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "asks")
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
    ):
        monkeypatch.delenv(name)
    return script


def test_credentials_that_end_are_renewed_before(
    s3: Proxy, process: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3 says when they end: obstore asks again in time, and no request is refused."""
    # Asked again after 0.2 s
    monkeypatch.setattr(credentials, "TTL", timedelta(minutes=5, seconds=0.2))
    soon = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    process.write_text(PROCESS % f', "Expiration": "{soon}"')
    state = State("s3://renate-demo/ends/known")
    s3.order(Rule("stall", seconds=0.5, nth=4))
    update(state, 0, large=False)
    check(state, 0, large=False)
    assert int(process.with_name("count").read_text()) >= 2


def test_credentials_that_ended_are_asked_for_again(s3: Proxy, process: Path) -> None:
    """Nobody said when they end; the user has logged in again meanwhile."""
    process.write_text(PROCESS % "")
    state = State("s3://renate-demo/ends/renewed")
    s3.order(Rule("status", nth=4, status=400, code="ExpiredToken"))
    update(state, 0, large=False)
    check(state, 0, large=False)
    assert process.with_name("count").read_text() == "2"


def test_credentials_that_end_for_good(s3: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each request: the line, and the rerun goes on."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "old")
    state = State("s3://renate-demo/ends/for-good")
    update(state, 0, large=False)
    lines = []
    for number in range(1, 12):
        s3.order(Rule("status", nth=number, times=-1, status=400, code="ExpiredToken"))
        try:
            update(state, number, large=False)
        except StateError as error:
            lines.append(str(error))
        s3.order()
        recover(state, number, large=False)
        check(state, number, large=False)
    assert set(lines) == {f"{state.url}: AWS credentials expired; log in and rerun, it continues"}
    assert len(lines) == 11
