"""The services on loopback, once per test run, and an environment that points at them."""

import importlib.util
import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from renate.object_store import connect

from .account import RECORD, VARIABLES, Account
from .services.faults import Proxy, proxy
from .services.isolation import why_not
from .services.start import BUCKET, REGION, Services, bucket_at, server
from .services.start import services as started

NEEDED = ("boto3", "moto", "flask", "flask_cors")


def need_moto() -> None:
    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            pytest.skip(
                f"{package} is not installed: pip install 'moto[s3,sts,iam]' flask flask-cors"
            )


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of an S3 with one bucket in it, for what needs no containers."""
    need_moto()
    with server("s3") as address:
        bucket_at(address)
        yield address


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The same behind a proxy that fails as ordered, and an environment that points there;
    retries don't wait long.
    """
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(connect, "FIRST_WAIT", timedelta(milliseconds=5))
    monkeypatch.setattr(connect, "LONGEST_WAIT", timedelta(milliseconds=20))
    with proxy(moto) as running:
        settings = {
            "AWS_ENDPOINT_URL": running.url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            # No look for an instance's role: nothing leaves this machine
            "AWS_EC2_METADATA_DISABLED": "true",
            "RENATE_AWS_BUCKET": BUCKET,
            "no_proxy": "127.0.0.1",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """S3 and SageMaker; skips where they can't run."""
    need_moto()
    if reason := why_not():
        pytest.skip(f"no namespaces for containers here: {reason}")
    with started(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture
def aws(services: Services, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """The services as a user's shell finds them, with no job and no ordered fault."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    # Neither a profile of this machine nor a proxy may come between.
    elsewhere = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "no_proxy": "127.0.0.1",
    }
    for name, value in (services.environment | elsewhere).items():
        monkeypatch.setenv(name, value)
    yield services
    services.reset()


@pytest.fixture(params=["loopback", pytest.param("aws", marks=pytest.mark.aws)])
def account(request: pytest.FixtureRequest, workdir: Path) -> Iterator[Account]:
    """A place for jobs; `aws` is whatever the environment's credentials and endpoints say."""
    if request.param == "loopback":
        running = request.getfixturevalue("aws")
        yield Account(
            running.role, f"s3://{running.bucket}/{secrets.token_hex(4)}", workdir, 120, real=False
        )
        return
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not set: no account to run on")
    role, bucket = (os.environ[name] for name in VARIABLES)
    yield Account(
        role, f"s3://{bucket}/renate-tests/{secrets.token_hex(4)}", workdir, 1800, real=True
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What ran on an account, to be kept with the code that it ran with."""
    if RECORD:
        terminalreporter.section("training jobs")
    for line in RECORD:
        terminalreporter.write_line(line)
