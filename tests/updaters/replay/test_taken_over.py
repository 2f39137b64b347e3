"""A state that another updater began: what the model knows is known, or it is said that it isn't."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

import renate
from renate.errors import ConfigError, RenateError
from renate.jobs.building.masking import SEEN
from renate.jobs.saved.restore import known_of
from renate.state.versions import State
from tests.updaters.made import fit
from tests.updaters.small_fit import Small, batch_of, columns_of, memory_of


def test_lwf_stays_close_to_what_another_updater_taught() -> None:
    small = Small.of("lwf", alpha=0.6, temperature=2.0)
    small.updater.take_over(torch.tensor([True, True, False]))
    teacher = copy.deepcopy(small.model)
    batch = batch_of(2)
    small.updater.start(small.model, batch.raw)
    with torch.no_grad():
        for parameter in small.model.parameters():
            parameter.mul_(1.5)
    now = small.model(batch.inputs)
    then = (teacher(batch.inputs)[:, :2] / 2).softmax(1)
    wanted = torch.nn.functional.cross_entropy(now, batch.targets)
    wanted = wanted - 0.6 * (then * (now[:, :2] / 2).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(small.updater.loss(small.model, batch), wanted)


def test_icarl_needs_exemplars_of_what_another_updater_taught() -> None:
    known = torch.tensor([True, True, False])
    new = columns_of(1, rows=12)
    new["targets"] = torch.full((12,), 2)

    small = Small.of("icarl", memory=memory_of("greedy", capacity=12))
    small.updater.take_over(known)
    with pytest.raises(ConfigError, match=r"none of 2 classes that its model knows, as 0: give"):
        small.updater.start(small.model, new)

    small.updater.memory.add_columns(columns_of(2, rows=12, classes=2))
    updater: Any = small.updater
    updater.start(small.model, new)
    assert updater.old.tolist() == [True, True, False]
    assert updater.teacher is not None


def test_what_a_version_knows() -> None:
    assert known_of({}, 2, 4).tolist() == [True, True, False, False]
    flags = {SEEN: torch.tensor([True, False])}
    assert known_of(flags, 2, 3).tolist() == [True, False, False]


@pytest.mark.slow
def test_a_job_hands_over(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"state.url": "./state", "data.limit": 120, "trainer.max_epochs": 1}
    renate.run(settings | {"state.first": True, "updater": "fine_tuning"})
    found = []
    for alpha in (0.0, 50.0):
        url = f"./next{alpha:.0f}"
        renate.run(settings | {"updater": "lwf", "updater.alpha": alpha, "state.next_url": url})
        state = State(url)
        newest = state.manifest(max(state.versions()))
        found.append(load(bytes(state.read(newest, "model.safetensors"))))
    assert any(not torch.equal(each, found[1][name]) for name, each in found[0].items())
    assert "LwF begins anew" in capsys.readouterr().err


@pytest.mark.slow
def test_a_job_hands_over_of_what_modules_the_memorys_features_are(workdir: Path) -> None:
    settings = {"state.url": "./state", "data.limit": 120, "trainer.max_epochs": 1}
    settings["model.hidden_sizes"] = [8, 8]
    pod = {"updater": "pod_er", "updater.modules": ["layers.1"]}
    renate.run(settings | pod | {"state.first": True})
    super_er: dict[str, Any] = {"updater": "super_er", "memory.backfill": True, "seed": 1}
    with pytest.raises(RenateError, match="memory keeps are of another pooling or other modules"):
        renate.run(settings | super_er | {"updater.pod.modules": ["layers.2"]})
    renate.run(settings | super_er | {"updater.pod.modules": ["layers.1"]})


@pytest.mark.slow
def test_what_only_another_updater_keeps_of_examples_is_left_behind(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"state.url": "./state", "data.limit": 120, "trainer.max_epochs": 1}
    renate.run(settings | {"state.first": True, "updater": "derpp"})

    renate.run(settings | {"updater": "fine_tuning", "seed": 1})
    renate.run(settings | {"updater": "derpp", "seed": 2})
    assert "left behind" not in capsys.readouterr().err, "fine-tuning has left them as they were"

    renate.run(settings | {"updater": "er", "seed": 3})
    said = capsys.readouterr().err
    assert "the 'logits' of the examples in its memory are left behind, ER keeps none" in said
    state = State("./state")
    meta = json.loads(bytes(state.read(state.manifest(4), "memory/meta.json")))
    assert sorted(meta["schema"]) == ["inputs", "targets"]

    with pytest.raises(RenateError, match=r"no 'logits', .*: memory.backfill=true computes it"):
        renate.run(settings | {"updater": "derpp", "seed": 4})
    renate.run(settings | {"updater": "derpp", "seed": 4, "memory.backfill": True})


def test_a_plain_fit_takes_nothing_over() -> None:
    small = Small.of("lwf")
    fit(small.updater, small.model, [batch_of(1)])
    assert not small.updater.take_over(torch.zeros(3, dtype=torch.bool))
    assert small.updater.get_buffer("seen").all()
