"""A job's submissions, as its folder has them."""

import os
import time
from pathlib import Path

import pytest

from renate.launchers.remote.job_folder import JobFolder


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    """Of a job that was submitted three times."""
    folder = JobFolder(str(tmp_path / "jobs" / "a"))
    for number, name in enumerate(("one", "two", "three"), 1):
        folder.claim(number, name)
    return folder


def test_the_last_is_known_by_its_number(folder: JobFolder) -> None:
    """A rule that expires old objects takes earlier ones away; the next number is free."""
    Path(folder.url, "attempts", "0001.json").unlink()
    Path(folder.url, "attempts", "notes.txt").write_text("mine")
    last = folder.last()
    assert last is not None
    assert (last.number, last.name) == (3, "three")
    folder.claim(last.number + 1, "four")


def test_a_clock_that_is_behind_the_stores(folder: JobFolder) -> None:
    """A submission is never younger than new: an hour would be waited for otherwise."""
    ahead = time.time() + 3600
    os.utime(Path(folder.url, "attempts", "0003.json"), (ahead, ahead))
    last = folder.last()
    assert last is not None
    assert last.seconds == 0
