"""What can't be right is told before the first step, in one line that names key and value."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from renate.errors import RenateError
from renate.fitting.learner import Learner
from renate.jobs.config_yaml import dump
from renate.jobs.directory import JobDirectory
from renate.jobs.running.execute import execute
from renate.launchers.base import ComposedJob
from renate.launchers.sweeps.from_python import composed
from renate.updaters.distillation.repeated_distillation import RepeatedDistillation

QUICK = ["data.limit=100", "trainer.max_epochs=2"]
OF_TRANSFORMERS = {"model=vit", "model=text_transformer"}
METRICS = "metrics=classification"
DETAILED = "metrics=classification_detailed"
STOPPING = "callbacks=early_stopping"
ANY = ["lr_scheduler=any", "lr_scheduler._target_=torch.optim.lr_scheduler.ExponentialLR"]
STOPPING_BLIND = [STOPPING, "data.val_size=0", "objective.metric=null"]
OWN_METRIC = "+metrics.mine._target_=my_metrics"

# What is given -> how it is told
REFUSED: list[tuple[list[str], str]] = [
    (
        ["lr_scheduler=one_cycle", "lr_scheduler.total_steps=3"],
        "lr_scheduler.total_steps=3: it ends before the update, which has",
    ),
    (
        ["lr_scheduler=plateau", "lr_scheduler.monitor=val_acuracy"],
        "lr_scheduler.monitor=val_acuracy: not measured in this fit, did you mean 'val_accuracy'?",
    ),
    (
        [STOPPING, "callbacks.early_stopping.monitor=val_los"],
        "callbacks.early_stopping.monitor=val_los: not measured in this fit, did you mean",
    ),
    (
        ["callbacks=[early_stopping,lr_monitor]", "callbacks.early_stopping.monitor=rl"],
        "callbacks.early_stopping.monitor=rl: not measured in this fit",
    ),
    (
        [*STOPPING_BLIND, "callbacks.early_stopping.monitor=val_loss"],
        "callbacks.early_stopping.monitor=val_loss: not measured in this fit",
    ),
    (
        [*ANY, "lr_scheduler.monitor=val_loss", "+lr_scheduler.gamma=0.9"],
        "lr_scheduler.monitor=val_loss: ExponentialLR waits for nothing that is measured",
    ),
    (["trainer.accelerator=mps"], "trainer.accelerator=mps: torch finds none on this machine"),
    ([DETAILED, "metrics.auroc.thresholds=-1"], "metrics.auroc: torchmetrics"),
    (["+callbacks.mine=3"], "callbacks.mine=3: expected a mapping with a _target_, the class"),
    (["+metrics.mine=3"], "metrics.mine=3: expected a mapping with a _target_, the class"),
    (
        [METRICS, "metrics.accuracy.num_classes=3"],
        "metrics.accuracy.num_classes=3: the data have 10 labels: metrics.accuracy.num_classes=null",
    ),
    (
        [METRICS, "metrics.accuracy.average=macr"],
        "metrics.accuracy: torchmetrics.classification.MulticlassAccuracy: Expected argument "
        "`average`",
    ),
    ([METRICS, "metrics.accuracy.average=none"], "metrics.accuracy gives values of shape [10]"),
    ([METRICS, "+metrics.accuracy.top_k=11"], "metrics.accuracy: torchmetrics"),
    ([DETAILED, "metrics.ece.n_bins=0"], "metrics.ece: torchmetrics"),
    (
        [f"{OWN_METRIC}.Odd"],
        "metrics.mine: Odd can't take answers [64, 10] and targets [64] (int64)",
    ),
    ([f"{OWN_METRIC}.Several"], "metrics.mine gives values of shape [2], expected one number"),
    (["memory=class_balanced", "memory.capacity=9"], "memory.capacity=9: expected 10 or more"),
    (["loss.weight=[0,0,0,0,0,0,0,0,0,0]"], "0]: expected a number above 0 among them"),
    (
        ["gate=accuracy", "gate.max_forgetting=2"],
        "gate.max_forgetting=2: expected a share, 1 at most: 0.02 is 2 %",
    ),
    (["memory=none"], "memory: a NoMemory keeps nothing, and ER learns from past examples: mem"),
    (["updater=icarl", "memory=none"], "keeps nothing, and ICaRL learns from past examples"),
    (["updater=joint", "memory=none"], "everything seen so far, which a NoMemory forgets: memory="),
    (["updater=gdumb", "memory.capacity=1"], "memory.capacity=1: expected 10 or more"),
    (
        ["gate=error"],
        "gate=error is about numbers, and answers of problem=classification are right",
    ),
    (
        ["loss=cross_entropy", "+loss.reduction=sum"],
        "loss: CrossEntropyLoss gives a sum over the examples, expected their mean",
    ),
    (["transform.inputs.memory=[]"], "transform.inputs.memory gives uint8, transform.inputs.test"),
    (["transform.inputs.memory=3"], "transform.inputs.memory=3: expected a list, [] for none"),
    (["transform.inputs.memory=[3]"], "transform.inputs.memory[0]=3: expected a mapping with a"),
]

TEXTS = ["data=text", "data.text=text", "data.target=label", "data.train=texts.csv"]
BAG = [*TEXTS, "data.vocab_size=300", "model=text_bag"]
TABLE = ["data=files", "data.target=label", "data.train=table.csv", "data.categories=embed"]
TABULAR = [*TABLE, "model=tabular"]

# Sizes of a model that aren't the data's
SIZES: list[tuple[list[str], str]] = [
    (["model.num_classes=3"], "model.num_classes=3: expected 10, as the data have it, or null"),
    ([*BAG, "model.vocab_size=10"], "model.vocab_size=10: expected "),
    ([*BAG, "model.num_texts=2"], "model.num_texts=2: expected 1, as the data have it, or null"),
    (
        [*TEXTS, "model=text_transformer", "+model.architecture.vocab_size=9"],
        "model.architecture.vocab_size=9: it follows from the data, whatever stands here",
    ),
    (
        ["model=vit", "+model.architecture.image_size=16"],
        "model.architecture.image_size=16: it follows from the data",
    ),
    (["model=vit", "model.input_shape=[1,16,16]"], "can't take inputs [2, 1, 8, 8] (float32): "),
    ([*TABULAR, "model.num_numbers=0"], "model.num_numbers=0: expected 1, as the data have it"),
    (
        [*TABULAR, "model.cardinalities=[9]"],
        "model.cardinalities=[9]: expected [4], as the data have it, or null",
    ),
]


def outcome_of(overrides: list[str]) -> Any:
    quick = [*QUICK]
    if OF_TRANSFORMERS.isdisjoint(overrides):
        quick.append("model.hidden_sizes=[4]")
    launcher, job = composed([*quick, *overrides])
    launcher.close()
    assert isinstance(job, ComposedJob)
    folder = Path("job")
    JobDirectory(folder).prepare(dump(job.config), replace(job.record, publish=True))
    said: list[str] = []
    done = execute(folder, lambda event: said.append(str(event.get("text"))))
    return done, said


@pytest.fixture(autouse=True)
def _my_metrics(workdir: Path) -> None:
    (workdir / "my_metrics.py").write_text(
        "import torch\nfrom torchmetrics import Metric\n\n\n"
        "class Several(Metric):\n"
        "    def update(self, answers, truths):\n        pass\n\n"
        "    def compute(self):\n        return torch.zeros(2)\n\n\n"
        "class Odd(Several):\n"
        "    def update(self, answers, truths):\n        answers @ truths\n"
    )
    texts = [f"{('good', 'bad')[n % 2]} {n},{n % 2}" for n in range(100)]
    (workdir / "texts.csv").write_text("\n".join(["text,label", *texts]))
    rows = [f"{('red', 'blue')[n % 2]},{n / 10},{n % 2}" for n in range(100)]
    (workdir / "table.csv").write_text("\n".join(["colour,number,label", *rows]))


@pytest.mark.parametrize(("overrides", "told"), [*REFUSED, *SIZES], ids=lambda v: str(v)[:60])
def test_it_is_told_before_the_first_step(
    overrides: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "data=text" in overrides:
        pytest.importorskip("tokenizers")
    if not OF_TRANSFORMERS.isdisjoint(overrides):
        pytest.importorskip("transformers")

    def step(*_: Any) -> None:
        raise AssertionError("it has trained")

    monkeypatch.setattr(Learner, "training_step", step)
    try:
        done, _ = outcome_of(overrides)
    except RenateError as error:  # by who composes it
        reason = str(error)
    else:
        assert done.failed
        reason = done.reason

    assert told in reason, reason
    assert "\n" not in reason
    assert "traceback" not in reason


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["lr_scheduler=cosine", "lr_scheduler.T_max=1"], "T_max=1: the learning rate rises again"),
        (["lr_scheduler=cosine", "lr_scheduler.T_max=9"], "T_max=9: its end is never reached"),
        (["lr_scheduler=step"], "lr_scheduler.step_size=30: the learning rate stays as it is"),
        (
            ["lr_scheduler=multistep", "lr_scheduler.milestones=[1,9]"],
            "lr_scheduler.milestones=[1, 9]: 9 is never reached, the update has 2 epochs",
        ),
        (["optimizer.lr=0"], "optimizer.lr=0: no step changes a weight"),
        (["trainer.report_every=900"], "trainer.report_every=900: the update has"),
    ],
)
def test_what_does_nothing_is_said(overrides: list[str], told: str) -> None:
    done, said = outcome_of(overrides)
    assert done.completed
    assert [text for text in said if told in text], said


def test_a_wrong_optimizer_is_told_before_an_expert_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(*_: Any) -> None:
        raise AssertionError("its expert has trained")

    monkeypatch.setattr(RepeatedDistillation, "_train", train)
    done, _ = outcome_of(["updater=repeated_distillation", "optimizer.momentum=-1"])
    assert done.failed
    assert done.reason == "optimizer: torch.optim.SGD: Invalid momentum value: -1"


def test_what_a_callback_of_the_users_may_measure_is_waited_for(workdir: Path) -> None:
    (workdir / "my_callbacks.py").write_text(
        "from renate.fitting.callbacks.base import MeasuringCallback\n\n\n"
        "class Mine(MeasuringCallback):\n"
        "    def measured(self, trainer):\n        return {'mine': 1.0}\n"
    )
    mine = "+callbacks.mine._target_=my_callbacks.Mine"
    waits = ["callbacks.early_stopping.monitor=mine", "callbacks.early_stopping.mode=min"]
    done, _ = outcome_of([STOPPING, mine, *waits])
    assert done.completed, done.reason
    done, _ = outcome_of(["callbacks=[early_stopping,lr_monitor]", waits[1], f"{waits[0][:-4]}lr"])
    assert done.completed, done.reason


def test_loggers_of_no_name_and_of_digits(workdir: Path) -> None:
    assert outcome_of(["logger=[]", "metrics=[]", "callbacks=[]"])[0].completed
    assert outcome_of(["logger=csv", "logger.name=1"])[0].completed
    assert Path("job/1").is_dir()
