"""A sweep's folder that was copied while it was written: what can go on, and what was published."""

import json
from pathlib import Path
from typing import Any

import pytest

from renate.errors import JobError
from renate.state.publish import stage
from renate.state.versions import State
from renate.tuning.on_disk.sweep_folder import cut_to_what_is_there, trials_of

LOG = [
    {"ask": 0, "config": {"lr": "0.1"}, "source": "sampled"},
    {"ask": 1, "config": {"lr": "0.2"}, "source": "sampled"},
    {"end": 0, "status": "completed", "value": 0.5, "seconds": 1.0, "error": None},
    {"end": 1, "status": "completed", "value": 0.7, "seconds": 1.0, "error": None},
    {"ask": 2, "config": {"lr": "0.3"}, "source": "sampled"},
]


def sweep(folder: Path) -> Path:
    (folder / "sweep.json").write_text(json.dumps({"mode": "max", "others": {}}))
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in LOG))
    for trial in ("0", "1"):
        state = State(str(folder / trial / "candidate"))
        stage(state, [("model.json", trial.encode())], job=f"s-{trial}", parent=None, lineage={})
        (folder / trial / "result.json").write_text("{}")
    return folder


def statuses(folder: Path) -> list[str]:
    return [trial.status for trial in trials_of(folder)]


def test_a_whole_folder_stays_as_it_is(tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    before = (folder / "events.jsonl").read_bytes()
    cut_to_what_is_there(folder)
    assert (folder / "events.jsonl").read_bytes() == before
    cut_to_what_is_there(tmp_path / "none")


def test_a_log_that_is_ahead_of_the_best_outcome_is_cut(tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    (blob,) = (folder / "1/candidate/blobs").iterdir()
    blob.unlink()
    cut_to_what_is_there(folder)
    assert statuses(folder) == ["completed", "running"]
    assert not (folder / "1/result.json").exists(), "it runs again"
    assert (folder / "0/result.json").exists()
    (blob,) = (folder / "0/candidate/blobs").iterdir()
    blob.write_bytes(b"x")
    cut_to_what_is_there(folder)
    assert statuses(folder) == ["running", "running"]


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({"ask": 3, "source": "sampled"}, "lacks the key 'config'"),
        ({"ask": 7, "config": {}, "source": "sampled"}, "ask is 7, expected 3"),
        ({"ask": 3, "config": [], "source": "sampled"}, "config is .., expected a mapping"),
        ({"report": 2, "value": 0.5}, "lacks the key 'step'"),
        ({"report": 2, "step": 1, "value": "0.5"}, "value is 0.5, expected a finite number"),
        ({"report": 3, "step": 1, "value": 0.5}, "report is 3, expected 0 to 2"),
        ({"report": -1, "step": 1, "value": 0.5}, "report is -1, expected 0 to 2"),
        ({"end": 2, "value": 0.5, "error": None, "seconds": 1.0}, "lacks the key 'status'"),
        ({"value": 0.5}, "lacks the key 'end'"),
        (
            {"end": 2, "status": "failed", "value": None, "error": None, "seconds": None},
            "seconds is None, expected a finite number",
        ),
    ],
)
def test_an_event_of_another_kind_is_named_by_file_line_and_key(
    event: dict[str, Any], named: str, tmp_path: Path
) -> None:
    log = sweep(tmp_path) / "events.jsonl"
    with log.open("a") as file:
        file.write(json.dumps(event) + "\n")

    with pytest.raises(JobError, match=named) as error:
        trials_of(tmp_path)

    assert f"{log}, line {len(LOG) + 1}: " in str(error.value)
    assert "\n" not in str(error.value)
