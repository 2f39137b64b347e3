"""What a sweep keeps up to date as events come is what it would compute from all of them anew."""

import math
import random
import statistics

from hypothesis import given
from hypothesis import strategies as st

from renate.tuning.base import COMPLETED, FAILED
from renate.tuning.pareto import Ranking, front, ranks
from renate.tuning.proposers import Evolution
from renate.tuning.stoppers import Halving, Median
from renate.tuning.trial import Trial
from renate.tuning.turns import Turns, turn_of
from tests.tuning.simulated import SPACE

POINTS = st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2))
CHANGES = st.lists(st.tuples(st.integers(0, 7), st.none() | POINTS), max_size=40)


@given(CHANGES)
def test_ranks_as_points_come_and_go(changes: list[tuple[int, tuple[int, ...] | None]]) -> None:
    ranking = Ranking()
    held: dict[int, tuple[int, ...]] = {}
    for trial, point in changes:
        if point is None:
            ranking.drop(trial)
            held.pop(trial, None)
        else:
            ranking.put(trial, point)
            held[trial] = point

        found = dict(zip(held, ranks([*held.values()]), strict=True))
        order = sorted(held, key=lambda t: (found[t], t))
        assert len(ranking) == len(held)
        if held:
            assert ranking.best(len(held)) == order
            assert ranking.best(2) == order[:2]
        for one, rank in found.items():
            assert ranking.ahead_of(one) == sum(other < rank for other in found.values())


@given(st.lists(POINTS, max_size=30))
def test_the_front_is_what_nothing_dominates(points: list[tuple[int, ...]]) -> None:
    assert front(points) == [rank == 0 for rank in ranks(points)]


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from([1, 2, 3]), st.integers(0, 6), st.booleans()),
        max_size=40,
    )
)
def test_the_median_of_all_that_count(events: list[tuple[int, int, int, bool]]) -> None:
    stopper = Median(grace=1, trials=2)
    stopper.bind(steps=9, seed=0, enqueued=0, warm=False)
    reached: dict[int, dict[int, int]] = {}
    for trial, step, value, fails in events:
        others = reached.setdefault(step, {})
        expected = len(others) >= 2 and value > statistics.median(others.values())
        assert stopper.report(trial, step, value) is expected
        others[trial] = value
        if fails:
            stopper.end(trial, FAILED)
            for values in reached.values():
                values.pop(trial, None)


def test_parents_are_the_best_share_of_those_that_reported() -> None:
    proposer = Evolution(share=1.0, best=0.3, width=0.3, change=0.3)
    proposer.bind(SPACE, first=(), seed=0, steps=9, slots=4)
    draw = random.Random(0)
    values: dict[int, float] = {}
    for trial in range(60):
        assert proposer.ask(trial) is not None
        for step in range(draw.randrange(4)):
            value = draw.choice([0.1, 0.2, draw.random()])
            proposer.report(trial, step + 1, value)
            values[trial] = min(value, values.get(trial, math.inf))

        if trial in values and trial % 7 == 0:
            proposer.end(trial, FAILED, None)
            del values[trial]
        elif trial in values and trial % 5 == 0:
            values[trial] = draw.random()
            proposer.end(trial, COMPLETED, values[trial])

        best = sorted(values, key=lambda t: (values[t], t))
        best = best[: max(1, int(len(best) * 0.3))]
        if best:
            # The same draw as `random.choice` of them, so that earlier sweeps repeat alike
            found = proposer._parent(random.Random(trial))
            assert found == random.Random(trial).choice(best)


def test_parents_of_two_objectives() -> None:
    proposer = Evolution(share=1.0, best=0.5, width=0.3, change=0.3)
    proposer.bind(SPACE, first=(), seed=0, steps=9, slots=4)
    points = {0: (3.0, 1.0), 1: (1.0, 2.0), 2: (4.0, 4.0), 3: (2.0, 3.0)}
    for trial, (value, further) in points.items():
        proposer.report_secondary(trial, (further,))
        proposer.report(trial, 1, value)

    chosen = {proposer._parent(random.Random(seed)) for seed in range(50)}
    assert chosen == {0, 1}, "nothing dominates these two"
    proposer.report_secondary(2, (0.0,))
    proposer.report(2, 2, 0.5)
    assert {proposer._parent(random.Random(seed)) for seed in range(50)} == {0, 2}


def test_rungs_of_two_objectives_forget_what_failed() -> None:
    stopper = Halving(factor=2, grace=1, brackets=1)
    stopper.bind(steps=9, seed=0, enqueued=0, warm=False)
    stops = []
    for trial, point in enumerate([(1.0, 1.0), (2.0, 2.0), (3.0, 0.5)]):
        stopper.report_secondary(trial, point[1:])
        stops.append(stopper.report(trial, 1, point[0]))

    assert stops == [False, True, False]
    stopper.end(0, FAILED)
    stopper.end(2, FAILED)
    stopper.report_secondary(3, (9.0,))
    assert not stopper.report(3, 1, 1.0), "ahead of nobody, behind nobody"


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=60))
def test_turns_are_those_of_a_search_through_all(events: list[tuple[int, bool]]) -> None:
    running: dict[int, Trial] = {}
    turns = Turns(running)
    now = 0
    for number, (pick, ends) in enumerate(events):
        running[number] = Trial(number, {}, "sampled", start=now)
        turns.note(running[number])
        moved = running[sorted(running)[pick % len(running)]]
        moved.taken += 1
        turns.note(moved)
        if ends and len(running) > 1:
            del running[moved.id]

        first = min(running.values(), key=lambda trial: (turn_of(trial), trial.id))
        assert turns.first() is first
        now = turn_of(first)
