"""A sweep's folder that was copied while it was written: what can go on, and what was published."""

import json
from pathlib import Path
from typing import Any

import pytest

from renate.errors import JobError
from renate.state.publish import stage
from renate.state.versions import State
from renate.tuning.on_disk.sweep_folder import cut_to_what_is_there, trials_of
from renate.tuning.on_disk.sweep_record import SweepRecord
from renate.tuning.space import Domain, Space

LOG = [
    {"ask": 0, "config": {"lr": "0.1"}, "source": "sampled"},
    {"ask": 1, "config": {"lr": "0.2"}, "source": "sampled"},
    {"end": 0, "status": "completed", "value": 0.5, "seconds": 1.0, "error": None},
    {"end": 1, "status": "completed", "value": 0.7, "seconds": 1.0, "error": None},
    {"ask": 2, "config": {"lr": "0.3"}, "source": "sampled"},
]


RECORD = {
    "id": "s",
    "recipe": "r",
    "parent": None,
    "to": "state",
    "metric": "val_accuracy",
    "mode": "max",
    "others": {},
    "seed": 0,
    "overrides": [],
    "space": {"domains": {}, "conditions": {}},
    "created": 0.0,
    "cwd": ".",
}


def sweep(folder: Path) -> Path:
    (folder / "sweep.json").write_text(json.dumps(RECORD))
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


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("mode", "most", "mode is most, expected max or min"),
        ("others", {"val_loss": "least"}, "others.val_loss is least, expected max or min"),
        ("seed", "0", "seed is 0, expected -"),
        ("to", None, "to is None, expected a text"),
        ("overrides", "lr=1", "overrides is lr=1, expected a list"),
        ("parent", {"url": "u", "version": 1}, "lacks the key 'parent.sha256'"),
        ("space", {"domains": {}}, "lacks the key 'conditions'"),
        (
            "space",
            {"domains": {"lr": {"kind": "floats"}}, "conditions": {}},
            "space.domains.lr.kind is floats, expected one of float, int, choice",
        ),
        (
            "space",
            {
                "domains": {
                    "lr": {"kind": "int", "low": 2, "high": 1, "log": False, "choices": []}
                },
                "conditions": {},
            },
            "space.domains.lr goes from 2 to 1",
        ),
        (
            "space",
            {"domains": {}, "conditions": {"lr": ["updater"]}},
            "space.conditions.lr is .*, expected a key and its values",
        ),
    ],
)
def test_a_record_of_another_kind_is_named_by_file_and_key(
    key: str, value: Any, named: str, tmp_path: Path
) -> None:
    folder = sweep(tmp_path)
    record = folder / "sweep.json"
    record.write_text(json.dumps(RECORD | {key: value}))
    with pytest.raises(JobError, match=f"sweep.json: .*{named}.*; resume=false begins anew"):
        trials_of(folder)


@pytest.mark.parametrize("key", sorted(RECORD))
def test_a_record_that_lacks_a_key_is_no_record(key: str, tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    left = {name: value for name, value in RECORD.items() if name != key}
    (folder / "sweep.json").write_text(json.dumps(left))
    with pytest.raises(JobError, match=f"lacks the key '{key}'"):
        trials_of(folder)


def test_a_record_comes_back_as_it_was() -> None:
    lr = Domain("float", 0.1, 1.0, log=True)
    updater = Domain("choice", choices=("er", "derpp"))
    conditions = {"updater.alpha": ("updater", frozenset({"derpp"}))}
    space = Space({"updater": updater, "optimizer.lr": lr, "updater.alpha": lr}, conditions)
    written = RECORD | {
        "seed": -1,
        "parent": {"url": "u", "version": 3, "sha256": "ab"},
        "others": {"val_loss": "min"},
        "space": space.to_json(),
        "added": ["backend.workers=2"],
        "of_a_later_release": 1,
    }
    record = SweepRecord.from_json(json.loads(json.dumps(written)))
    assert record.space == space
    assert record.to_json() == written


def test_a_trial_whose_job_is_damaged_is_named(tmp_path: Path) -> None:
    folder = sweep(tmp_path)
    (folder / "1" / "job.json").write_text('{"recipe": "r", "overrides": 3}')
    with pytest.raises(JobError, match=r"1/job.json: overrides is 3, expected a list"):
        cut_to_what_is_there(folder)
