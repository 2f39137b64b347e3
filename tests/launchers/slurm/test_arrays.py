"""Jobs that are submitted at once become one array, and each task is known as its own job."""

import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from renate.jobs.directory import JobDirectory
from renate.jobs.records import JobRecord
from renate.launchers.slurm import arrays, scheduler, submitted
from renate.launchers.slurm.arrays import BatchJob, Gathering, write_array
from renate.launchers.slurm.scheduler import SlurmError, SlurmJob

SQUEUE = """#!/bin/bash
cat {folder}/queue
"""
SCONTROL = """#!/bin/bash
[ "$3" = 7_1 ] || {{ echo "Job $3 not found"; exit 1; }}
echo "JobId=8 ArrayJobId=7 ArrayTaskId=1 JobName=renate-array-x JobState=RUNNING Reason=None Restarts=2"
"""


def jobs(folder: Path, count: int) -> list[BatchJob]:
    found = []
    for number in range(count):
        place = folder / "machines" / f"renate-{number}"
        (place / "channel").mkdir(parents=True)
        record = JobRecord(f"job-{number}", "r", [], str(folder), 0.0)
        (place / "channel" / "job.json").write_text(json.dumps(record.to_json()))
        found.append(BatchJob(place.name, f"job-{number}", place))
    return found


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cluster that knows an array of two of our jobs, and a job of another's."""
    for name, text in {"squeue": SQUEUE, "scontrol": SCONTROL}.items():
        (tmp_path / name).write_text(text.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    queue = [f"7_{n}|renate-array-x|RUNNING|now|None|renate-array {tmp_path}" for n in (1, 0)]
    queue += [
        f"6|renate-9|PENDING|then|Resources|renate job-9 {tmp_path}",
        "5|theirs|RUNNING|then|None|(null)",
    ]
    (tmp_path / "queue").write_text("\n".join(queue) + "\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    write_array(tmp_path / "machines" / "renate-array-x", jobs(tmp_path, 2))
    return tmp_path


def test_what_comes_at_once_is_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each hears of its own number, and what comes later is another call."""
    monkeypatch.setattr(arrays, "PAUSE", 0.05)
    calls: list[list[str]] = []
    together = threading.Barrier(4)

    def submit(given: Sequence[BatchJob]) -> list[str]:
        calls.append([job.name for job in given])
        return [f"{len(calls)}_{job.name}" for job in given]

    gathering = Gathering(submit, 8)

    def add(job: BatchJob) -> str:
        together.wait()
        return gathering.add(job)

    given = jobs(tmp_path, 5)
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(add, given[:4]))
    numbers.append(gathering.add(given[4]))
    assert sorted(calls[0]) == [f"renate-{n}" for n in range(4)]
    assert calls[1:] == [["renate-4"]]
    assert numbers == [*(f"1_renate-{n}" for n in range(4)), "2_renate-4"]


def test_no_more_than_an_array_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "PAUSE", 30.0)  # a full one waits for nobody
    sizes: list[int] = []

    def submit(given: Sequence[BatchJob]) -> list[str]:
        sizes.append(len(given))
        return [job.name for job in given]

    gathering = Gathering(submit, 2)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(gathering.add, jobs(tmp_path, 4))) == [f"renate-{n}" for n in range(4)]
    assert sizes == [2, 2]


def test_a_refusal_is_each_jobs_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "PAUSE", 0.05)

    def submit(given: Sequence[BatchJob]) -> list[str]:
        raise SlurmError("sbatch: no such partition")

    gathering = Gathering(submit, 8)
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(gathering.add, job) for job in jobs(tmp_path, 2)]:
            with pytest.raises(SlurmError, match="no such partition"):
                future.result()


def test_a_task_is_listed_as_its_own_job(asked: Path) -> None:
    base = str(asked)
    found = [(job.id, job.name, job.place) for job in submitted.known()]
    assert found == [
        ("7_1", "renate-1", ("job-1", base)),
        ("7_0", "renate-0", ("job-0", base)),
        ("6", "renate-9", ("job-9", base)),
    ]
    assert submitted.find("job-1").id == submitted.find("7_1").id == "7_1"
    assert submitted.find("latest").name == "renate-1"


def test_a_task_is_asked_for_by_its_number_or_found_without(asked: Path) -> None:
    """A command that was killed may not have written the number down."""
    found = submitted.job_of(str(asked), "renate-1")
    assert found is not None
    assert (found.id, found.alive) == ("7_1", True)
    (asked / "machines" / "renate-1" / "slurm_id").write_text("7_1")
    found = submitted.job_of(str(asked), "renate-1")
    assert found == SlurmJob("7_1", "renate-1", "RUNNING", "", 2)


def test_a_number_that_is_anothers_is_not_ours(asked: Path) -> None:
    """A cluster that was set up anew counts from 1 again."""
    (asked / "machines" / "renate-0" / "slurm_id").write_text("7_1")
    assert submitted.job_of(str(asked), "renate-0") is None
    (asked / "machines" / "renate-0" / "slurm_id").write_text("4_3")
    assert scheduler.job("4_3") is None
    assert submitted.job_of(str(asked), "renate-0") is None


def test_an_array_whose_folder_is_gone_is_nobodys(asked: Path) -> None:
    lost = replace(next(scheduler.jobs()), name="renate-array-gone")
    assert arrays.as_submission(lost) is None
    (asked / "machines" / "renate-1" / "channel" / "job.json").write_text("{")
    assert [job.name for job in submitted.known()] == ["renate-0", "renate-9"]
    assert JobDirectory(asked / "machines" / "renate-0" / "channel").record.id == "job-0"
