"""Each refusal of S3 and of the credentials gives its one line, for states and for data."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from renate.data.fingerprint import expand
from renate.data.tables.remote import read
from renate.errors import DataError, RenateError, StateError
from renate.state.gc import gc
from renate.state.publish import candidates, publish
from renate.state.versions import State
from tests.command import RENATE
from tests.state.scenes import stage_next

from .services.faults import Proxy, Rule

URL = "s3://renate-demo/errors"
EXPIRED = "AWS credentials expired; log in and rerun, it continues"
ELSEWHERE = "bucket renate-demo is in {}, not in us-west-2: set AWS_DEFAULT_REGION"
WRONG = (
    "The authorization header is malformed; the region 'us-west-2' is wrong; expecting 'eu-west-1'"
)
DENIED = (
    "User: arn:aws:iam::123456789012:user/x is not authorized to perform: s3:ListBucket on "
    "resource: …"
)
CASES = {
    (
        404,
        "NoSuchBucket",
        "",
    ): "no bucket renate-demo in region us-west-2: check the URL and AWS_DEFAULT_REGION",
    (403, "AccessDenied", "Access Denied"): "may not s3:ListBucket on renate-demo/errors/versions/",
    (
        403,
        "AccessDenied",
        DENIED,
    ): f"may not s3:ListBucket on renate-demo/errors/versions/: {DENIED}",
    (
        403,
        "InvalidAccessKeyId",
        "",
    ): "AWS knows no such access key: check AWS_ACCESS_KEY_ID or the profile",
    (403, "SignatureDoesNotMatch", ""): (
        "not the secret of this access key: check AWS_SECRET_ACCESS_KEY or the profile"
    ),
    (
        400,
        "InvalidToken",
        "",
    ): "not a session token of this access key: check AWS_SESSION_TOKEN or the profile",
    (
        403,
        "RequestTimeTooSkewed",
        "",
    ): "this machine's clock is wrong: set it and rerun, it continues",
    (400, "ExpiredToken", "The provided token has expired."): EXPIRED,
    (400, "ExpiredTokenException", ""): EXPIRED,
    (400, "AuthorizationHeaderMalformed", WRONG): ELSEWHERE.format("eu-west-1"),
    (301, "PermanentRedirect", ""): ELSEWHERE.format("another region"),
    (
        503,
        "SlowDown",
        "",
    ): "PROXY answered 503 Service Unavailable after 10 retries: rerun later, it continues",
    (
        500,
        "InternalError",
        "",
    ): "PROXY answered 500 Internal Server Error after 10 retries: rerun later, it continues",
    (418, "Odd", "text"): (
        "can't list versions/: Server returned non-2xx status code: 418 I'm a teapot: "
        '<?xml version="1.0" encoding="UTF-8"?><Error><Code>Odd</Code><Message>text</Message></Error>'
        "; check the URL, the credentials and the region"
    ),
}


def refused(function: Callable[[], object]) -> str:
    with pytest.raises(RenateError) as caught:
        function()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case[1]}{'-said' * (case[2] == DENIED)}"
)
def test_what_s3_answers(s3: Proxy, case: tuple[int, str, str]) -> None:
    status, code, message = case
    s3.order(Rule("status", times=-1, status=status, code=code, message=message))
    assert refused(State(URL).newest) == f"{URL}: {CASES[case].replace('PROXY', s3.url)}"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            Rule("drop", times=-1),
            "no connection to PROXY after 10 retries|the connection to PROXY broke after 10 ret",
        ),
        (
            Rule("stall", times=-1, seconds=0.5),
            "PROXY didn't answer in time after 2 retries: rerun, it continues",
        ),
    ],
    ids=lambda value: value.action if isinstance(value, Rule) else "",
)
def test_no_answer(s3: Proxy, monkeypatch: pytest.MonkeyPatch, rule: Rule, text: str) -> None:
    monkeypatch.setenv("AWS_TIMEOUT", "200ms")
    if rule.action == "stall":
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    s3.order(rule)
    assert any(
        part.replace("PROXY", s3.url) in refused(State(URL).newest) for part in text.split("|")
    )


def test_nobody_there(s3: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert refused(State(URL).newest) == (
        f"{URL}: no connection to http://127.0.0.1:9 after 10 retries: check the network and "
        "AWS_ENDPOINT_URL, "
        "rerun, it continues"
    )


@pytest.mark.parametrize(
    ("path", "method", "action", "act"),
    [
        ("/blobs/", "PUT", "PutObject", lambda s: stage_next(s, "other", a=b"0")),
        ("/pins/", "PUT", "PutObject", lambda s: stage_next(s, "other", a=b"0")),
        ("/versions/", "PUT", "PutObject", lambda s: publish(s, "j")),
        ("/pins/", "GET", "GetObject", lambda s: publish(s, "j")),
        ("delete", "POST", "DeleteObject", lambda s: gc(s, keep=1, grace=0)),
    ],
)
def test_the_action_that_is_missing(
    s3: Proxy, path: str, method: str, action: str, act: Callable[[State], object]
) -> None:
    state = State(f"{URL}/{path.strip('/')}-{method}")
    stage_next(state, "j", a=b"1")
    s3.order(Rule("status", method, path, times=-1, status=403, code="AccessDenied"))
    if method == "POST":
        state.store.put("blobs/orphan", b"x")
    text = refused(lambda: act(state))
    assert text.startswith(
        f"{state.url}: may not s3:{action} on {state.url.removeprefix('s3://')}/"
    )
    s3.order()
    assert publish(state, "j").version == 1  # nothing was lost


def test_a_conflict_on_create_that_leaves_nothing_is_tried_again(s3: Proxy) -> None:
    state = State(f"{URL}/conflict")
    stage_next(state, "j", a=b"1")
    s3.order(
        Rule("status", "PUT", "/versions/", times=2, status=409, code="ConditionalRequestConflict")
    )
    assert publish(state, "j").version == 1
    assert [each["status"] for each in s3.log if each["method"] == "PUT"] == [409, 409, 200]


def test_a_conflict_for_ever(s3: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("renate.state.publish.time.sleep", lambda seconds: None)
    state = State(f"{URL}/conflict-2")
    candidate = stage_next(state, "j", a=b"1")
    s3.order(
        Rule("status", "PUT", "/versions/", times=-1, status=409, code="ConditionalRequestConflict")
    )
    text = "can't create version 1 though there is none; publish 'j' later"
    assert refused(lambda: publish(state, "j")) == f"{state.url}: {text}"
    s3.order()
    assert candidates(state) == [candidate]


def test_a_conflict_elsewhere_is_an_error(s3: Proxy) -> None:
    s3.order(Rule("status", "GET", times=-1, status=409, code="OperationAborted"))
    assert "409 Conflict" in refused(lambda: State(URL).find(1))


DATA = {
    "NoSuchBucket": (
        404,
        "no bucket renate-demo in region us-west-2: check the URL and AWS_DEFAULT_REGION",
    ),
    "AccessDenied": (403, "may not s3:GetObject on renate-demo/new/a.csv"),
    "ExpiredToken": (400, EXPIRED),
}


@pytest.mark.parametrize("code", DATA)
@pytest.mark.parametrize("pattern", ["new/a.csv", "new/*.csv"])
def test_data(s3: Proxy, code: str, pattern: str) -> None:
    """HEAD is answered without a body, so the reason comes from elsewhere."""
    status, text = DATA[code]
    s3.order(Rule("status", times=-1, status=status, code=code, message=""))
    if "*" in pattern:
        text = text.replace(
            "GetObject on renate-demo/new/a.csv", "ListBucket on renate-demo/new/*.csv"
        )
    url = f"s3://renate-demo/{pattern}"
    assert refused(lambda: expand(url, "data.train")) == f"data.train={url}: {text}"
    assert refused(lambda: read("s3://renate-demo/new/a.csv")).startswith(
        "s3://renate-demo/new/a.csv: "
    )


def test_no_such_object(s3: Proxy) -> None:
    with pytest.raises(DataError, match=r"^data.train=s3://renate-demo/new/b.csv: no such object$"):
        expand("s3://renate-demo/new/b.csv", "data.train")


def test_an_endpoint_without_tls(s3: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    assert State(f"{URL}/http").newest() is None  # whoever names http:// means it
    monkeypatch.setenv("AWS_ALLOW_HTTP", "false")
    with pytest.raises(StateError) as caught:
        State(URL).newest()
    text = (
        f"{URL}: AWS_ALLOW_HTTP=false, but the endpoint is {s3.url}: use https://, or take it away"
    )
    assert str(caught.value) == text


def test_the_command_says_it_before_anything_is_trained(s3: Proxy, workdir: Path) -> None:
    command = [*RENATE, "state.url=s3://nothing-here/state", "state.first=true"]
    done = subprocess.run(command, cwd=workdir, capture_output=True, text=True)
    text = (
        "renate: s3://nothing-here/state: no bucket nothing-here in region us-west-2: check the "
        "URL and AWS_DEFAULT"
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(text)
    assert not (workdir / "runs").exists() or not list((workdir / "runs").glob("*/result.json"))
