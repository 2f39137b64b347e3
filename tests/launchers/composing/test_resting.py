"""A grid's jobs wait as bytes, and are what they were."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ReadonlyConfigError

from renate.launchers.base import ComposedJob
from renate.launchers.composing import launcher as composing
from renate.launchers.composing.session import opened


@pytest.fixture
def jobs(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> list[ComposedJob]:
    """Two of a grid that counts as large."""
    monkeypatch.setattr(composing, "FEW", 1)
    with opened(["seed=3,4"]) as (launcher, _, _):
        return launcher.batch([["seed=3"], ["seed=4"]])


def test_what_waits_is_small_and_as_it_was(jobs: list[ComposedJob], workdir: Path) -> None:
    with opened(["seed=4"]) as (launcher, _, _):
        lone = launcher.batch([["seed=4"]])[0]
    assert not lone.packed
    assert all(0 < len(job.packed) < 30_000 and "config" not in vars(job) for job in jobs)
    assert [job.config.seed for job in jobs] == [3, 4]
    plain = [OmegaConf.to_container(job.config, resolve=False) for job in (jobs[1], lone)]
    assert plain[0] == plain[1]
    assert jobs[1].id == lone.id


def test_a_change_that_would_be_lost_is_an_error(jobs: list[ComposedJob]) -> None:
    with pytest.raises(ReadonlyConfigError):
        jobs[0].config.seed = 7
    own = jobs[0].own_config()
    own.state.url = "elsewhere"
    assert own.state.url == "elsewhere"
    assert jobs[0].config.state.url is None
    jobs[0].config = own
    assert jobs[0].config.state.url == "elsewhere"


def test_a_job_without_a_config_says_so() -> None:
    job = ComposedJob.__new__(ComposedJob)
    with pytest.raises(AttributeError, match="no config"):
        _ = job.config
