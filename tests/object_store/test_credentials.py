"""Where credentials, region and endpoint come from; nothing here leaves this machine."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from renate.errors import StateError
from renate.object_store import credentials
from renate.state.versions import State

CONFIG = """
[default]
region = eu-west-1
[profile team]
region = eu-central-1
endpoint_url = http://127.0.0.1:1/profile
aws_access_key_id = TEAM
aws_secret_access_key = secret
[profile served]
region = eu-north-1
services = ours
[services ours]
s3 =
  endpoint_url = http://127.0.0.1:1/service
[profile plain]
endpoint_url = http://127.0.0.1:1/profile
ignore_configured_endpoint_urls = true
[profile asks]
credential_process = PYTHON SCRIPT
"""
KEYS = {"AWS_ACCESS_KEY_ID": "ours", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials but those of a test, and no look for the role of an instance."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / ".aws" / "config"
    path.parent.mkdir()
    path.write_text(
        CONFIG.replace("PYTHON", sys.executable).replace("SCRIPT", str(tmp_path / "process.py"))
    )
    return path


def given(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, object]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return credentials.options()


def key_of(options: dict[str, object]) -> str:
    provider: Callable[[], dict[str, str]] = options["credential_provider"]  # type: ignore[assignment]
    return provider()["access_key_id"]


def test_keys_in_the_environment_need_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert given(monkeypatch, **KEYS) == {}
    assert credentials.region() == "us-east-1"


def test_keys_and_region_are_not_looked_up(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert given(monkeypatch, **KEYS, AWS_REGION="us-west-2") == {}


def test_keys_without_a_region_take_that_of_the_profile(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert given(monkeypatch, **KEYS) == {"config": {"region": "eu-west-1"}}
    assert credentials.region() == "eu-west-1"


@pytest.mark.parametrize(
    ("profile", "place"),
    [
        ("team", {"region": "eu-central-1", "endpoint": "http://127.0.0.1:1/profile"}),
        ("served", {"region": "eu-north-1", "endpoint": "http://127.0.0.1:1/service"}),
        ("plain", {}),
    ],
)
def test_place_of_a_profile(
    config: Path, monkeypatch: pytest.MonkeyPatch, profile: str, place: dict[str, str]
) -> None:
    assert given(monkeypatch, **KEYS, AWS_PROFILE=profile) == {"config": place}


def test_a_profile(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = given(monkeypatch, AWS_PROFILE="team")
    assert key_of(options) == "TEAM"
    provider = options["credential_provider"]
    assert (provider.ttl, provider.config) == (timedelta(minutes=10), {})  # type: ignore[attr-defined]


def test_the_environment_comes_before_the_profile(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"AWS_REGION": "us-west-2", "AWS_ENDPOINT_URL": "http://127.0.0.1:1/env"}
    options = given(monkeypatch, AWS_PROFILE="team", **place)
    assert options["config"] == {"region": "us-west-2", "endpoint": "http://127.0.0.1:1/env"}


PROCESS = """
import json, pathlib
count = pathlib.Path(__file__).with_name("count")
number = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(number))
print(json.dumps({"Version": 1, "AccessKeyId": f"KEY{number}", "SecretAccessKey": "s", "SessionToken": "t",
                  "Expiration": "%s"}))
"""


@pytest.mark.parametrize(("minutes", "renewed"), [(60, False), (9, True)])
def test_what_expires_soon_is_renewed(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: int, renewed: bool
) -> None:
    end = datetime.now(UTC) + timedelta(minutes=minutes)
    (tmp_path / "process.py").write_text(PROCESS % end.isoformat())
    options = given(monkeypatch, AWS_PROFILE="asks")
    assert (key_of(options) != key_of(options)) == renewed


def test_the_role_of_a_container(monkeypatch: pytest.MonkeyPatch, container: str) -> None:
    options = given(monkeypatch, AWS_CONTAINER_CREDENTIALS_FULL_URI=container)
    assert key_of(options) == "CONTAINER"


@pytest.fixture
def container() -> Iterator[str]:
    """What a container's credentials come from."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            end = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
            keys = {
                "AccessKeyId": "CONTAINER",
                "SecretAccessKey": "s",
                "Token": "t",
                "Expiration": end,
            }
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(keys).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()
        thread.join()


def refusal() -> str:
    with pytest.raises(StateError) as caught:
        State("s3://bucket/state").newest()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nobody() -> None:
    assert refusal() == (
        "s3://bucket/state: no AWS credentials: log in (aws sso login, aws configure), set "
        "AWS_PROFILE, "
        "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )


def test_no_such_profile(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "taem")
    text = (
        "AWS_PROFILE=taem: no such profile, did you mean 'team'? (asks, default, plain, served, "
        "team)"
    )
    assert refusal() == f"s3://bucket/state: {text}"


def test_no_profile_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert refusal() == "s3://bucket/state: AWS_PROFILE=team: no such profile: there is none"


@pytest.mark.parametrize(
    "found", ["AWS_PROFILE=team", "~/.aws/config", "no AWS keys in the environment"]
)
def test_boto3_is_missing(config: Path, monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    if found.startswith("AWS_PROFILE"):
        monkeypatch.setenv("AWS_PROFILE", "team")
    elif found.startswith("no"):
        config.unlink()
        found += ": looking for others"
    assert refusal() == f"s3://bucket/state: {found} needs boto3: pip install 'renate-cl[s3]'"


@pytest.mark.parametrize("name", [*KEYS, *credentials.WITHOUT_BOTO3])
def test_what_needs_no_boto3(config: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert given(monkeypatch, **(KEYS if name in KEYS else {name: "/x"})) == {}


def test_a_login_that_is_over(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = (
        "[profile sso]\nsso_start_url = https://x.invalid\nsso_region = eu-west-1\nsso_account_id "
        "= 1\n"
    )
    config.write_text(f"{section}sso_role_name = r\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_PROFILE", "sso")
    assert refusal() == "s3://bucket/state: AWS credentials expired; log in and rerun, it continues"


def test_a_process_that_fails(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "process.py").write_text("raise SystemExit('ask again tomorrow')")
    monkeypatch.setenv("AWS_PROFILE", "asks")
    assert "ask again tomorrow" in refusal()


@pytest.mark.parametrize("attempts", ["0", "many"])
def test_attempts(monkeypatch: pytest.MonkeyPatch, attempts: str) -> None:
    given(monkeypatch, **KEYS, AWS_MAX_ATTEMPTS=attempts)
    assert (
        refusal()
        == f"s3://bucket/state: AWS_MAX_ATTEMPTS={attempts}: expected a number of 1 or more"
    )


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_opening_contacts_nobody(tmp_path: Path) -> None:
    code = (
        "from renate.object_store.connect import connect\nfrom renate.state.versions import State\n"
        "for url in ('s3://bucket/state', 'gs://bucket/state', 'az://container/state'):\n"
        "    print(State(url).url, connect(url).prefix)"
    )
    environment = os.environ | KEYS | {"AZURE_STORAGE_ACCOUNT_NAME": "account"}
    command = ["strace", "-f", "-e", "trace=connect", "-o", "calls", sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        *("s3://bucket/state", "state"),
        *("gs://bucket/state", "state"),
        *("az://container/state", "state"),
    ]
    assert "AF_INET" not in (tmp_path / "calls").read_text()


def test_azure_needs_an_account() -> None:
    with pytest.raises(
        StateError, match=r"^az://container/state: no account: set AZURE_STORAGE_ACCOUNT_NAME$"
    ):
        State("az://container/state").newest()


def test_plain_keys_and_local_states_import_no_boto3(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom renate.state.versions import State\nfrom renate.errors import "
        "StateError\n"
        f"State({str(tmp_path / 'state')!r}).newest()\n"
        "try: State('s3://bucket/state').newest()\nexcept StateError as error: print(error)\n"
        "print('boto3' in sys.modules)"
    )
    place = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    environment = os.environ | KEYS | place
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "s3://bucket/state: no connection to http://127.0.0.1:9: check the network"
    )
    assert lines[1] == "False"
