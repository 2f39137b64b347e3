"""A tuner's trials as jobs: what is dropped of one that was told to stop, and when."""

import json
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from omegaconf import OmegaConf

from renate.errors import ConfigError
from renate.jobs.directory import JobDirectory, write_json
from renate.jobs.records import JobRecord
from renate.launchers.base import ComposedJob
from renate.launchers.sweeps.trial_folders import TrialFolders
from renate.launchers.sweeps.trials import JobTrials
from renate.tuning.base import STOPPED
from renate.tuning.trial import End, Report, Trial


class Launcher:
    """Whose jobs end when the test says so."""

    def __init__(self) -> None:
        self.listener: Any = None
        self.futures: list[Future[Any]] = []
        self.stopped: list[Any] = []

    def outcome_of(self, job: Any) -> None:
        return None

    def start(self, job: Any) -> Future[Any]:
        self.futures.append(Future())
        self.futures[-1].set_running_or_notify_cancel()
        return self.futures[-1]

    def stop(self, job: Any) -> None:
        self.stopped.append(job)


def test_what_a_stopped_trial_still_writes_is_dropped_when_it_has_ended(tmp_path: Path) -> None:
    launcher: Any = Launcher()

    def make(trial: Trial, k: int) -> Any:
        directory = SimpleNamespace(reports=list)
        return SimpleNamespace(
            id=f"{trial.id}-{k}", record={}, directory=directory, known=lambda: True
        )

    trials = JobTrials(launcher, make, seeds=2, slots=1, metrics=["val_accuracy"])
    plan: Any = SimpleNamespace(tuner={"keep": "best", "seeds": 2}, record={"seed": 0})
    folders = TrialFolders(plan, tmp_path, clones=False)
    folders.when_over = trials.when_over
    trial = Trial(0, {}, "random")
    trials.start(trial)
    trials.stop(trial)
    trial.status = STOPPED
    folders.tell(SimpleNamespace(best=None), trial)  # type: ignore[arg-type]
    assert len(launcher.stopped) == 2
    late = tmp_path / "0" / "candidate" / "staging"
    late.mkdir(parents=True)
    launcher.futures[0].set_result({"status": "stopped"})
    assert late.exists(), "the other seed's job may still be writing"
    launcher.futures[1].set_result({"status": "completed"})
    assert not (tmp_path / "0" / "candidate").exists()
    trials.when_over(Trial(7, {}, "log"), lambda: late.mkdir(parents=True))
    assert late.exists(), "one that never ran here has ended"


def test_reports_of_another_configuration_are_not_borrowed(tmp_path: Path) -> None:
    """A folder is named by the trial's number; a mirror may have left one of another sweep's."""
    launcher: Any = Launcher()
    report = {"epoch": 1, "step": 10, "val_accuracy": 0.99}
    taken = []
    for theirs in ("ours", "another", None):
        folder = tmp_path / str(theirs)
        folder.mkdir()
        if theirs is not None:
            write_json(folder / "job.json", JobRecord("s-5", theirs, [], ".", 0.0).to_json())
        (folder / "metrics.jsonl").write_text(json.dumps(report) + "\n")
        config: Any = OmegaConf.create({"trainer": {"report_every": None}})
        job = ComposedJob(
            5, [], config, JobDirectory(folder), JobRecord("s-5", "ours", [], ".", 0.0)
        )

        def make(trial: Trial, k: int, job: ComposedJob = job) -> ComposedJob:
            return job

        trials = JobTrials(launcher, make, seeds=1, slots=1, metrics=["val_accuracy"])
        trials.start(Trial(5, {}, "sampled"))
        taken.append(trials.next(0.05))
    assert taken == [Report(5, 1, 0.99), None, None]


def test_values_that_do_not_fit_end_their_trial_alone() -> None:
    """A learning rate that was drawn below `lr_scheduler.eta_min`, say: others are tried."""
    launcher: Any = Launcher()

    def make(trial: Trial, k: int) -> Any:
        if k == 1:
            raise ConfigError("lr_scheduler.eta_min=0.1: expected optimizer.lr=0.05 or less")
        return SimpleNamespace(id=f"{trial.id}-{k}")

    trials = JobTrials(launcher, make, seeds=2, slots=1, metrics=["val_accuracy"])
    trials.start(Trial(3, {}, "random"))
    ended = trials.next(1.0)
    assert isinstance(ended, End)
    assert (ended.trial, ended.status, ended.value) == (3, "failed", None)
    assert str(ended.error).startswith("lr_scheduler.eta_min=0.1")
    assert launcher.futures == []
