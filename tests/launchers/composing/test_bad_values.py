"""Null, numbers that are none and values of other kinds, in every group but `backend`: refused
where they mean nothing, in one line, before anything starts.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from renate.errors import ConfigError
from renate.launchers.composing.checks.defaults import MISSING, expected_instead, is_open, says
from renate.launchers.composing.checks.groups import KNOWN
from renate.launchers.composing.checks.kinds import Flag
from renate.launchers.composing.checks.others import KNOWN as OF_OTHERS
from renate.launchers.composing.conf import CONF
from renate.launchers.sweeps.from_python import composed
from renate.libraries.omegaconf import node_of

STEP = ["scenario=class_incremental"]
WARMUP = ["lr_scheduler=warmup", "lr_scheduler@lr_scheduler.then=cosine"]
PREDICT = ["job=predict", "state.url=s", "data=files", "data.train=a.csv"]

# What is given -> how it is told
REFUSED: list[tuple[list[str], str]] = [
    (["seed=null"], "seed=null: expected a whole number like 0; null has no meaning here"),
    (["seed=1.5"], "seed=1.5: expected a whole number like 0"),
    (["seed=nan"], "seed=nan: expected a whole number like 0"),
    (["resume=null"], "resume=null: expected true or false like true"),
    (["run_dir=null"], "run_dir=null: expected text like './runs'"),
    (["run_dir=''"], "run_dir='': expected text like './runs'"),
    (["trust=null"], "trust=null: expected a list like []"),
    (["trust=[3]"], "trust=[3]: expected a list of texts"),
    (["output=pred.csv"], "output=pred.csv: job=update writes no such file"),
    (["objective=null"], "objective=null: expected a mapping"),
    (["objective.others=3"], "objective.others=3: expected metrics with their directions"),
    # An unset variable of the shell: it would train from scratch, into the job's own directory
    (["state.url="], "state.url='': expected text, or null"),
    (["state.url=0"], "state.url=0: expected text, or null"),
    (["state.next_url=[]"], "state.next_url=[]: expected text, or null"),
    (["state.version=true"], "state.version=true: expected text, or null"),
    (["state.cache_gb=null"], "state.cache_gb=null: expected a number like 10.0"),
    (["state.cache_gb=inf"], "state.cache_gb=inf: expected a number like 10.0"),
    (["state.cache_dir=1"], "state.cache_dir=1: expected text, or null"),
    (["trainer=null"], "trainer=null: expected the name of an option: cpu, ddp, default, gpu"),
    (["memory=[]"], "memory=[]: expected the name of an option: class_balanced"),
    (["trainer.max_epochs=null"], "trainer.max_epochs=null: expected a whole number like 5"),
    (["trainer.max_epochs=2.0"], "trainer.max_epochs=2.0: expected a whole number like 5"),
    (["trainer.accelerator=cpus"], "trainer.accelerator=cpus: expected auto or cpu or gpu"),
    (["trainer.threads=0"], "trainer.threads=0: expected auto or a whole number of 1 or more"),
    (["trainer.strategy=1"], "trainer.strategy=1: expected text, or null"),
    (["trainer.gradient_clip_val=true"], "clip_val=true: expected a number of 0 or more, or null"),
    (["trainer.gradient_clip_val=-1"], "clip_val=-1: expected a number of 0 or more, or null"),
    (["trainer.gradient_clip_algorithm=max"], "algorithm=max: expected norm or value, or null"),
    (["trainer.deterministic=abc"], "trainer.deterministic=abc: expected true or false, or null"),
    (["trainer.limit_train_batches=inf"], "expected a number above 0, or null"),
    (["trainer.profile=[]"], "trainer.profile=[]: expected simple or advanced, or null"),
    (["trainer.patience=true"], "trainer.patience=true: expected a whole number of 1 or more"),
    (["trainer.patience=0"], "trainer.patience=0: expected a whole number of 1 or more"),
    (["trainer.checkpoint_every=-1"], "trainer.checkpoint_every=-1: expected a number of 0 or"),
    (["trainer.report_every=true"], "trainer.report_every=true: expected a whole number"),
    (["trainer.eval_batch_size=0"], "trainer.eval_batch_size=0: expected a whole number of 1"),
    (["trainer.callbacks=null"], "trainer.callbacks=null: expected a mapping like {}"),
    (["optimizer.lr=null"], "optimizer.lr=null: expected a number like 0.05; null has no meaning"),
    (["optimizer.lr=nan"], "optimizer.lr=nan: expected a number like 0.05"),
    (["optimizer=adam", "optimizer.eps=inf"], "optimizer.eps=inf: expected a number like 1e-08"),
    (["optimizer=adam", "optimizer.betas=[0.9,null]"], "expected a list, each of it a number,"),
    (["memory.capacity=null"], "memory.capacity=null: expected a whole number like 1000"),
    (["memory.max_ram=nan"], "memory.max_ram=nan: expected a number like 4000000000.0"),
    (["updater.replay_batch_size=1.5"], "replay_batch_size=1.5: expected a whole number like 32"),
    (["updater=derpp", "updater.alpha=null"], "updater.alpha=null: expected a number like 0.3"),
    (["data.batch_size=null"], "data.batch_size=null: expected a whole number like 32"),
    (["data.contract=true"], "data.contract=true: expected text, or null"),
    (["data.limit=nan"], "data.limit=nan: expected a value, nan is none"),
    (["model.hidden_sizes=[nan]"], "expected a list, each of it a whole number, like [100, 100]"),
    ([*STEP, "scenario.shuffle=null"], "scenario.shuffle=null: expected true or false like false"),
    (["gate=accuracy", "gate.intervals=null"], "gate.intervals=null: expected a mapping"),
    (["policy=time", "policy.days=nan"], "policy.days=nan: expected a number like 7.0"),
    (["shift=reference", "shift.keep=0"], "shift.keep=0: expected a whole number of 1 or more"),
    (["shift=reference", "shift.of=all"], "shift.of=all: expected last_update or all_updates"),
    (["contract.slack=null"], "contract.slack=null: expected a mapping"),
    (
        ["job=evaluate", "state.url=s", "objective.metric=train_loss"],
        "objective.metric=train_loss: not measured, did you mean 'val_loss'?",
    ),
    (["policy=any", "policy.of=null"], "policy.of=null: expected a mapping"),
    (
        ["lr_scheduler=step", "lr_scheduler.step_size=0"],
        "lr_scheduler.step_size=0: expected a whole",
    ),
    (
        ["lr_scheduler=step", "lr_scheduler.step_size=-1"],
        "step_size=-1: expected a whole number of",
    ),
    (
        ["callbacks=early_stopping", "callbacks.early_stopping.patience=-1"],
        "callbacks.early_stopping.patience=-1: expected a whole number of 0 or more",
    ),
    (["memory.max_ram=-1"], "memory.max_ram=-1: expected a number of 0 or more, or null"),
    (["loss.label_smoothing=1.5"], "label_smoothing=1.5: expected a number from 0 to 1, or null"),
    (["loss.label_smoothing=true"], "label_smoothing=true: expected a number from 0 to 1, or null"),
    (["loss=cross_entropy", "loss.label_smoothing=-1"], "=-1: expected a number from 0 to 1"),
    (["loss=huber", "loss.delta=0"], "loss.delta=0: expected a number above 0"),
    (["lr_scheduler=step", "lr_scheduler.gamma=-1"], "gamma=-1: expected a number above 0"),
    (["lr_scheduler=step", "lr_scheduler.interval=epochs"], "epoch or step, did you mean 'epoch'?"),
    (
        ["lr_scheduler=multistep", "lr_scheduler.milestones=[-1]"],
        "lr_scheduler.milestones=[-1]: expected a list of whole numbers of 1 or more",
    ),
    (["lr_scheduler=cosine", "lr_scheduler.eta_min=-1"], "eta_min=-1: expected a number of 0 or"),
    (["lr_scheduler=multistep", "lr_scheduler.milestones=[]"], "a list of whole numbers of 1 or"),
    (["lr_scheduler=cosine", "lr_scheduler.eta_min=1"], "eta_min=1: expected optimizer.lr=0.05 or"),
    (["lr_scheduler=plateau", "lr_scheduler.min_lr=1"], "min_lr=1: expected optimizer.lr=0.05 or"),
    (["lr_scheduler=one_cycle", "lr_scheduler.div_factor=0"], "div_factor=0: expected a number"),
    (
        ["lr_scheduler=one_cycle", "lr_scheduler.max_lr=true"],
        "max_lr=true: expected a number above",
    ),
    (["lr_scheduler=plateau", "lr_scheduler.factor=0"], "factor=0: expected a number above 0"),
    (["lr_scheduler=plateau", "lr_scheduler.mode=maxi"], "mode=maxi: expected max or min, or null"),
    (
        [*WARMUP, "lr_scheduler.then.eta_min=-1"],
        "lr_scheduler.then.eta_min=-1: expected a number of 0 or more",
    ),
    (["logger=csv", "logger.save_dir=1"], "logger.save_dir=1: expected text, or null"),
    (["job.chunk=-1"], "job.chunk=-1: expected a whole number of 0 or more"),
    (["job=stream", "job.untrained_models=0"], "job.untrained_models=0: expected a whole number"),
    ([*PREDICT, "job.overwrite=null"], "job.overwrite=null: expected true or false like false"),
    (["search_space=lr", "tuner.seeds=1.5"], "tuner.seeds=1.5: expected a whole number like 1"),
    (["search_space=lr", "tuner.max_time=true"], "tuner.max_time=true: expected a number above 0"),
    (["search_space=lr", "tuner.defaults_first=null"], "expected true or false like true; null"),
]

# Null where its comment says what it means, and numbers for numbers
TAKEN = [
    ["trainer.checkpoint_every=null", "objective.metric=null"],
    ["scenario=feature_sorting", "scenario.feature=age"],
    ["memory.max_ram=null", "trainer.gradient_clip_val=1"],
    ["gate=accuracy", "gate.min_gain=null"],
    [*STEP, "scenario.chunks=null", "scenario.groupings=[[0,1],[2]]"],
    ["optimizer.lr=1", "trainer.threads=2", "trainer.limit_train_batches=0.5", "seed=-1"],
]


@pytest.mark.parametrize(("overrides", "told"), REFUSED, ids=lambda v: str(v)[:60])
def test_it_is_refused_in_one_line(overrides: list[str], told: str, workdir: Path) -> None:
    (workdir / "a.csv").write_text("x,y\n1,0\n")
    with pytest.raises(ConfigError) as caught:
        composed(overrides)
    assert told in str(caught.value), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("overrides", TAKEN, ids=lambda v: " ".join(v))
@pytest.mark.usefixtures("workdir")
def test_what_means_something_is_taken(overrides: list[str]) -> None:
    launcher, _ = composed(overrides)
    launcher.close()


def test_text_of_the_environment_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be another seed than the number."""
    monkeypatch.setenv("SEED", "5")
    with pytest.raises(ConfigError, match=r"environment holds text: \$\{oc.decode:\$\{oc.env:SEED"):
        composed(["seed=${oc.env:SEED}"])
    launcher, _ = composed(['seed="${oc.decode:${oc.env:SEED}}"'])
    launcher.close()


def test_values_of_the_users_own_options_are_their_classes_to_take(workdir: Path) -> None:
    (workdir / "conf" / "updater").mkdir(parents=True)
    (workdir / "conf" / "updater" / "mine.yaml").write_text(
        "_target_: my_updaters.Mine\nrate: 0.5\nweight: 1\nsizes: [1]\nname: x\n"
    )
    values = ["rate=null", "weight=0.5", "sizes=[0.5]", "name=''"]
    launcher, _ = composed(["updater=mine", *(f"updater.{each}" for each in values)])
    launcher.close()
    with pytest.raises(ConfigError, match=r"updater.weight=x: expected a number like 1 \(in conf"):
        composed(["updater=mine", "updater.weight=x"])


def leaves(node: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(place, default) of every value."""
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from leaves(value, (*place, name))
    else:
        yield place, node


def test_no_default_of_any_option_takes_what_is_no_number() -> None:
    found = 0
    for path in sorted(CONF.rglob("*.yaml")):
        if path.parent.name in ("renate", "hydra") or "experiment" in path.parts:
            continue
        for place, default in leaves(yaml.safe_load(path.read_text()) or {}):
            if is_open(default) or isinstance(default, list | dict | str):
                continue
            given = OmegaConf.create({"key": float("nan")})
            assert expected_instead(node_of(given, "key"), default), (path, place)
            found += 1
    assert found > 300


def test_every_setting_of_a_plain_group_that_may_be_null_has_a_kind() -> None:
    trainer = yaml.safe_load((CONF / "trainer" / "default.yaml").read_text())
    unknown = {key for key, default in trainer.items() if default is None} - set(KNOWN["trainer"])
    assert unknown == {"devices", "precision"}, "checks/values.py knows these"

    root = yaml.safe_load((CONF / "config.yaml").read_text())
    assert {key for key, default in root["state"].items() if default is None} <= set(KNOWN["state"])


def objects(node: Any) -> Iterator[dict[str, Any]]:
    """Every node with a `_target_`."""
    if isinstance(node, dict):
        if node.get("_target_") not in (None, MISSING):
            yield node
        for value in node.values():
            yield from objects(value)


def test_every_argument_of_other_libraries_classes_has_bounds() -> None:
    elsewhere = {"_target_", "interval", "monitor", "weight"}
    found = set()
    for group in ("loss", "lr_scheduler", "callbacks", "logger"):
        for path in sorted((CONF / group).glob("*.yaml")):
            for node in objects(yaml.safe_load(path.read_text())):
                target = node["_target_"]
                if not target.startswith("renate."):
                    flags = {name for name, value in node.items() if isinstance(value, bool)}
                    asked = node.keys() - elsewhere - flags
                    assert asked <= OF_OTHERS.get(target, {}).keys(), (path, target)
                    found.add(target)
    assert len(found) > 12


def test_no_setting_takes_what_is_no_value() -> None:
    for known in [*KNOWN.values(), *OF_OTHERS.values()]:
        for key, kind in known.items():
            for odd in (math.nan, math.inf, -math.inf, "", [None], {}):
                assert not kind.takes(odd), (key, odd)
            assert isinstance(kind, Flag) or not kind.takes(True), key


def test_a_comment_says_what_null_means(tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(
        "a: 1   # many\n"
        "       # words; null: none\n"
        "b: 2   # nullify\n"
        "c:\n"
        "  d: 3 # null: any\n"
        "  e: 4\n"
    )
    places = [["a"], ["b"], ["c", "d"], ["c", "e"], ["f"]]
    assert [says([file], place, "null") for place in places] == [True, False, True, False, False]
