"""A cluster that isn't there."""

import socket
from typing import Any

import pytest

from renate.errors import ConfigError, JobError
from renate.launchers.ray.cluster import connect
from renate.launchers.ray.submitted import RayJobs


@pytest.fixture
def nobody() -> str:
    """An address at which nothing listens."""
    with socket.socket() as once:
        once.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{once.getsockname()[1]}"


def test_what_named_the_cluster_is_named(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    with pytest.raises(ConfigError, match=rf"^backend.address=ray://{nobody}: no Ray cluster"):
        connect(f"ray://{nobody}")
    monkeypatch.setenv("RAY_ADDRESS", nobody)
    with pytest.raises(ConfigError, match=rf"^RAY_ADDRESS={nobody}: no Ray cluster answers"):
        connect("auto")


def test_where_nothing_runs_the_newest_is_not_its_own_neighbour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("renate.launchers.ray.submitted.every", lambda ray: iter(()))
    nothing: Any = None
    with pytest.raises(JobError, match=r"no job 'latest' of ours runs on this cluster; how one"):
        RayJobs(nothing).stop("latest")
