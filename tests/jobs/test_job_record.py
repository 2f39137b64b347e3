"""What a job is told, as `job.json` holds it."""

import json
from pathlib import Path
from typing import Any

import pytest

from renate.errors import JobError
from renate.jobs.directory import JobDirectory
from renate.jobs.records import JobRecord, ParentVersion

# As the release before wrote them: an update, a tuner's trial, a sweep that is one job.
UPDATE: dict[str, Any] = {
    "id": "0123456789",
    "recipe": "fedcba9876543210",
    "parent": {"url": "./state", "version": 3, "sha256": "ab" * 32},
    "created": 1700000000.5,
    "cwd": "/somewhere",
    "overrides": ["optimizer.lr=0.1"],
    "publish": True,
}
TRIAL = UPDATE | {"parent": None, "publish": False, "trial": 0, "clonable": True, "unread": True}
SWEEP = UPDATE | {"sweep": {"jobs": []}, "back": [{"part": "a", "back": {}}], "backend": "toy"}


@pytest.mark.parametrize("content", [UPDATE, TRIAL, SWEEP, UPDATE | {"of_another": [1]}])
def test_a_record_of_an_earlier_release_is_written_as_it_was_read(
    content: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "job.json").write_text(json.dumps(content))
    directory = JobDirectory(tmp_path)
    record = directory.record
    directory.prepare("", record)
    assert json.loads((tmp_path / "job.json").read_text()) == content
    assert directory.record == record


def test_trial_0_is_a_trial(tmp_path: Path) -> None:
    assert JobRecord.from_json(TRIAL).trial == 0
    assert JobRecord.from_json(UPDATE).trial is None


def test_no_parent_is_told_from_nothing_said() -> None:
    said = JobRecord.from_json(UPDATE | {"parent": None})
    assert (said.parent, said.starts_from_newest) == (None, False)

    without = {key: value for key, value in UPDATE.items() if key != "parent"}
    unsaid = JobRecord.from_json(without)
    assert unsaid.starts_from_newest
    assert unsaid.to_json() == without
    assert JobRecord.from_json(UPDATE).parent == ParentVersion("./state", 3, "ab" * 32)


def test_null_is_what_an_optional_key_is_without() -> None:
    record = JobRecord.from_json(UPDATE | {"publish": None, "trial": None, "home": None})
    assert (record.publish, record.trial, record.home) == (False, None, None)


@pytest.mark.parametrize("key", ["id", "recipe", "overrides", "cwd", "created"])
def test_a_missing_key_is_named_with_its_file(key: str, tmp_path: Path) -> None:
    content = {name: value for name, value in UPDATE.items() if name != key}
    _refused(tmp_path, content, f"lacks the key '{key}'")


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("id", 7, "id is 7, expected a text"),
        ("overrides", "seed=1", "overrides is seed=1, expected a list"),
        ("overrides", ["a=1", 2], r"overrides\[1\] is 2, expected a text"),
        ("created", "now", "created is now, expected a finite number"),
        ("publish", "false", "publish is false, expected true or false"),
        ("publish", 1, "publish is 1, expected true or false"),
        ("trial", True, "trial is True, expected"),
        ("already", -1, "already is -1, expected"),
        ("parent", 3, "parent is 3, expected a mapping or null"),
        ("parent", {"url": "./s", "version": 1}, "lacks the key 'parent.sha256'"),
        ("parent", {"url": "./s", "version": "1", "sha256": ""}, "parent.version is 1, expected"),
        ("sweep", [], r"sweep is \[\], expected a mapping"),
        ("back", [1], r"back\[0\] is 1, expected a mapping"),
    ],
)
def test_a_value_of_another_kind_is_named_with_its_file(
    key: str, value: Any, named: str, tmp_path: Path
) -> None:
    _refused(tmp_path, UPDATE | {key: value}, named)


def _refused(folder: Path, content: dict[str, Any], named: str) -> None:
    (folder / "job.json").write_text(json.dumps(content))
    with pytest.raises(JobError, match=named) as error:
        JobDirectory(folder).record  # noqa: B018 (it is read here)

    assert str(folder / "job.json") in str(error.value)
    assert "\n" not in str(error.value)
