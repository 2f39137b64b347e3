"""Objects of the caller's on their way into a job."""

import os
from pathlib import Path

import cloudpickle
import pytest
import torch
from torch import nn

import renate
from renate.errors import ConfigError, JobError
from renate.jobs import passed_objects
from renate.jobs.passed_objects.held import ABANDONED, Held
from renate.jobs.passed_objects.loaded import PassedDataset, PassedModel, reading_from


def test_a_file_stays_as_long_as_somebody_needs_it(tmp_path: Path) -> None:
    folder = tmp_path / "live"
    model = nn.Linear(2, 2)
    one = Held(folder)
    other = Held(folder)
    path = one.save(model, "model")
    assert other.save(model, "model") == path, "the same object is the same file"
    one.release()
    assert path.exists(), "the other call still needs it"
    other.release()
    assert not path.exists()


def test_what_killed_callers_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    path = folder / f"{'0' * 16}-{'0' * 16}.pkl"
    path.write_bytes(b"")
    old = path.stat().st_mtime - ABANDONED - 1
    os.utime(path, (old, old))
    another = Held(folder)
    kept = another.save(nn.Linear(2, 3), "model")
    assert [*folder.iterdir()] == [kept]
    another.release()


def test_only_objects_of_this_run_directory_are_read(tmp_path: Path) -> None:
    held = Held(tmp_path / "mine" / "live")
    path = held.save(nn.Linear(2, 2), "model")
    with pytest.raises(ConfigError, match="no object of this run directory"):
        PassedModel(str(path))
    with (
        reading_from(str(tmp_path / "other")),
        pytest.raises(ConfigError, match="no object of this run directory"),
    ):
        PassedModel(str(path))
    with reading_from(str(tmp_path / "mine")):
        assert isinstance(PassedModel(str(path)).net, nn.Linear)
        strange = path.with_name("strange.pkl")
        strange.write_bytes(path.read_bytes())
        with pytest.raises(ConfigError, match="no object of this run directory"):
            PassedModel(str(strange))
        path.write_bytes(cloudpickle.dumps(nn.Linear(5, 5)))
        with pytest.raises(JobError, match="aren't those that were written"):
            PassedModel(str(path))
    held.release()


def test_an_object_that_cannot_travel_is_named(tmp_path: Path) -> None:
    with (
        (tmp_path / "log").open("w") as file,
        pytest.raises(ConfigError, match="^data.train: dict can't go into a job"),
    ):
        Held(tmp_path / "live").save({"log": file}, "data.train")


def test_calls_leave_nothing_and_the_same_call_finds_its_job(workdir: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    asked = {"trainer.max_epochs": 1, "data.limit": 200, "run_dir": "./mine"}
    first = renate.run(asked, model=model)
    again = renate.run(asked, model=model)
    assert again.job_dir == first.job_dir
    with torch.no_grad():
        model[1].bias += 1
    assert renate.run(asked, model=model).job_dir != first.job_dir, "other weights are another job"
    assert [*(workdir / "mine" / "live").iterdir()] == []


def test_a_state_that_names_a_passed_model_as_earlier_releases_did_is_told() -> None:
    assert passed_objects.is_model("renate.jobs.live.LiveModel")
    assert passed_objects.is_passed("renate.jobs.live.LiveDataset")
    assert not passed_objects.is_model("renate.jobs.live.LiveDataset")
    assert not passed_objects.is_passed("renate.models.mlp.MLP")


def test_the_names_stand_for_the_classes() -> None:
    for cls, name in ((PassedModel, passed_objects.MODEL), (PassedDataset, passed_objects.DATASET)):
        assert f"{cls.__module__}.{cls.__qualname__}" == name
