"""Learning rates of the options of lr_scheduler, step by step against their formulas; and an
interrupted fit goes on with the same ones.
"""

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from safetensors.torch import load
from torch import nn

from renate.api import as_list
from renate.errors import ConfigError
from renate.fitting.callback import FitCallback
from renate.jobs.builders import scheduler_of
from renate.jobs.checks.monitored import Monitored
from renate.jobs.config_yaml import dump
from renate.jobs.directory import JobDirectory
from renate.jobs.running.execute import execute
from renate.launchers.base import ComposedJob
from renate.launchers.composing.conf import CONF
from renate.launchers.sweeps.from_python import composed
from renate.launchers.sweeps.overrides import combinations
from renate.launchers.sweeps.tuned_update import Tuning
from renate.state.versions import State

LR = 0.5
STEPS = 20
EPOCHS = 4


def config_of(option: str, **changes: Any) -> dict[str, Any]:
    node = yaml.safe_load((CONF / "lr_scheduler" / f"{option}.yaml").read_text()) | changes
    node.pop("defaults", None)
    return node


def rates_of(node: dict[str, Any], count: int) -> list[float]:
    """The learning rate of each of a fit's steps or epochs."""
    objective = {"metric": "val_accuracy", "mode": "max", "others": None}
    config = {"lr_scheduler": node, "trust": [], "objective": objective}
    job: Any = SimpleNamespace(config=config, say=print)
    monitored = Monitored("val_accuracy", None)
    make, _, _ = scheduler_of(job, {"epoch": EPOCHS, "step": STEPS}, monitored)
    assert make is not None
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=LR)
    scheduler = make(optimizer)
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_multistep() -> None:
    node = config_of("multistep", milestones=[2, 3], gamma=0.5)
    assert rates_of(node, EPOCHS) == pytest.approx([LR, LR, LR / 2, LR / 4])


@pytest.mark.parametrize(("interval", "length"), [("step", STEPS), ("epoch", EPOCHS)])
def test_one_cycle_ends_with_the_fit(interval: str, length: int) -> None:
    node = config_of("one_cycle", interval=interval)
    rates = rates_of(node, length)
    peak = 0.3 * length - 1

    def between(start: float, end: float, share: float) -> float:
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    for step, rate in enumerate(rates):
        if step <= peak:
            expected = between(LR / 25, LR, step / peak)
        else:
            expected = between(LR, LR / 25 / 1e4, (step - peak) / (length - 1 - peak))
        assert rate == pytest.approx(expected, rel=1e-6), step


def test_a_rise_then_nothing() -> None:
    rates = rates_of(config_of("warmup", length=4, start_factor=0.2, then={}), STEPS)
    rising = [LR * (0.2 + 0.8 * step / 4) for step in range(4)]
    assert rates == pytest.approx(rising + [LR] * 16)


@pytest.mark.parametrize(("length", "steps"), [(0.1, 2), (0.25, 5), (5, 5), (1, 1), (0.001, 1)])
def test_a_rise_then_a_cosine_that_ends_with_the_fit(length: float, steps: int) -> None:
    then = config_of("cosine", interval="step")
    rates = rates_of(config_of("warmup", length=length, start_factor=0.01, then=then), STEPS)
    for step, rate in enumerate(rates):
        if step < steps:
            expected = LR * (0.01 + 0.99 * step / steps)
        else:
            expected = LR * (1 + math.cos(math.pi * (step - steps) / (STEPS - steps))) / 2
        assert rate == pytest.approx(expected, abs=1e-9), step


def test_a_rise_then_any_other() -> None:
    path = "torch.optim.lr_scheduler.ExponentialLR"
    then = config_of("any", _target_=path, gamma=0.9, interval="step")
    rates = rates_of(config_of("warmup", length=3, start_factor=0.5, then=then), STEPS)
    assert rates[3:] == pytest.approx([LR * 0.9**step for step in range(STEPS - 3)])


def test_null_is_the_length_of_the_fit() -> None:
    node = config_of("any", _target_="torch.optim.lr_scheduler.PolynomialLR", total_iters=None)
    assert rates_of(node, EPOCHS) == pytest.approx([LR * (1 - n / EPOCHS) for n in range(EPOCHS)])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 20}, "length=20: expected a share between 0 and 1 of the update's 20 steps"),
        ({"length": 0}, "length=0: expected a share"),
        ({"length": 2.5}, "length=2.5: expected a share"),
        ({"start_factor": 0.0}, "lr_scheduler: .*factor"),
        ({"then": config_of("cosine")}, "lr_scheduler.then.interval=epoch: it steps as the warm"),
        ({"then": config_of("plateau")}, "ReduceLROnPlateau steps when something was measured"),
    ],
)
def test_warmups_that_cant_be_right(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rates_of(config_of("warmup", then={}) | changes, 1)


THEN = "lr_scheduler@lr_scheduler.then"


def test_both_choices_of_one_group_reach_each_job(workdir: Path) -> None:
    """The second, for a place within the first, doesn't take its place."""
    for lines in (
        ["lr_scheduler=warmup", f"{THEN}=cosine,step"],
        [f"{THEN}=cosine,step", "seed=3"],
    ):
        parsed = OverridesParser.create().parse_overrides(lines)
        others = [line for line in lines if not line.startswith(THEN)]
        found = [sorted(job) for job in combinations(parsed)]
        assert found == [sorted([*others, f"{THEN}={name}"]) for name in ("cosine", "step")]

    (workdir / "conf" / "experiment").mkdir(parents=True)
    typo = "# @package _global_\nlr_scheduler: {then: {T_mx: 3}}\n"
    (workdir / "conf" / "experiment" / "typo.yaml").write_text(typo)
    job = job_of("lr_scheduler=warmup", f"{THEN}=cosine")
    assert job.config.lr_scheduler.then._target_.endswith("CosineAnnealingLR")
    assert job.config.lr_scheduler.then.interval == "step"
    tuned = ["lr_scheduler=warmup", f"{THEN}=cosine,none", "tuner=random", "search_space=lr"]
    launcher, tuning = composed(tuned)
    launcher.close()
    assert isinstance(tuning, Tuning)
    assert {*tuning.request.space.domains} == {THEN, "optimizer.lr"}
    with pytest.raises(ConfigError, match="then.T_mx=3: no such key, did you mean 'T_max'"):
        job_of("lr_scheduler=warmup", f"{THEN}=cosine", "experiment=typo")


def job_of(*lines: str) -> ComposedJob:
    launcher, job = composed(list(lines))
    launcher.close()
    assert isinstance(job, ComposedJob)
    return job


def fitted(job: ComposedJob, folder: Path) -> dict[str, torch.Tensor]:
    """The weights that a job leaves, which goes on where it was interrupted."""
    directory = JobDirectory(folder)
    if not folder.exists():
        directory.prepare(dump(job.config), replace(job.record, publish=True))
    execute(folder)
    state = State(str(folder / "state"))
    return load(bytes(state.read(state.manifest(1), "model.safetensors")))


AFTER_COSINE = [f"{THEN}=cosine", "lr_scheduler.interval=step"]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(["multistep", "lr_scheduler.milestones=[1,3]"], marks=pytest.mark.slow),
        pytest.param(["one_cycle"], marks=pytest.mark.slow),
        ["plateau", "lr_scheduler.patience=0", "lr_scheduler.threshold=0.5"],
        ["warmup", "lr_scheduler.length=7", *AFTER_COSINE, "lr_scheduler.then.interval=step"],
    ],
    ids=lambda given: str(given[0]),
)
def test_an_interrupted_fit_goes_on_with_the_same_rates(
    given: list[str], workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = as_list(
        {
            "trainer.max_epochs": 4,
            "trainer.checkpoint_every": None,
            "model.hidden_sizes": [4],
            "data.limit": 200,
            "objective.metric": None,
            "optimizer.momentum": 0.9,
        }
    )
    job = job_of(*lines, f"lr_scheduler={given[0]}", *given[1:])
    whole = fitted(job, workdir / "whole")

    for step in (3, 9, 14):  # of 7 an epoch: twice within one, once between two
        with monkeypatch.context() as patched:
            ends = lambda self, step=step: (False, self.progress.batches == step)  # noqa: E731
            patched.setattr(FitCallback, "_wishes", ends)
            with pytest.raises(SystemExit):
                fitted(job, workdir / "cut")

    again = fitted(job, workdir / "cut")
    assert all(torch.equal(whole[name], again[name]) for name in whole)

    job.config.lr_scheduler = {}
    constant = fitted(job, workdir / "constant")
    assert not all(torch.equal(whole[name], constant[name]) for name in whole)
