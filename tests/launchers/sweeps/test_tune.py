"""Tuned updates as a user runs them: what is stopped, published, remembered, killed and resumed."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from renate.state.versions import State
from renate.tuning.on_disk.trial_history import FIELDS, decode, read
from tests.command import RENATE, renate, workers

SMALL = ["model.hidden_sizes=[16]", "data.limit=400", "trainer.max_epochs=9", "backend.workers=2"]
TUNED = [*SMALL, "search_space=er", "tuner.max_trials=8", "tuner.order=fixed"]


def events(sweep: Path) -> list[dict[str, Any]]:
    lines = (sweep / "events.jsonl").read_text().splitlines()
    return [
        {k: v for k, v in json.loads(line).items() if k not in ("time", "seconds")}
        for line in lines
    ]


def the_sweep(folder: Path) -> Path:
    (found,) = (
        p.parent for p in (folder / "runs").glob("*/sweep.json") if not p.parent.is_symlink()
    )
    return found


def content(url: Path) -> dict[str, bytes]:
    """The newest version's files, but for what holds wall-clock times or this folder's name."""
    state = State(str(url))
    manifest = state.verify()
    files = {name: bytes(state.read(manifest, name)) for name in manifest.files}
    rows = [
        {k: v for k, v in row.items() if k not in ("seconds", "sweep")}
        for row in decode(files.pop("hpo.csv"))
    ]
    for name in ("metrics.json", "config.yaml"):
        files.pop(name)
    return files | {"rows": json.dumps(rows).encode()}


@pytest.mark.slow
def test_bad_trials_stop_early_and_the_winner_is_published_once(workdir: Path) -> None:
    done = renate(*TUNED, "state.url=./state", "state.first=true", cwd=workdir, own_process=True)
    assert "stopped at epoch 1, val_accuracy" in done.stderr
    assert "the best so far" in done.stderr
    sweep = the_sweep(workdir)
    state = State("./state")
    assert state.versions() == [1]
    result = json.loads((sweep / "result.json").read_text())
    rows = read(state, state.manifest())
    completed = [float(row["value"]) for row in rows if row["status"] == "completed"]
    assert result["value"] == max(completed)
    assert len(rows) == 8
    assert {row["status"] for row in rows} == {"completed", "stopped"}
    assert tuple(rows[0])[: len(FIELDS)] == FIELDS
    winner = rows[result["best_trial"]]
    assert {k: winner[k] for k in result["best_params"]} == result["best_params"]
    assert state.manifest().lineage["tuned"]["trial"] == result["best_trial"]
    assert list(workdir.rglob("candidate")) == [], (
        "the losers' outcomes are gone, the winner's is in the state"
    )
    assert (workdir / "runs" / "latest" / "events.jsonl").exists()
    assert sweep.name in renate("jobs", "ls", cwd=workdir).stdout
    shown = renate("jobs", "show", "latest", cwd=workdir).stdout
    assert [line.split()[1] for line in shown.splitlines()[-8:]] == [row["status"] for row in rows]
    # the same command: nothing is trained again, nothing published twice
    again = renate(*TUNED, "state.url=./state", cwd=workdir)
    assert "already published as version 1 of ./state, tuned by this very sweep" in again.stdout
    assert f"job         ./runs/{sweep.name}" in again.stdout
    # the winner's line runs as it is printed, without a tuner, and gives the winner's weights
    for update in (1, 2):
        if update == 2:
            done = renate(*TUNED, "state.url=./state", "seed=1", cwd=workdir)
        line = next(line for line in done.stdout.splitlines() if line.startswith("winner"))
        repeated = renate(*shlex.split(line)[2:], cwd=workdir).stdout
        url = next(
            found.split()[3] for found in repeated.splitlines() if found.startswith("version")
        )
        weights = [
            s.manifest().files["model.safetensors"].sha256
            for s in (state, State(str(workdir / url)))
        ]
        assert weights[0] == weights[1], line
    assert state.versions() == [1, 2]
    renate(*TUNED[:2], "state.url=./state", "seed=7", cwd=workdir)
    assert len(read(state, state.manifest())) == 16, "an untuned update keeps the history"

    shutil.rmtree(workdir / "state")
    vanished = renate(*TUNED, "state.url=./state", "state.first=true", cwd=workdir, code=1)
    assert vanished.stderr.endswith(
        "this sweep's winner was version 1 of ./state, which is no longer there: "
        "resume=false tunes again\n"
    )


@pytest.mark.slow
def test_the_second_update_begins_with_the_best_of_the_first(workdir: Path) -> None:
    renate(*TUNED, "state.url=./state", "state.first=true", cwd=workdir)
    best = json.loads((the_sweep(workdir) / "result.json").read_text())["best_params"]
    shutil.rmtree("runs")
    done = renate(*TUNED, "state.url=./state", "seed=1", cwd=workdir)
    assert (
        "history: 8 trials of earlier updates; 1 of their best configurations come first"
        in done.stderr
    )
    asked = [event for event in events(the_sweep(workdir)) if "ask" in event]
    assert asked[0]["config"] == best
    assert asked[0]["source"] == "enqueued"
    state = State("./state")
    rows = read(state, state.manifest())
    assert [row["update"] for row in rows] == ["1"] * 8 + ["2"] * 8


@pytest.mark.slow
def test_killed_sweeps_end_like_an_undisturbed_one(tmp_path: Path) -> None:
    kills = 4
    whole = tmp_path / "whole"
    killed = tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    arguments = [*TUNED, "state.url=./state", "state.first=true"]
    renate(*arguments, cwd=whole)
    draw = random.Random(5)
    deaths = 0
    for _ in range(kills):
        process = subprocess.Popen([*RENATE, *arguments], cwd=killed, stderr=subprocess.DEVNULL)
        log = killed / "runs" / "latest" / "events.jsonl"
        until = time.monotonic() + 60
        lines = len(log.read_bytes().splitlines()) if log.exists() else 0
        target = lines + draw.randint(1, 8)
        while process.poll() is None and time.monotonic() < until:
            if log.exists() and len(log.read_bytes().splitlines()) >= target:
                break
            time.sleep(0.005)
        deaths += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        while workers(killed):
            assert time.monotonic() < until, "a worker outlived its sweep"
            time.sleep(0.02)
    renate(*arguments, cwd=killed)
    # As if killed between publishing and the command's end
    said = renate(*arguments, cwd=killed).stdout
    assert "already published as version 1 of ./state, tuned by this very sweep" in said
    refused = renate(*arguments, "seed=9", cwd=killed, code=1).stderr
    assert "state.first=true, but ./state holds version 1 already" in refused
    assert deaths >= kills / 2
    assert events(the_sweep(killed)) == events(the_sweep(whole))
    assert State(str(killed / "state")).versions() == [1]
    assert content(killed / "state") == content(whole / "state")


@pytest.mark.slow
def test_ctrl_c_publishes_nothing_and_says_how_to_go_on(workdir: Path) -> None:
    arguments = [*SMALL, "search_space=er", "tuner=random", "state.url=./state", "state.first=true"]
    process = subprocess.Popen(
        [*RENATE, *arguments],
        cwd=workdir,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    log = workdir / "runs" / "latest" / "events.jsonl"
    until = time.monotonic() + 240
    while not (log.exists() and '"completed"' in log.read_text()):
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: nothing is published; the same command goes on from here" in said
    line = next(line for line in said.splitlines() if "to publish it now: " in line)
    assert State("./state").versions() == []
    assert not workers(workdir)
    published = renate(*line.partition("to publish it now: renate ")[2].split(), cwd=workdir)
    assert published.stdout == "version 1 of ./state\n"
    assert read(State("./state"), State("./state").manifest())


BROKEN = """
import math, os, signal, time
from renate.updaters.er import ER


class Mine(ER):
    def __init__(self, replay_batch_size: int, how: int) -> None:
        super().__init__(replay_batch_size)
        self.how = how

    def loss(self, model, batch):
        if self.how == 1:
            raise RuntimeError("no such luck")
        if self.how == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == 3:
            os.kill(os.getpid(), signal.SIGSTOP)
        return super().loss(model, batch) * (math.nan if self.how == 4 else 1)
"""


@pytest.mark.slow
def test_failing_trials_are_recorded_and_the_sweep_goes_on(workdir: Path) -> None:
    (workdir / "mine.py").write_text(BROKEN)
    (workdir / "conf" / "updater").mkdir(parents=True)
    (workdir / "conf" / "updater" / "mine.yaml").write_text(
        "_target_: mine.Mine\nreplay_batch_size: 32\nhow: 0\n"
    )
    done = renate(
        *[
            *SMALL[:2],
            "trainer.max_epochs=1",
            "updater=mine",
            "tuner=grid",
            "updater.how=0,1,2,3,4",
        ],
        *["backend.heartbeat=8", "backend.workers=3"],
        cwd=workdir,
    )
    errors = {e["end"]: e["error"] for e in events(the_sweep(workdir)) if "end" in e}
    assert errors[0] is None
    assert "RuntimeError: no such luck (mine.py:" in errors[1]
    assert "SIGKILL" in errors[2]
    assert "no sign of life for backend.heartbeat=8 seconds" in errors[3]
    assert "the loss is nan at step 1" in errors[4]
    assert "trial 1: failed, RuntimeError: no such luck" in done.stderr
    assert "trials      5: 1 completed, 4 failed; ended by the space has nothing new" in done.stdout


@pytest.mark.slow
def test_nothing_completes(workdir: Path) -> None:
    done = renate(
        *SMALL,
        "optimizer.lr=1e30,1e31",
        "tuner=grid",
        "tuner.defaults_first=false",
        cwd=workdir,
        code=1,
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("renate: no trial of 2 completed, nothing is published: the loss is")


def test_the_mean_over_seeds_counts(workdir: Path) -> None:
    renate(
        *SMALL[:2],
        "trainer.max_epochs=2",
        "optimizer.lr=0.5,0.01",
        "tuner=grid",
        "tuner.seeds=2",
        cwd=workdir,
    )
    sweep = the_sweep(workdir)
    for trial in (e for e in events(sweep) if e.get("status") == "completed"):
        jobs = [sweep / str(trial["end"]), sweep / f"{trial['end']}-seed1"]
        values = [json.loads((job / "result.json").read_text())["value"] for job in jobs]
        assert trial["value"] == pytest.approx(sum(values) / 2)
        assert [
            f"seed: {k}" in (job / "config.yaml").read_text() for k, job in enumerate(jobs)
        ] == [True, True]


@pytest.mark.slow
def test_updaters_with_keys_of_their_own(workdir: Path) -> None:
    renate(
        *SMALL[:2],
        "trainer.max_epochs=1",
        "updater=er,derpp",
        "search_space=auto",
        "tuner.max_trials=6",
        cwd=workdir,
    )
    configs = [e["config"] for e in events(the_sweep(workdir)) if "ask" in e]
    assert {c["updater"] for c in configs} == {"er", "derpp"}
    for config in configs:
        assert ("updater.alpha" in config) == (config["updater"] == "derpp")
        assert "updater.replay_batch_size" in config
    assert configs[0]["optimizer.lr"] == "0.05", "the config's own values are tried first"


def test_a_stream_as_one_trial(workdir: Path) -> None:
    stream = [
        "job=stream",
        "scenario=class_incremental",
        "scenario.chunks=2",
        "objective.metric=average_accuracy",
    ]
    grid = ["optimizer.lr=0.05,0.5", "tuner=grid", "tuner.tune_on=stream"]
    done = renate(*SMALL[:2], *stream, "trainer.max_epochs=1", *grid, cwd=workdir)
    assert "2 completed" in done.stdout
    manifest = State(str(the_sweep(workdir) / "state")).verify()
    assert "hpo.csv" in manifest.files


@pytest.mark.slow
def test_a_stream_by_the_winner_of_its_first_update(workdir: Path) -> None:
    stream = ["job=stream", "scenario=class_incremental", "scenario.chunks=2", "state.url=./state"]
    grid = ["optimizer.lr=0.001,0.5", "tuner=grid", "tuner.defaults_first=false"]
    done = renate(*SMALL[:2], *stream, "trainer.max_epochs=2", *grid, cwd=workdir)
    assert "the stream, by the winner of its first update" in done.stderr
    state = State("./state")
    assert state.versions() == [1, 2]
    assert "lr: 0.5" in bytes(state.read(state.manifest(), "config.yaml")).decode()
    late = ["objective.metric=average_accuracy", "optimizer.lr=0.1,0.2", "tuner=grid"]
    assert (
        "objective.metric=average_accuracy is known at a stream's end"
        in renate(*stream, *late, cwd=workdir, code=1).stderr
    )


@pytest.mark.slow
def test_every_update_of_a_stream(workdir: Path) -> None:
    stream = ["job=stream", "scenario=class_incremental", "scenario.chunks=2", "state.url=./state"]
    grid = [
        "optimizer.lr=0.001,0.5",
        "tuner=grid",
        "tuner.defaults_first=false",
        "tuner.tune_on=every_update",
    ]
    done = renate(*SMALL[:2], *stream, "trainer.max_epochs=2", *grid, cwd=workdir)
    assert "update 2/2" in done.stderr
    assert "history: 2 trials of earlier updates; 1 of their best" in done.stderr
    state = State("./state")
    assert state.versions() == [1, 2]
    assert [row["update"] for row in read(state, state.manifest())] == ["1", "1", "2", "2"]
    table = done.stdout.partition("each update tuned")[2].splitlines()
    rows = [line.split("│")[1:-1] for line in table if line.startswith("│")]
    assert [len(row) for row in rows] == [3, 3], "accuracy on both chunks after each update"
    again = renate(*SMALL[:2], *stream, "trainer.max_epochs=2", *grid, cwd=workdir)
    assert "update 2/2" not in again.stderr, "what is published isn't tuned again"
    assert state.versions() == [1, 2]
    other = renate(*SMALL[:2], *stream, "trainer.max_epochs=3", *grid, cwd=workdir, code=1)
    assert "holds version 1, which is not of this stream" in other.stderr


@pytest.mark.slow
def test_several_objectives_give_the_pareto_front(workdir: Path) -> None:
    several = ["objective.others={val_loss:min}", "state.url=./state", "state.first=true"]
    done = renate(*TUNED, *several, cwd=workdir)
    assert "Pareto front: what no other trial beats in val_accuracy and val_loss" in done.stdout
    state = State("./state")
    rows = {
        row["trial"]: row for row in read(state, state.manifest()) if row["status"] == "completed"
    }
    front = json.loads((the_sweep(workdir) / "result.json").read_text())["pareto"]
    assert front
    for found in front:
        accuracy = found["val_accuracy"]
        loss = found["val_loss"]
        row = rows[str(found["trial"])]
        assert (float(row["value"]), float(row["val_loss"])) == (accuracy, loss)
        beaten = [
            r for r in rows.values() if float(r["value"]) > accuracy and float(r["val_loss"]) < loss
        ]
        assert not beaten
    # the history of several is a history of the first for who asks for one
    again = renate(*TUNED, "state.url=./state", "seed=1", "tuner.max_trials=2", cwd=workdir)
    assert "of their best configurations come first" in again.stderr


def test_trials_report_within_epochs(workdir: Path) -> None:
    within = [
        "trainer.report_every=4",
        "trainer.max_steps=36",
        "state.url=./state",
        "state.first=true",
    ]
    within.append("data.batch_size=32")  # nine epochs of the largest would be fewer steps
    done = renate(*TUNED, *within, "tuner=asha", "tuner.transfer=none", cwd=workdir)
    assert "stopped at report 1, val_accuracy" in done.stderr
    trials = [
        json.loads((p / "result.json").read_text()) for p in the_sweep(workdir).glob("[0-9]*")
    ]
    assert {trial["status"] for trial in trials} == {"completed", "stopped"}
    for event in events(the_sweep(workdir)):
        assert event.get("step", 1) in range(1, 10)
    whole = next(
        p
        for p in the_sweep(workdir).glob("[0-9]*")
        if '"completed"' in (p / "result.json").read_text()
    )
    steps = [
        json.loads(line)["step"] for line in (whole / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == list(range(4, 37, 4))


def test_keep_all(workdir: Path) -> None:
    """And what is removed is gone."""
    renate(
        *SMALL[:2],
        "trainer.max_epochs=1",
        "optimizer.lr=0.05,0.5",
        "tuner=grid",
        "tuner.keep=all",
        cwd=workdir,
    )
    assert len(list(the_sweep(workdir).glob("*/candidate"))) == 2
    renate("jobs", "rm", the_sweep(workdir).name, cwd=workdir)
    assert list((workdir / "runs").iterdir()) == []


def test_an_engine_that_is_not_installed(workdir: Path) -> None:
    (workdir / "optuna.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'optuna'\", name='optuna')"
    )
    done = renate(
        "tuner=optuna/tpe",
        "search_space=lr",
        cwd=workdir,
        code=1,
        own_process=True,
        PYTHONPATH=os.fspath(workdir),
    )
    assert "needs optuna: pip install 'renate-cl[optuna]'" in done.stderr.splitlines()[-1]
    assert not (workdir / "runs").exists()


@pytest.mark.slow
def test_a_study_that_is_shared(workdir: Path) -> None:
    pytest.importorskip("optuna")
    shared = [
        "search_space=lr",
        "tuner=optuna/tpe",
        "tuner.storage=sqlite:///study.db",
        "tuner.max_trials=3",
    ]
    renate(*SMALL[:2], "trainer.max_epochs=1", *shared, cwd=workdir)
    done = renate(*SMALL[:2], "trainer.max_epochs=1", *shared, cwd=workdir, code=1)
    assert (
        "a sweep whose study is shared can't be repeated from its log: resume=false" in done.stderr
    )
    renate(*SMALL[:2], "trainer.max_epochs=1", *shared, "resume=false", cwd=workdir)
    import optuna

    (name,) = optuna.get_all_study_names("sqlite:///study.db")
    study = optuna.load_study(study_name=name, storage="sqlite:///study.db")
    assert len(study.trials) == 6


@pytest.mark.slow
def test_the_winner_of_an_experiment_that_tunes_runs_as_it_is_printed(workdir: Path) -> None:
    """Not as a sweep once more, and not as an option `null`, which there is none of."""
    asked = [*SMALL[:2], "trainer.max_epochs=1", "tuner.max_trials=2", "backend.workers=1"]
    done = renate("experiment=demo_tuning", *asked, cwd=workdir)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("winner")]
    assert "search_space=none" in line
    repeated = renate(*shlex.split(line)[2:], cwd=workdir).stdout
    assert "trials" not in repeated
    assert "version     1 of" in repeated
