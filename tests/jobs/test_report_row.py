"""What a job has measured, as the lines of `metrics.jsonl` hold it."""

import json
from pathlib import Path
from typing import Any

import pytest

from renate.errors import JobError
from renate.jobs.directory import JobDirectory

# As the release before wrote them.
ROW: dict[str, Any] = {"time": 1.5, "epoch": 1, "step": 10, "val_accuracy": 0.5, "loss": None}
OF_A_STREAM: dict[str, Any] = {"time": 2, "update": "update 2/5", "epoch": 2, "step": 20}


def written(folder: Path, *rows: Any) -> JobDirectory:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metrics.jsonl").write_text(text)
    return JobDirectory(folder)


def test_rows_of_an_earlier_release_are_written_as_they_were_read(tmp_path: Path) -> None:
    directory = written(tmp_path, ROW, OF_A_STREAM)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    directory.recall(directory.reports())
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_what_a_job_reports_is_what_is_read(tmp_path: Path) -> None:
    directory = JobDirectory(tmp_path)
    directory.report(update="update 1/2", epoch=3, step=30, loss=float("nan"))
    (row,) = directory.reports()
    assert (row.update, row.epoch, row.step) == ("update 1/2", 3, 30)
    assert row.metrics == {"epoch": 3, "step": 30, "loss": None}


def test_an_interrupted_epoch_is_forgotten_of_its_own_update_only(tmp_path: Path) -> None:
    directory = written(tmp_path, ROW, ROW | {"epoch": 2}, OF_A_STREAM | {"epoch": 9})
    directory.forget("", after=1)
    assert [row.epoch for row in directory.reports()] == [1, 9]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"epoch": 1}, "lacks the key 'step'"),
        ({"step": 1}, "lacks the key 'epoch'"),
        (ROW | {"step": "10"}, "step is 10, expected 0 to"),
        (ROW | {"epoch": None}, "epoch is None, expected 0 to"),
        (ROW | {"step": 10.5}, "step is 10.5, expected 0 to"),
        (ROW | {"loss": [1]}, r"loss is \[1\], expected a number, a text or null"),
        (ROW | {"update": 2}, "update is 2, expected a text"),
        (ROW | {"time": "now"}, "time is now, expected a finite number"),
    ],
)
def test_a_row_of_another_kind_is_named_by_file_line_and_key(
    row: dict[str, Any], named: str, tmp_path: Path
) -> None:
    directory = written(tmp_path, ROW, row)
    with pytest.raises(JobError, match=named) as error:
        directory.reports()

    assert f"{tmp_path / 'metrics.jsonl'}, line 2: " in str(error.value)
    assert "\n" not in str(error.value)
