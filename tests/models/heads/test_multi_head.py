"""A head for each task: what a model, each updater, a state and a prediction make of it."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import renate
from renate.data.batch import BatchTransform, Columns
from renate.errors import ConfigError, DataError, JobError
from renate.jobs.building.heads import check_tasks, check_trains_heads
from renate.models.heads.multi_head import MultiHead
from renate.updaters.shared.distillation import softened_cross_entropy
from tests.command import renate as command
from tests.updaters.small_fit import (
    FEATURES,
    UPDATERS,
    Small,
    assert_same,
    columns_of,
    memory_of,
    memory_option,
)

MLP = "renate.models.mlp.MLP"
TRAINS = [name for name in UPDATERS if Small.of(name).updater.multi_head]
ASKED = {"er", "ewc", "si", "lwf", "agem", "gem", "fine_tuning", "joint"}


def network(heads: int = 2, classes: int = 3) -> MultiHead:
    torch.manual_seed(0)
    return MultiHead(MLP, {"hidden_sizes": [8]}, [FEATURES], classes, heads)


def of_task(seed: int, task: int) -> Columns:
    data = columns_of(seed)
    return data | {"task_id": torch.full((len(data["targets"]),), task)}


def asked(inputs: Tensor, ids: Any) -> dict[str, Tensor]:
    return {"inputs": inputs, "task_id": torch.tensor(ids).expand(len(inputs))}


def by_hand(model: MultiHead, inputs: Tensor, ids: list[int]) -> Tensor:
    features = model.network(inputs)
    heads = model.heads
    rows = [
        F.linear(row, heads.weight[head], heads.bias[head])
        for row, head in zip(features, ids, strict=True)
    ]
    return torch.stack(rows)


def test_each_example_is_answered_by_its_own_head() -> None:
    model = network(3)
    inputs = columns_of(1, rows=6)["inputs"]
    ids = [2, 0, 1, 1, 2, 0]
    found = model({"inputs": inputs, "task_id": torch.tensor(ids)})
    torch.testing.assert_close(found, by_hand(model, inputs, ids))
    every = model.of_every_head(asked(inputs, 0))
    torch.testing.assert_close(every[torch.arange(6), torch.tensor(ids)], found)
    assert not torch.allclose(model.heads.weight[0], model.heads.weight[1]), "drawn apart"

    found[:2].sum().backward()
    assert model.heads.weight.grad is not None
    moved = model.heads.weight.grad.abs().sum((1, 2)) > 0
    assert moved.tolist() == [True, False, True]


def test_convolutions_have_heads_as_well() -> None:
    model = MultiHead("renate.models.resnet.ResNet18", {"width": 4}, [1, 8, 8], 3, 2)
    outputs = model(asked(torch.rand(2, 1, 8, 8), [0, 1]))
    assert outputs.shape == (2, 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_heads": 0}, "num_heads=0: expected 1 or more"),
        ({"num_heads": True}, "num_heads=True: expected a whole number of 1"),
        ({"network": "os.system"}, "os.system"),
        ({"num_classes": 7, "settings": {"hidden_sizes": "no"}}, "."),
    ],
)
def test_what_is_no_network_with_heads(changes: dict[str, Any], said: str) -> None:
    node = {
        "network": MLP,
        "settings": {"hidden_sizes": [4]},
        "input_shape": [FEATURES],
        "num_classes": 3,
        "num_heads": 2,
    }
    with pytest.raises((ConfigError, ValueError, TypeError), match=said):
        MultiHead(**(node | changes))


def test_inputs_without_a_task() -> None:
    with pytest.raises(ConfigError, match="no 'task_id', which says whose head counts"):
        network()(torch.zeros(2, FEATURES))


def test_examples_of_no_head_are_measured_nowhere() -> None:
    check_tasks({"a": of_task(0, 1)}, 2)
    with pytest.raises(DataError, match="'b' has the ids 2 of tasks, .* there are 0 to 1"):
        check_tasks({"a": of_task(0, 1), "b": of_task(0, 2)}, 2)


@pytest.mark.slow
def test_a_version_is_not_evaluated_on_a_task_that_it_has_no_head_for(workdir: Path) -> None:
    numbers = np.random.default_rng(0).normal(size=60)
    for name, task in (("tasks", np.arange(60) % 2), ("odd", np.full(60, 5))):
        table = {"x": numbers, "label": (numbers > 0).astype(int), "task": task}
        pq.write_table(pa.table(table), f"{name}.parquet")

    data = ["data=files", "data.train=tasks.parquet", "data.target=label", "data.task_id=task"]
    line = [*data, "model=multi_head", "state.url=./s", "report=none"]
    renate.run([*line, "state.first=true", "trainer.max_epochs=1"])
    with pytest.raises(JobError, match="has the ids 5 of tasks, which no head was trained for"):
        renate.run([*line, "job=evaluate", "data.test=odd.parquet"])


def test_those_that_were_asked_for_train_them_and_the_others_refuse() -> None:
    assert set(TRAINS) >= ASKED
    config = {"model": {"num_heads": None}}
    for name in UPDATERS:
        updater = Small.of(name).updater
        if name in TRAINS:
            check_trains_heads(config, updater)
            continue
        with pytest.raises(ConfigError, match="doesn't train models with a head") as found:
            check_trains_heads(config, updater)
        assert "\n" not in str(found.value)


def made(name: str, heads: int = 2) -> Small:
    memory = memory_of(memory_option(name), capacity=20)
    return Small.of(name, model=network(heads), memory=memory)


@pytest.mark.parametrize("name", TRAINS)
def test_a_second_task_goes_on_where_the_first_ended(name: str) -> None:
    small = made(name)
    small.update(of_task(1, 0))
    saved = small.everything()
    losses = small.update(of_task(2, 1))
    assert all(torch.tensor(losses).isfinite())
    heads = small.model.heads.weight  # type: ignore[union-attr]
    assert not torch.equal(heads[1], saved["model"]["heads.weight"][1]), "its own head"
    if name == "fine_tuning":
        assert torch.equal(heads[0], saved["model"]["heads.weight"][0]), "and no other"

    other = made(name)
    other.become(saved)
    assert other.update(of_task(2, 1)) == losses
    assert_same(other.everything(), small.everything())


@pytest.mark.parametrize("name", TRAINS)
def test_a_new_task_grows_a_head(name: str) -> None:
    small = made(name)
    small.update(of_task(1, 0))
    before = copy.deepcopy(small.updater.own_state())
    kept = small.updater.memory

    torch.manual_seed(5)
    larger = Small.of(name, model=network(3), memory=kept)
    larger.updater.grow(larger.model, before)
    for key, tensor in larger.updater.own_state().items():
        if tensor.ndim:
            assert torch.equal(tensor[: len(before[key])], before[key]), key
    losses = larger.update(of_task(3, 2))
    assert all(torch.tensor(losses).isfinite())


def test_lwf_stays_close_to_the_heads_of_before() -> None:
    small = made("lwf", heads=3)
    small.update(of_task(1, 0))
    updater: Any = small.updater
    assert updater.heads.tolist() == [True, False, False]
    teacher = copy.deepcopy(small.model).eval()
    data = of_task(2, 1)
    updater.start(small.model, data)
    with torch.no_grad():
        small.model.heads.weight += 0.1  # type: ignore[union-attr, operator]
        found = updater.loss(small.model, BatchTransform()(data))
        own = small.model(asked(data["inputs"], 1))
        now = small.model(asked(data["inputs"], 0))
        then = teacher(asked(data["inputs"], 0))
    expected = F.cross_entropy(own, data["targets"])
    expected += updater.alpha * softened_cross_entropy(now, then, updater.temperature)
    torch.testing.assert_close(found, expected)


STREAM = {
    "scenario": "class_incremental",
    "scenario.chunks": 2,
    "updater": "fine_tuning",
    "trainer.max_epochs": 3,
    "objective.metric": None,
    "optimizer.lr": 0.1,
}


def test_a_streams_chunks_are_tasks(workdir: Path) -> None:
    """Digits of half the classes each: fine-tuning forgets by one head, and not by two."""
    alone = {"model.hidden_sizes": [16]}
    several = {"model": "multi_head", "model.settings.hidden_sizes": [16]}
    one_head = list(renate.stream(STREAM | alone))[-1]
    two_heads = list(renate.stream(STREAM | several))[-1]
    assert one_head.matrix[-1][0] < 0.5 < two_heads.matrix[-1][0]

    model = renate.load_model(two_heads.state_url)
    assert model.heads == 2
    inputs = torch.randint(17, (4, 1, 8, 8), dtype=torch.uint8)
    first = model(inputs, task_id=0)
    assert not torch.equal(first, model(inputs, task_id=1))
    assert torch.equal(model(inputs, task_id=[0, 1, 0, 1])[::2], first[::2])
    assert len(model.predict(inputs, task_id=[0, 1, 0, 1])) == 4
    for wrong in (None, 2, -1, 0.5, [0, 1], "a", True):
        with pytest.raises(ConfigError, match="task_id.*0 to 1"):
            model(inputs, task_id=wrong)
    with pytest.raises(ConfigError, match="one head for all"):
        renate.load_model(one_head.state_url)(inputs, task_id=0)


def week(task: int, seed: int, rows: int = 60) -> pa.Table:
    """Whether a + b is above 0 in one task, and below in the next."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, 2))
    above = (values.sum(1) > 0) ^ bool(task % 2)
    return pa.table(
        {"a": values[:, 0], "b": values[:, 1], "store": [task] * rows, "label": above.astype(int)}
    )


FILES = (
    "data=files",
    "data.target=label",
    "data.task_id=store",
    "model=multi_head",
    "model.settings.hidden_sizes=[8]",
    "updater=er",
    "trainer.max_epochs=15",
    "optimizer.lr=0.1",
    "data.batch_size=8",
    "data.val_size=0",
    "objective.metric=null",
    "state.url=./state",
)


@pytest.mark.slow
def test_a_column_says_whose_head_counts(workdir: Path) -> None:
    both = pa.concat_tables([week(0, 3), week(1, 4)])
    pq.write_table(week(0, 1), "one.parquet")
    pq.write_table(week(1, 2), "two.parquet")
    pq.write_table(both, "both.parquet")
    first = (*FILES, "data.train=one.parquet", "state.first=true")
    for change, said in [
        (["data.task_id=null"], "nothing says which is an example's: data.task_id names"),
        (["data.task_id=stor"], "no column 'stor', which data.task_id names, did you mean 'store'"),
        (["data.task_id=a"], "data.task_id takes the whole numbers 0, 1, 2"),
        (["updater=derpp"], "DERpp doesn't train models with a head for each task"),
        (["data.train=two.parquet"], "new ids 1: expected 0 for the next task"),
        (["model.num_heads=1", "data.train=both.parquet"], "model.num_heads=1: the tasks are 2"),
    ]:
        failed = command(*first, *change, cwd=workdir, code=None)
        assert failed.returncode
        assert said in failed.stderr

    command(*first, cwd=workdir)
    assert renate.load_model("./state").heads == 1
    command(*FILES, "data.train=two.parquet", "data.test=both.parquet", cwd=workdir)
    model = renate.load_model("./state")
    assert model.heads == 2
    rows = both.select(["a", "b"])
    ids = both["store"].to_numpy()
    answers = np.array(model.predict(rows, task_id=ids))
    assert (answers == both["label"].to_numpy()).mean() > 0.8
    others = np.array(model.predict(rows, task_id=1 - ids))
    assert (others == both["label"].to_numpy()).mean() < 0.3, "another head has another rule"

    predict = (*FILES, "job=predict", "data.train=both.parquet", "output=out.parquet")
    command(*predict, cwd=workdir)
    assert pq.read_table("out.parquet")["prediction"].to_pylist() == answers.tolist()
    failed = command(*predict, "data.task_id=null", "job.overwrite=true", cwd=workdir, code=None)
    assert "data.task_id=null: the version's model has a head for each task" in failed.stderr


@pytest.mark.slow
def test_gates_and_looks_for_drift_ask_each_examples_own_head(workdir: Path) -> None:
    """What a version keeps of its examples says whose head counts: else nothing can be compared."""
    for number in (1, 2, 3, 4):
        rows = [week(task, 10 * number + task, 100) for task in (0, 1)]
        pq.write_table(pa.concat_tables(rows), f"{number}.parquet")

    gated = (*FILES, "gate=accuracy", "gate.min_gain=-1", "gate.max_forgetting=1")
    asked = (*gated, "data.val_size=0.3", "gate.intervals.min_examples=5", "shift=reference")
    command(*asked, "data.train=1.parquet", "state.first=true", cwd=workdir)
    for number in (2, 3):
        command(*asked, f"data.train={number}.parquet", cwd=workdir)
        result = json.loads((workdir / "runs" / "latest" / "result.json").read_text())
        assert result["gate"]["outcome"] == "promote"
        assert "of the regression set: " in str(result["gate"]["reasons"])

    detect = (
        "job=detect",
        "data=files",
        "data.target=label",
        "data.task_id=store",
        "data.val_size=0.3",
    )
    said = command(*detect, "data.train=4.parquet", "state.url=./state", cwd=workdir).stdout
    assert "compared    with version 3 of ./state" in said
    result = json.loads((workdir / "runs" / "latest" / "result.json").read_text())
    assert "the model's answers" in {test["about"] for test in result["drift"]["tests"]}
