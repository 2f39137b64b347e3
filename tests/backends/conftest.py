"""The services on loopback, once per test run, and an environment that points at them."""

import importlib.util
import os
from collections.abc import Iterator
from datetime import timedelta

import pytest

from renate.objects import connect

from .services.faults import Proxy, proxy
from .services.isolation import why_not
from .services.start import BUCKET, REGION, Services, bucket_at, server
from .services.start import services as started

NEEDED = ("boto3", "moto", "flask", "flask_cors")


def need_moto() -> None:
    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'moto[s3,sts,iam]' flask flask-cors")


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of an S3 with one bucket in it, for what needs no containers."""
    need_moto()
    with server("s3") as address:
        bucket_at(address)
        yield address


@pytest.fixture
def s3(moto: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The same behind a proxy that fails as ordered, and an environment that points there; retries don't wait long."""
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
            "AWS_EC2_METADATA_DISABLED": "true",  # no look for an instance's role: nothing leaves this machine
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
    elsewhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "no_proxy": "127.0.0.1"}
    for name, value in (services.environment | elsewhere).items():
        monkeypatch.setenv(name, value)
    yield services
    services.reset()
