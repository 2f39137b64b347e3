"""Domains, conditions, and the proposers that need no engine."""

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renate.errors import ConfigError
from renate.tuning.base import Proposer
from renate.tuning.proposers import Grid, Random
from renate.tuning.space import Domain, Space
from tests.tuning.simulated import SPACE

FLOAT = Domain("float", 1e-4, 0.5, log=True)
INT = Domain("int", 1, 32, log=True)
CHOICE = Domain("choice", choices=("null", "0.1", "[1,2]"))


@given(
    st.sampled_from([FLOAT, INT, CHOICE, Domain("float", -1.0, 1.0), Domain("int", 0, 3)]),
    st.integers(),
)
def test_what_is_sampled_lies_inside_and_survives_its_text(domain: Domain, seed: int) -> None:
    text = domain.sample(random.Random(seed))
    number = domain.number(text)
    assert domain.text(number) == text
    if domain.kind != "choice":
        assert domain.low <= number <= domain.high


def test_a_logarithmic_domain_is_uniform_in_the_exponent() -> None:
    draw = random.Random(0)
    logs = [math.log(float(FLOAT.sample(draw))) for _ in range(4000)]
    middle = (math.log(1e-4) + math.log(0.5)) / 2
    assert abs(sum(value < middle for value in logs) - 2000) < 130  # 4 sigma


def test_every_integer_is_as_likely() -> None:
    draw = random.Random(0)
    counts = Counter(Domain("int", 0, 3).sample(draw) for _ in range(4000))
    assert set(counts) == {"0", "1", "2", "3"}
    # Chi-square, 3 degrees, 0.1 %
    assert sum((n - 1000) ** 2 / 1000 for n in counts.values()) < 16.3


@pytest.mark.parametrize(
    ("domain", "text"), [(FLOAT, "0.6"), (INT, "2.5"), (CHOICE, "0.10"), (FLOAT, "much")]
)
def test_what_lies_outside_is_refused(domain: Domain, text: str) -> None:
    with pytest.raises(ValueError, match="lies outside|not in|could not convert"):
        domain.number(text)


def test_a_choice_brings_its_keys() -> None:
    draw = random.Random(1)
    for config in (SPACE.sample(draw) for _ in range(50)):
        assert ("alpha" in config) == (config["updater"] == "derpp")
        assert SPACE.fits(config)
    assert not SPACE.fits({"updater": "er", "lr": "0.1", "size": "1", "alpha": "0.5"})
    assert not SPACE.fits({"updater": "derpp", "lr": "0.1", "size": "1"})
    assert not SPACE.fits({"updater": "er", "lr": "2", "size": "1"})
    assert SPACE.active({"updater": "er", "lr": "0.1", "size": "1", "alpha": "0.5"}) == {
        "updater": "er",
        "lr": "0.1",
        "size": "1",
    }


def test_a_grid_leaves_inactive_keys_out() -> None:
    space = Space(
        {
            "updater": Domain("choice", choices=("er", "derpp")),
            "alpha": Domain("choice", choices=("0", "1")),
        },
        {"alpha": ("updater", frozenset({"derpp"}))},
    )
    assert list(space.grid()) == [
        {"updater": "er"},
        {"updater": "derpp", "alpha": "0"},
        {"updater": "derpp", "alpha": "1"},
    ]


def asked(
    proposer: Proposer, space: Space, count: int, seed: int = 0, first: int = 0
) -> list[dict[str, str] | None]:
    enqueued = [space.sample(random.Random(f"first {i}")) for i in range(first)]
    proposer.bind(space, first=enqueued, seed=seed, steps=9, slots=2)
    found = [proposer.ask(trial) for trial in range(count)]
    assert [p.source for p in found[:first] if p] == ["enqueued"] * first
    return [p and p.config for p in found]


def test_proposals_depend_on_seed_and_number_alone() -> None:
    assert asked(Random(), SPACE, 10) == asked(Random(), SPACE, 10)
    assert asked(Random(), SPACE, 10) != asked(Random(), SPACE, 10, seed=1)
    assert asked(Random(), SPACE, 10, first=2)[2:] == asked(Random(), SPACE, 8)


def test_a_finite_space_is_drawn_without_repetition_and_ends() -> None:
    small = Space({"a": Domain("int", 1, 3), "b": Domain("choice", choices=("x", "y"))})
    for proposer in (Random(), Grid()):
        found = asked(proposer, small, 8, first=2)
        assert found[6:] == [None, None]
        assert len({str(config) for config in found[:6]}) == 6
    assert asked(Random(), small, 6) != asked(Grid(), small, 6)


def test_a_grid_needs_an_end() -> None:
    with pytest.raises(
        ConfigError,
        match=r"tuner=grid: lr=tag\(log, interval\(0.0001, 1\)\) has no end: give choices",
    ):
        asked(Grid(), SPACE, 1)
