"""What SLURM answers."""

import pytest

from renate.launchers.slurm import scheduler


def test_jobs_of_others_hide_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name or a comment may hold what divides fields, and lines."""
    said = (
        "7|mine|with|bars|RUNNING|2026-11-28T05:00:00|x\n"
        "6|other|RUNNING|2026-11-28T05:00:00|two\n"
        "lines\n"
        "5|renate-1|RUNNING|2026-11-28T05:00:00|renate abc /a folder|b\n"
    )
    monkeypatch.setattr(scheduler, "_asked", lambda *words: said)
    (found,) = scheduler.jobs()
    assert (found.id, found.name, found.place) == ("5", "renate-1", ("abc", "/a folder|b"))
