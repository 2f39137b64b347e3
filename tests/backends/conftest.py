"""The services on loopback, once per test run, and an environment that points at them."""

import importlib.util
import os
from collections.abc import Iterator

import pytest

from .services.isolation import why_not
from .services.start import Services
from .services.start import services as started


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """S3 and SageMaker; skips where they can't run."""
    for package in ("boto3", "moto", "flask", "flask_cors"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'moto[s3,sts,iam]' flask flask-cors")
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
