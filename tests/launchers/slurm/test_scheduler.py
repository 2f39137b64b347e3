"""What SLURM answers."""

from pathlib import Path

import pytest

from renate.launchers.slurm import scheduler
from renate.launchers.slurm.submitted import SlurmJobs, look_at


def test_jobs_of_others_hide_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name or a comment may hold what divides fields, and lines."""
    said = (
        "7|mine|with|bars|RUNNING|2026-11-28T05:00:00|None|x\n"
        "6|other|RUNNING|2026-11-28T05:00:00|None|two\n"
        "lines\n"
        "5|renate-1|RUNNING|2026-11-28T05:00:00|None|renate abc /a folder|b\n"
    )
    monkeypatch.setattr(scheduler, "_asked", lambda *words: said)
    (found,) = scheduler.jobs()
    assert (found.id, found.name, found.place) == ("5", "renate-1", ("abc", "/a folder|b"))
    assert found.reason == ""


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("Resources", "queued (Resources)"),
        ("QOSMaxJobsPerUserLimit", "queued (QOSMaxJobsPerUserLimit)"),
        (
            "PartitionTimeLimit",
            "queued (PartitionTimeLimit), and will be until somebody changes backend.time, above "
            "what its partition gives one job",
        ),
        (
            "QOSMaxWallDurationPerJobLimit",
            "queued (QOSMaxWallDurationPerJobLimit), and will be until somebody changes what it "
            "asks for, above a limit of its account or quality of service",
        ),
    ],
)
def test_a_wait_that_no_time_ends_is_said(
    reason: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = f"JobId=7 JobName=renate-1 JobState=PENDING Reason={reason} ExitCode=0:0"
    listed = f"7|renate-1|PENDING|now|{reason}|renate job-1 {tmp_path}\n"
    answers = {"scontrol": record, "squeue": listed}
    monkeypatch.setattr(scheduler, "_asked", lambda command, *words: answers[command])

    place = tmp_path / "machines" / "renate-1"
    place.mkdir(parents=True)
    (place / "slurm_id").write_text("7")
    found = look_at(str(tmp_path), "renate-1")
    assert found is not None
    assert (found.running, found.phase) == (True, told)
    assert SlurmJobs().rows(50)[0][2] == f"PENDING ({reason})"
