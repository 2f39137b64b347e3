"""What the core's proposers propose."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renate.tuning.base import COMPLETED, Proposer
from renate.tuning.proposers import Evolution, Random
from renate.tuning.space import Domain, Space

NUMBERS = Space({"lr": Domain("float", 1e-4, 1.0, log=True), "beta": Domain("float", 0.0, 1.0)})
CONDITIONAL = Space(
    {"updater": Domain("choice", choices=("er", "derpp")), "alpha": Domain("float", 0.1, 1.0)},
    {"alpha": ("updater", frozenset({"derpp"}))},
)


def evolution(**settings: float) -> Evolution:
    return Evolution(**({"share": 0.75, "best": 0.2, "width": 0.2, "change": 0.3} | settings))


def loss(config: dict[str, str]) -> float:
    return sum((float(config[f"x{i}"]) - 0.3 - 0.1 * i) ** 2 for i in range(4))


def best_of(proposer: Proposer, seed: int, trials: int = 30) -> float:
    """The least loss found by a sweep that begins with a config's own values, which are fair, as
    all do.
    """
    space = Space({f"x{i}": Domain("float", 0.0, 1.0) for i in range(4)})
    proposer.bind(space, first=[dict.fromkeys(space.domains, "0.5")], seed=seed, steps=1, slots=1)
    found = []
    for trial in range(trials):
        proposal = proposer.ask(trial)
        assert proposal is not None
        found.append(loss(proposal.config))
        proposer.report(trial, 1, found[-1])
        proposer.end(trial, COMPLETED, found[-1])
    return min(found)


def test_evolution_finds_more_than_independent_draws() -> None:
    ours = statistics.median(best_of(evolution(), seed) for seed in range(31))
    random_draws = statistics.median(best_of(Random(), seed) for seed in range(31))
    assert ours < 0.75 * random_draws


def test_without_mutations_it_draws_as_random_does() -> None:
    one = evolution(share=0.0)
    other = Random()
    for proposer in (one, other):
        proposer.bind(NUMBERS, first=[], seed=3, steps=1, slots=1)
    for trial in range(5):
        assert one.ask(trial) == other.ask(trial)
        one.report(trial, 1, float(trial))


def test_mutations_are_of_the_best_and_say_so() -> None:
    proposer = evolution(share=1.0, width=0.01)
    proposer.bind(
        NUMBERS,
        first=[{"lr": "0.1", "beta": "0.5"}, {"lr": "0.001", "beta": "0.9"}],
        seed=0,
        steps=9,
        slots=2,
    )
    proposer.ask(0), proposer.ask(1)
    proposer.report(0, 1, 0.7)
    proposer.report(1, 1, 0.2)
    proposal = proposer.ask(2)
    assert proposal is not None
    assert proposal.source == "mutation of 1"
    assert abs(math.log10(float(proposal.config["lr"])) + 3) < 0.3
    proposer.end(1, "failed", None)
    proposer.report(2, 1, 0.9)
    later = proposer.ask(3)
    assert later is not None
    assert later.source == "mutation of 0", "what has failed is no parent"


@pytest.mark.parametrize("name", ["share", "best", "width", "change"])
def test_shares_lie_between_0_and_1(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}=1.5: expected 0 to 1"):
        evolution(**{name: 1.5})


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_what_is_near_fits_the_space(seed: int, width: float) -> None:
    generator = random.Random(seed)
    for space in (NUMBERS, CONDITIONAL, Space({"n": Domain("int", 1, 512, log=True)})):
        config = space.sample(generator)
        for _ in range(3):
            config = space.near(config, generator, width=width, change=0.5)
            assert space.fits(config)


@pytest.mark.parametrize("kind", [Random, Evolution], ids=lambda kind: kind.__name__)
def test_no_trial_is_spent_on_what_was_tried(kind: type[Proposer]) -> None:
    """A large finite space, where mutations and draws come out alike now and then."""
    space = Space({f"k{i}": Domain("choice", choices=tuple(map(str, range(4)))) for i in range(10)})
    proposer = kind() if kind is Random else Evolution(share=0.9, best=0.1, width=0.1, change=0.1)
    proposer.bind(space, first=[], seed=0, steps=1, slots=1)
    seen = []
    for trial in range(60):
        proposal = proposer.ask(trial)
        assert proposal is not None
        seen.append(tuple(sorted(proposal.config.items())))
        proposer.report(trial, 1, float(trial))
        proposer.end(trial, COMPLETED, float(trial))
    assert len(set(seen)) == 60
