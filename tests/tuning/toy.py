"""A sweep without training, on a simulated clock: drives any proposer and stopper, and what both
must keep.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from renate.tuning.base import COMPLETED, FAILED, STOPPED, Proposal, Proposer, Stopper
from renate.tuning.space import Config, Domain, Space

STEPS = 9
SLOTS = 2
SPACE = Space(
    {
        "updater": Domain("choice", choices=("er", "null", "[a, 1]")),
        "lr": Domain("float", low=1e-4, high=1.0, log=True),
        "momentum": Domain("float", low=0.0, high=1.0),
        "layers": Domain("int", low=1, high=4),
        "updater.replay": Domain("int", low=1, high=64, log=True),
        "updater.alpha": Domain("float", low=0.0, high=1.0),
    },
    {
        "updater.replay": ("updater", frozenset({"er", "null"})),
        "updater.alpha": ("updater", frozenset({"[a, 1]"})),
    },
)
FLAT = Space({key: SPACE.domains[key] for key in ("lr", "momentum")})
FIRST = (
    {"updater": "er", "lr": "0.1", "momentum": "0.5", "layers": "2", "updater.replay": "32"},
    {"updater": "[a, 1]", "lr": "0.02", "momentum": "0.0", "layers": "4", "updater.alpha": "1.0"},
)
FLAT_FIRST = ({"lr": "0.1", "momentum": "0.5"},)


@dataclass
class Log:
    """What was asked of a proposer and what it answered, in order; all of it repeats."""

    events: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def proposals(self) -> list[Proposal]:
        return [event[2] for event in self.events if event[0] == "ask" and event[2] is not None]

    @property
    def statuses(self) -> list[str]:
        """How each trial ended, in the order of the trials."""
        return [
            status
            for _, status in sorted(
                (event[1], event[2]) for event in self.events if event[0] == "end"
            )
        ]

    @property
    def best(self) -> float:
        return min(event[3] for event in self.events if event[0] == "end" and event[2] == COMPLETED)


def loss(config: Config, step: int) -> float:
    """What a trial reports; it fails where lr is above 0.5."""
    if float(config["lr"]) > 0.5:
        raise RuntimeError("diverged")
    return (math.log10(float(config["lr"])) + 2) ** 2 + float(config["momentum"]) / 10 + 1 / step


def drive(proposer: Proposer, stopper: Stopper | None = None, *, trials: int = 24) -> Log:
    """Run a sweep: the event of the least (time, trial) comes next, so the order is the same every
    time.

    Args:
        proposer: Bound; whether it gives clones or not.
        stopper: Bound.
        trials: How many to start at most.
    """
    log, running, started = Log(), {}, 0  # trial -> (its next event's time, that step, its config)
    reached: dict[int, list[float]] = {}
    now = 0.0

    def end(trial: int, status: str, value: float | None) -> None:
        log.events.append(("end", trial, status, value))
        proposer.end(trial, status, value)
        if stopper is not None:
            stopper.end(trial, status)
        del running[trial]

    while True:
        while len(running) < SLOTS and started < trials:
            proposal = proposer.ask(started)
            log.events.append(("ask", started, proposal))
            if proposal is None:
                break
            # A clone goes on where its parent is.
            step = len(reached[proposal.parent]) if proposal.parent is not None else 0
            reached[started] = (
                reached[proposal.parent][:step] if proposal.parent is not None else []
            )
            running[started] = (now + _seconds(started), step + 1, proposal.config)
            started += 1
        if not running:
            return log
        trial, (now, step, config) = min(running.items(), key=lambda item: (item[1][0], item[0]))
        try:
            value = loss(config, step)
        except RuntimeError:
            end(trial, FAILED, None)
            continue
        reached[trial].append(value)
        stop = proposer.report(trial, step, value)
        log.events.append(("report", trial, step, value, stop))
        if stopper is not None and stopper.report(trial, step, min(reached[trial])):
            stop = True
        if step >= STEPS:
            end(trial, COMPLETED, value)
        elif stop:
            end(trial, STOPPED, value)
        else:
            running[trial] = (now + _seconds(trial), step + 1, config)


def _seconds(trial: int) -> float:
    """How long an epoch of a trial takes: unlike the others', so that trials overtake each
    other.
    """
    return 1 + 0.3 * (trial * 7 % 5)


class EverySecond(Stopper):
    """Stops each trial of an odd number after two epochs."""

    def report(self, trial: int, step: int, value: float) -> bool:
        return trial % 2 == 1 and step >= 2


def replay(proposer: Proposer, log: Log) -> None:
    """Repeat a log's calls and compare the answers."""
    for event in log.events:
        match event:
            case ("ask", trial, proposal):
                assert proposer.ask(trial) == proposal
            case ("report", trial, step, value, stop):
                assert proposer.report(trial, step, value) is stop
            case ("end", trial, status, value):
                proposer.end(trial, status, value)


def check_proposer(
    make: Callable[[], Proposer],
    *,
    space: Space = SPACE,
    first: Iterable[Config] = FIRST,
    trials: int = 24,
    between: Callable[[], object] = lambda: None,
) -> Log:
    """The contract of every proposer; returns the log of its sweep.

    Args:
        make: Makes a fresh one.
        space: What it is given.
        first: Enqueued; one more that fails is added.
        trials: How many to run.
        between: Called before each replay: whatever it does to the process must not matter.
    """
    failing = dict(next(iter(first))) | {"lr": "0.9"}
    first = [*first, failing]

    def bound() -> Proposer:
        proposer = make()
        proposer.bind(space, first=first, seed=3, steps=STEPS, slots=SLOTS)
        return proposer

    for stopper in (EverySecond(), None):
        log = drive(bound(), stopper, trials=trials)
        between()
        replay(bound(), log)
    asked = log.proposals
    assert [(p.config, p.source) for p in asked[: len(first)]] == [
        (config, "enqueued") for config in first
    ]
    assert len(asked) > len(first), "proposed nothing of its own"
    for proposal in asked:
        assert space.fits(proposal.config), proposal
        assert list(proposal.config) == [key for key in space.domains if key in proposal.config], (
            "order of the keys"
        )
    for trial, proposal in enumerate(asked[len(first) :], len(first)):
        assert proposal.source == (
            "sampled" if proposal.parent is None else f"clone:{proposal.parent}"
        )
        assert proposal.parent is None or proposal.parent < trial
    assert log.statuses[len(first) - 1] == FAILED
    assert COMPLETED in log.statuses
    return log
