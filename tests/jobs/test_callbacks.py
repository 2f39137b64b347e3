"""Callbacks that a config names, options to look for mistakes, and how a fit is run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from safetensors.torch import load

import renate
from renate.errors import ConfigError, JobError
from renate.fitting.callback import FitCallback
from renate.fitting.callbacks.states import restore_states, states_of
from renate.fitting.checkpoint import Checkpoint
from renate.jobs.config_yaml import dump
from renate.jobs.directory import JobDirectory
from renate.jobs.running.execute import execute
from renate.launchers.base import ComposedJob
from renate.launchers.sweeps.from_python import composed
from renate.state.versions import State

DETAILED = "metrics=classification_detailed"
LR = ["lr_scheduler=plateau", "lr_scheduler.patience=0"]
QUICK = ["model.hidden_sizes=[4]", "data.limit=200", "optimizer.lr=0.5"]


def job_of(*overrides: str) -> ComposedJob:
    launcher, job = composed([*QUICK, *overrides])
    launcher.close()
    assert isinstance(job, ComposedJob)
    return job


def fitted(job: ComposedJob, folder: Path) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """The weights that a job leaves, which goes on where it was interrupted, and its reports."""
    directory = JobDirectory(folder)
    if not folder.exists():
        directory.prepare(dump(job.config), replace(job.record, publish=True))
    done = execute(folder)
    assert done.completed, done.reason
    state = State(str(folder / "state"))
    weights = load(bytes(state.read(state.manifest(1), "model.safetensors")))
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return weights, [{name: v for name, v in row.items() if name != "time"} for row in rows]


def test_an_interrupted_fit_stops_when_an_uninterrupted_one_does(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its patience is counted on, and what is reported is the same."""
    several = ["callbacks=[early_stopping,lr_monitor]", "lr_scheduler=cosine"]
    given = ["callbacks.early_stopping.patience=3", "callbacks.early_stopping.min_delta=0.4"]
    length = ["trainer.max_epochs=12", "trainer.checkpoint_every=null", "objective.metric=null"]
    job = job_of(*several, *given, *length, "lr_scheduler.interval=step")
    whole, reports = fitted(job, workdir / "whole")
    assert 4 <= len(reports) < 12, "it stopped by itself"
    rates = [row["lr"] for row in reports]
    assert rates == sorted(rates, reverse=True)

    for step in (10, 7 * (len(reports) - 1) + 2):  # within the second epoch, within the last
        interrupt(job, workdir / "cut", step, monkeypatch)

    again, others = fitted(job, workdir / "cut")
    assert others == reports
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def interrupt(job: ComposedJob, folder: Path, batch: int, patch: pytest.MonkeyPatch) -> None:
    """Run a job until a checkpoint is written after so many batches."""
    with patch.context() as patched:
        ends = lambda self: (False, self.progress.batches == batch)  # noqa: E731
        patched.setattr(FitCallback, "_wishes", ends)
        with pytest.raises(SystemExit):
            fitted(job, folder)


def counts_in(folder: Path) -> dict[str, float]:
    counts: dict[str, float] = json.loads((folder / "result.json").read_text())["counts"]
    return counts


@pytest.mark.parametrize(
    ("settings", "batch"),
    [
        # Seven batches: the last gradients of an epoch are of one alone
        (["trainer.accumulate_grad_batches=2"], 9),
        (["trainer.accumulate_grad_batches=2", "lr_scheduler=cosine"], 9),
        # The first batch that follows makes no step, and nothing is measured again
        (["trainer.accumulate_grad_batches=2", "trainer.report_every=2", *LR], 4),
        (["trainer.max_steps=11", "updater=er"], 9),
    ],
)
def test_the_rest_of_an_epoch_is_trained_as_the_whole_one_is(
    settings: list[str], batch: int, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(*settings, "trainer.max_epochs=3", "objective.metric=null")
    whole, reports = fitted(job, workdir / "whole")
    interrupt(job, workdir / "cut", batch, monkeypatch)
    again, others = fitted(job, workdir / "cut")
    assert others == reports
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    steps = counts_in(workdir / "cut")["steps"]
    assert steps == counts_in(workdir / "whole")["steps"]
    if "trainer.report_every=2" not in settings:
        assert steps == reports[-1]["step"], "of the optimizer, as in each report"


def test_no_checkpoint_is_written_after_the_last_step_of_a_fit(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning begins no fit that has nothing left to train, nor would what it had be loaded."""
    job = job_of("trainer.max_steps=11", "trainer.max_epochs=3", "objective.metric=null")
    with monkeypatch.context() as patched:
        at_the_end = lambda self: (self.progress.batches == 11, False)  # noqa: E731
        patched.setattr(FitCallback, "_wishes", at_the_end)
        patched.setattr(Checkpoint, "done", lambda self: None)
        fitted(job, workdir / "whole")

    assert not (workdir / "whole" / "checkpoint.pt").exists()


def test_a_clone_of_what_has_ended_is_refused(workdir: Path) -> None:
    """Its weights were those that the update began with, and it completed."""
    job = job_of("trainer.max_epochs=2")
    job.record = replace(job.record, clonable=True)
    fitted(job, workdir / "parent")
    job.directory.path = workdir / "clone"
    job.directory.prepare(dump(job.config), job.record)
    (workdir / "parent" / "epoch-2.pt").rename(workdir / "clone" / "start.pt")
    done = execute(workdir / "clone")
    expected = "goes on from has trained for 2 epochs and 14 steps, which leaves none"
    assert expected in str(done.reason)


def test_a_clone_has_a_schedule_of_its_own(workdir: Path) -> None:
    """Also one that waits for a metric, which had its parent's patience and factor."""
    waiting = ["lr_scheduler=plateau", "lr_scheduler.threshold=100", "callbacks=lr_monitor"]
    rates = []
    for name, patience in (("parent", 0), ("clone", 9)):
        job = job_of(*waiting, f"lr_scheduler.patience={patience}", "trainer.max_epochs=4")
        job.record = replace(job.record, clonable=True)
        folder = workdir / name
        JobDirectory(folder).prepare(dump(job.config), replace(job.record, publish=True))
        if name == "clone":
            (workdir / "parent" / "epoch-1.pt").rename(folder / "start.pt")
        rates.append([row["lr"] for row in fitted(job, folder)[1]])

    parent, clone = rates
    assert parent[-1] < parent[0]
    assert clone == [0.5] * 3


class Holding(pl.Callback):
    def __init__(self, held: Any) -> None:
        self.held = held

    def state_dict(self) -> dict[str, Any]:
        return {"held": self.held}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.held = state_dict["held"]


@pytest.mark.parametrize("held", [3, 0.5, "a", None, [1, (2.0,)], {"a": torch.ones(2)}, True])
def test_states_of_callbacks_are_kept(held: Any, tmp_path: Path) -> None:
    torch.save(states_of([Holding(held), pl.Callback()]), tmp_path / "file")
    again = Holding(None)
    restore_states([again, pl.Callback()], torch.load(tmp_path / "file", weights_only=True))
    assert str(again.held) == str(held)


def test_what_no_checkpoint_can_keep_is_named() -> None:
    with pytest.raises(JobError, match="callback Holding: its state_dict holds a slice, and a"):
        states_of([Holding({"a": [slice(1)]})])


@pytest.mark.slow
def test_callbacks_by_path_and_by_both_keys(workdir: Path) -> None:
    (workdir / "my_callbacks.py").write_text(
        "from pathlib import Path\n\nfrom pytorch_lightning import Callback\n\n\n"
        "class Note(Callback):\n    def __init__(self, name):\n        self.name = name\n\n"
        "    def on_train_epoch_end(self, trainer, learner):\n"
        "        Path(self.name).write_text(str(trainer.current_epoch))\n"
    )
    one = ["+callbacks.one._target_=my_callbacks.Note", f"+callbacks.one.name={workdir / 'a'}"]
    other = [f"+trainer.callbacks.two={{_target_:my_callbacks.Note,name:{workdir / 'b'}}}"]
    renate.run([*QUICK, *one, *other, "trainer.max_epochs=2"])
    assert (workdir / "a").read_text() == (workdir / "b").read_text() == "1"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["+callbacks.best._target_=pytorch_lightning.callbacks.ModelCheckpoint"],
            "callbacks.best: the job keeps checkpoints and the best weights itself",
        ),
        (
            ["callbacks=early_stopping", "callbacks.early_stopping.monitor=val_f1", DETAILED],
            "callbacks.early_stopping.monitor=val_f1: give callbacks.early_stopping.mode=max",
        ),
    ],
)
def test_what_cant_be_right(overrides: list[str], message: str, workdir: Path) -> None:
    job = job_of(*overrides)
    job.directory.prepare(dump(job.config), job.record)
    assert message in str(execute(job.directory.path).reason)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["callbacks.early_stopping.patience=1"], "early_stopping"),
        (["callbacks=[early_stopping,lr_monitor]", "callbacks.stop=1"], "callbacks.stop"),
        (
            ["trainer.profile=simpel"],
            "trainer.profile=simpel: expected simple or advanced, or null, did you mean",
        ),
        (["callbacks=[early_stoping]"], "did you mean 'early_stopping'|early_stoping"),
        (
            ["job=stream", "scenario=iid", "state.url=./s", "state.first=true", "debug=limit"],
            "a stream publishes where it begins, at state.url: leave one of them out",
        ),
    ],
)
def test_mistakes_that_are_seen_when_composing(
    overrides: list[str], message: str, workdir: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        job_of(*overrides)


def test_a_debugging_run_never_publishes_to_the_state(workdir: Path) -> None:
    weekly = [*QUICK, "state.url=./state"]
    renate.run([*weekly, "state.first=true", "trainer.max_epochs=1"])
    tried = renate.run([*weekly, "debug=fast_dev_run", "seed=3"])
    assert State("./state").versions() == [1]
    assert tried.state_url.startswith(State("./runs/debug").url)
    assert counts_in(tried.job_dir)["steps"] == 1


@pytest.mark.slow
def test_a_profile_lies_in_the_jobs_directory(workdir: Path) -> None:
    result = renate.run([*QUICK, "debug=profiler"])
    assert "run_training_batch" in (result.job_dir / "fit-profile.txt").read_text()


@pytest.mark.slow
def test_a_share_of_the_batches(workdir: Path) -> None:
    result = renate.run([*QUICK, "trainer.limit_train_batches=0.5", "trainer.max_epochs=2"])
    assert counts_in(result.job_dir)["steps"] == 2 * 3, "of seven batches"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # torch's own
def test_compiled_steps_are_the_same_steps(workdir: Path) -> None:
    """What is published is measured as it is loaded: not compiled."""
    given = ["trainer.max_epochs=2", "updater=fine_tuning"]
    plain, _ = fitted(job_of(*given), workdir / "plain")
    quick, _ = fitted(job_of(*given, "trainer.compile=true"), workdir / "compiled")
    assert plain.keys() == quick.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(quick[name], tensor, rtol=1e-3, atol=1e-4)
