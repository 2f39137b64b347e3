"""A memory that keeps what points apart, against its paper's algorithm written down plainly."""

from typing import Any

import pytest
import torch

from renate.data.batch import BatchTransform
from renate.errors import ConfigError, CorruptError
from renate.jobs.checks.learnable import check_offers
from renate.memory.gradient_diverse import GradientDiverse
from renate.memory.random import CHOICES, SWAPS, uniform
from renate.memory.store.memory import Memory
from tests.memory.examples import loaded, saved
from tests.updaters.small_fit import Small, batch_of, memory_of, model_of

CAPACITY = 12


def started() -> Memory:
    memory = Memory(GradientDiverse(CAPACITY), None)
    memory.bind(seed=5, transform=BatchTransform())
    return memory


def columns_of(begin: int, end: int) -> dict[str, torch.Tensor]:
    ids = torch.arange(begin, end)
    scores = torch.rand(400, generator=torch.Generator().manual_seed(1))[begin:end] * 1.4
    return {"inputs": ids[:, None], "targets": ids, "score": scores}


def by_the_paper(count: int) -> list[int]:
    """Who is in each slot after so many offers."""
    scores = columns_of(0, count)["score"].double().tolist()
    choices = uniform(CHOICES, 5, range(count)).tolist()
    swaps = uniform(SWAPS, 5, range(count)).tolist()
    kept: list[int] = []
    for number, score in enumerate(scores):
        if len(kept) < CAPACITY:
            kept.append(number)
        elif score < 1:
            left = choices[number] * sum(scores[k] for k in kept)
            slot = 0
            while left >= scores[kept[slot]]:
                left -= scores[kept[slot]]
                slot += 1
            rival = scores[kept[slot]]
            if swaps[number] < rival / (rival + score):
                kept[slot] = number
    return kept


@pytest.mark.parametrize("batch", [1, 7, 300])
def test_it_keeps_what_the_paper_says(batch: int) -> None:
    memory = started()
    for begin in range(0, 300, batch):
        memory.add_columns(columns_of(begin, min(begin + batch, 300)))
    assert memory.columns()["targets"].tolist() == by_the_paper(300)
    assert by_the_paper(300) != by_the_paper(CAPACITY)
    mean = columns_of(0, 300)["score"].mean()
    assert memory.columns()["score"].mean() < mean, "what is like others gives way"


def test_a_loaded_one_goes_on() -> None:
    memory = started()
    memory.add_columns(columns_of(0, 100))
    files = saved(memory)
    again = loaded(Memory(GradientDiverse(CAPACITY), None), files)
    again.add_columns(columns_of(100, 300))
    assert again.columns()["targets"].tolist() == by_the_paper(300)

    smaller = loaded(Memory(GradientDiverse(4), None), files)
    kept = memory.columns()["score"].sort().values[:4]
    assert torch.equal(smaller.columns()["score"].sort().values, kept)
    with pytest.raises(CorruptError, match="a score isn't from 0 to 2"):
        GradientDiverse(4).restore({"score": kept.double().numpy() + 2})


def test_gss_scores_by_the_largest_cosine() -> None:
    memory = memory_of("gradient_diverse", capacity=30)
    small = Small.of("gss", model=model_of(), memory=memory, compared=4)
    updater: Any = small.updater
    updater.loss(small.model, batch_of(1))
    assert memory.columns()["score"].tolist() == [1.0] * 8

    twin = memory_of("gradient_diverse", capacity=30)
    twin.add_columns({k: v.clone() for k, v in memory.columns().items()})
    past = twin.sample(4)

    def direction(inputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        loss = -small.model(inputs).log_softmax(0)[target]
        found = torch.cat(
            [g.flatten() for g in torch.autograd.grad(loss, [*small.model.parameters()])]
        )
        return found / found.norm()

    batch = batch_of(2)
    others = [direction(x, y) for x, y in zip(past.inputs, past.targets, strict=True)]
    expected = [
        1 + max(float(direction(x, y) @ other) for other in others)
        for x, y in zip(batch.inputs, batch.targets, strict=True)
    ]
    torch.testing.assert_close(updater.scores(small.model, batch), torch.tensor(expected))


def test_neither_goes_without_the_other() -> None:
    small = Small.of("gss", memory=memory_of("reservoir"))
    with pytest.raises(ConfigError, match=r"a Reservoir doesn't listen: memory=gradient_diverse"):
        small.updater.start(small.model, batch_of(1).raw)
    other = Small.of("er", memory=memory_of("gradient_diverse"))
    with pytest.raises(ConfigError, match="decides by each example's 'score', which ER doesn't"):
        check_offers(other.updater)
    check_offers(Small.of("gss").updater)
