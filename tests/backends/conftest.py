"""The services on loopback, once per test run, and an environment that points at them."""

import importlib.util
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from .account import RECORD, VARIABLES, Account
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


@pytest.fixture(params=["loopback", pytest.param("aws", marks=pytest.mark.aws)])
def account(request: pytest.FixtureRequest, workdir: Path) -> Iterator[Account]:
    """A place for jobs; `aws` is whatever the environment's credentials and endpoints say."""
    if request.param == "loopback":
        running = request.getfixturevalue("aws")
        yield Account(running.role, f"s3://{running.bucket}/{secrets.token_hex(4)}", workdir, 120, real=False)
        return
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not set: no account to run on")
    role, bucket = (os.environ[name] for name in VARIABLES)
    yield Account(role, f"s3://{bucket}/renate-tests/{secrets.token_hex(4)}", workdir, 1800, real=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What ran on an account, to be kept with the code that it ran with."""
    if RECORD:
        terminalreporter.section("training jobs")
    for line in RECORD:
        terminalreporter.write_line(line)
