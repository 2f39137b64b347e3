"""Classes that no example had yet have no part in the loss, whatever the updater."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import renate
from renate.errors import ConfigError
from renate.jobs.building.masking import SEEN, begin_masking, carry_over, masked, note_classes
from renate.state.versions import State
from tests.command import renate as command
from tests.updaters.made import batch_of, memory_of, network, updater_of

STREAM = {
    "scenario": "class_incremental",
    "scenario.chunks": 3,
    "data.limit": 200,
    "objective.metric": None,
    "trainer.max_epochs": 1,
    "trainer.mask_unused_classes": True,
}


def test_the_loss_is_that_of_the_seen_classes_alone() -> None:
    outputs = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    seen = torch.tensor([True, False, True, True, False])
    targets = torch.tensor([0, 2, 3, 3, 2, 0])
    renamed = torch.tensor([0, 1, 2, 2, 1, 0])
    loss = F.cross_entropy(masked(outputs, seen), targets)
    torch.testing.assert_close(loss, F.cross_entropy(outputs[:, seen], renamed))
    loss.backward()
    assert outputs.grad is not None
    assert not outputs.grad[:, ~seen].any()
    assert outputs.grad[:, seen].all()

    mixed = torch.zeros(6, 5)
    mixed[:, 0] = 0.3
    mixed[:, 2] = 0.7
    assert F.cross_entropy(masked(outputs, seen), mixed).isfinite()


@pytest.mark.parametrize("weighted", [False, True])
def test_updaters_lose_by_it_and_keep_logits_as_they_are(weighted: bool) -> None:
    updater = updater_of("derpp", memory_of())
    begin_masking(updater)
    model = network()
    updater.setup(model)
    batch = batch_of(0)
    batch.raw["targets"] = batch.targets = batch.targets.clamp(max=1)
    if weighted:
        batch.fields["weights"] = batch.raw["weights"] = torch.ones(8)
    note_classes(updater, batch.targets)
    updater.start(model, batch.raw)
    loss = updater.loss(model, batch)
    torch.testing.assert_close(loss, F.cross_entropy(model(batch.inputs)[:, :2], batch.targets))
    kept = updater.memory.columns()["logits"]
    torch.testing.assert_close(kept.sort(0).values, model(batch.inputs).detach().sort(0).values)


@pytest.mark.slow
def test_a_stream_notes_which_classes_it_saw(workdir: Path) -> None:
    for updater in ("derpp", "cls_er"):
        last = [*renate.stream(STREAM | {"updater": updater, "state.url": None})][-1]
        state = State(last.state_url)
        seen = []
        for version in state.versions():
            tensors = tensors_of(state, version)
            seen.append(int(tensors[SEEN].sum()))
        assert seen == [4, 7, 10] or seen == [3, 6, 10], seen
        answers = renate.load_model(last.state_url)
        assert answers.problem.classes == 10


def tensors_of(state: State, version: int) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    return load(bytes(state.read(state.manifest(version), "updater.safetensors")))


@pytest.mark.slow
def test_it_may_be_turned_on_and_off(workdir: Path) -> None:
    url = {"state.url": "./state", "data.limit": 60, "trainer.max_epochs": 1}
    for number, masks in enumerate((False, True, False, True)):
        given = {"state.first": number == 0, "seed": number, "resume": False}
        renate.run(url | given | {"trainer.mask_unused_classes": masks})
        kept = tensors_of(State("./state"), number + 1)
        assert (SEEN in kept) == masks
        if masks:
            assert kept[SEEN].all()


def test_a_version_that_never_masked_has_trained_all_that_it_knows() -> None:
    updater = updater_of("er", memory_of(), labels=4)
    begin_masking(updater)
    before: dict[str, torch.Tensor] = {}
    carry_over(updater, before, known=3)
    assert before[SEEN].tolist() == [True, True, True]
    updater.grow(nn.Linear(5, 4), before)
    assert updater.get_buffer(SEEN).tolist() == [True, True, True, False]


def test_what_it_has_no_meaning_for() -> None:
    updater = updater_of("er", memory_of())
    updater.criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    with pytest.raises(ConfigError, match=r"loss\.label_smoothing=0"):
        begin_masking(updater)


def test_numbers_have_no_classes(workdir: Path) -> None:
    (workdir / "n.csv").write_text("x,y\n" + "".join(f"{i / 7},{i * 1.37}\n" for i in range(40)))
    done = command(
        *("data=files", "data.train=n.csv", "data.target=y", "trainer.mask_unused_classes=true"),
        cwd=workdir,
        code=1,
    )
    assert "is about classes, problem=regression has none" in done.stderr
