"""Each policy on a situation that is known."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from renate.build import build
from renate.errors import ConfigError, StateError
from renate.policy.base import Policy, Score
from renate.policy.several import AtLeast
from renate.policy.simple import DAY, Always, Amount, Cost, Drift, Never, Performance, Time
from renate.policy.unusual import UnusualDrift
from renate.shift import two_sample
from renate.shift.detector import Drift as Found
from renate.shift.detector import Moved
from tests.conftest import ROOT

UNUSUAL = UnusualDrift(quantile=0.8, looks=10, warmup=5, min_effect=0.2)
OPTIONS = sorted(path for path in (ROOT / "conf" / "policy").glob("*.yaml"))


@dataclass
class Known:
    """A situation of which everything is given; a None can't be told."""

    examples: int = 100
    days: float = 3.0
    seconds: float = 360.0
    effects: dict[str, float] | None = field(default_factory=dict)
    values: tuple[float, float] | None = (0.9, 0.9)
    mode: str = "max"
    metric: str = "accuracy"
    earlier: tuple[float, ...] = ()

    def earlier_effects(self) -> tuple[float, ...]:
        return self.earlier

    def new_examples(self) -> int:
        return self.examples

    def age(self) -> float:
        return self.days * DAY

    def made(self) -> datetime:
        return self.now() - timedelta(days=self.days)

    def now(self) -> datetime:
        return datetime(2024, 1, 31, tzinfo=UTC)

    def training_seconds(self) -> float:
        return self.seconds

    def drift(self) -> Found:
        if self.effects is None:
            raise StateError("keeps no reference")
        tests = [
            Moved(name, "test", two_sample.Found(0, 0.001, effect), 0.001)
            for name, effect in self.effects.items()
        ]
        return Found(
            [*tests, Moved("still", "test", two_sample.Found(0, 0.7, 9.0), 1.0)], 0.05, (50, 50)
        )

    def score(self) -> Score:
        if self.values is None:
            raise StateError("labels are new")
        own, now = self.values
        errors = max(0.0, own - now) * self.examples
        if self.metric != "accuracy":
            return Score(self.metric, own, now, self.mode, None)
        return Score(self.metric, own, now, self.mode, errors)


@pytest.mark.parametrize(
    ("policy", "situation", "is_due"),
    [
        (Always(), Known(), True),
        (Never(), Known(), False),
        (Amount(100), Known(examples=100), True),
        (Amount(101), Known(examples=100), False),
        (Time(3), Known(days=3.0), True),
        (Time(3.1), Known(days=3.0), False),
        (Drift(0.2), Known(), False),
        (Drift(0.2), Known(effects={"x": 0.1}), False),
        (Drift(0.2), Known(effects={"x": 0.1, "y": 0.3}), True),
        (Drift(0), Known(effects={"x": 0.01}), True),
        # Until there are five looks the fixed limit decides, then what is usual
        (UNUSUAL, Known(effects={"x": 0.3}, earlier=(0.4,) * 4), True),
        (UNUSUAL, Known(effects={"x": 0.1}, earlier=(0.0,) * 4), False),
        (UNUSUAL, Known(effects={"x": 0.3}, earlier=(0.4,) * 5), False),
        (UNUSUAL, Known(effects={"x": 0.3}, earlier=(0.3,) * 5), False),
        (UNUSUAL, Known(effects={"x": 0.3}, earlier=(0.9,) * 5 + (0.2,) * 9), True),
        (UNUSUAL, Known(effects={"x": 0.3}, earlier=(0.2,) * 5 + (0.9,) * 5), False),
        (UNUSUAL, Known(effects={"x": 0.1}, earlier=(0.0,) * 9), False),
        (UNUSUAL, Known(effects={}, earlier=(0.0,) * 9), False),
        (Performance(0.05), Known(values=(0.9, 0.86)), False),
        (Performance(0.05), Known(values=(0.9, 0.8)), True),
        (Performance(0.05), Known(values=(0.8, 0.9)), False),
        (Performance(0.5), Known(values=(2.0, 3.0), mode="min"), True),
        # 10 errors more than expected cost 20; 0.1 hours cost 15, or 25
        (Cost(2, 150), Known(values=(0.9, 0.8)), True),
        (Cost(2, 250), Known(values=(0.9, 0.8)), False),
        (Cost(2, 1), Known(values=(0.9, 0.95)), False),
    ],
)
def test_one_thing(policy: Policy, situation: Known, is_due: bool) -> None:
    decision = policy.decide(situation)
    assert decision.is_due is is_due
    assert decision.reasons
    assert decision.to_json() == {
        "decision": "update" if is_due else "wait",
        "reasons": list(decision.reasons),
    }


def test_several() -> None:
    of: dict[str, Policy] = {"a": Always(), "b": Never(), "c": Amount(50)}
    assert AtLeast(1, of).decide(Known()).is_due
    assert AtLeast(2, of).decide(Known()).is_due
    assert not AtLeast(3, of).decide(Known()).is_due
    assert not AtLeast(None, of).decide(Known()).is_due
    reasons = AtLeast(2, of).decide(Known()).reasons
    assert reasons[0] == "2 of 3 policies ask for an update, 2 are needed"
    assert "b: wait, policy=never" in reasons
    nested = AtLeast(None, {"a": Always(), "inner": AtLeast(1, {"never": Never()})})
    assert not nested.decide(Known()).is_due


def test_what_cannot_be_told_decides_nothing() -> None:
    for policy in (Drift(0), AtLeast(1, {"always": Always(), "drift": Drift(0)})):
        with pytest.raises(StateError, match="keeps no reference"):
            policy.decide(Known(effects=None))
    with pytest.raises(StateError, match="labels are new"):
        Cost(1, 1).decide(Known(values=None))
    with pytest.raises(ConfigError, match="counts wrong answers, which rmse says nothing of"):
        Cost(1, 1).decide(Known(metric="rmse", mode="min"))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Amount(0), "policy.examples=0: expected a number, 1 or more"),
        (lambda: Amount(1.5), "policy.examples=1.5: expected a whole number"),  # type: ignore[arg-type]
        (lambda: Time(float("nan")), "policy.days=nan: expected a number, 0 or more"),
        (lambda: Drift(-1), "policy.min_effect=-1"),
        (
            lambda: Performance(2).decide(Known(values=(0.9, 0.1))),
            "policy.max_drop=2: accuracy is a share, 1 at most: 0.02 is 2 %",
        ),
        (lambda: Performance("a"), "policy.max_drop=a"),  # type: ignore[arg-type]
        (lambda: UnusualDrift(1.5, 10, 5, 0.1), "policy.quantile=1.5: expected a share, 0 to 1"),
        (lambda: UnusualDrift(0.5, 0, 5, 0.1), "policy.looks=0: expected a whole number"),
        (lambda: UnusualDrift(0.5, 5, 6, 0.1), "policy.warmup=6: expected at most policy.looks=5"),
        (lambda: AtLeast(3, {"a": Always()}), "policy.count=3: expected 1 to 1"),
        (lambda: AtLeast(1, {}), "policy.of is empty"),
        (lambda: AtLeast(1, {"a": 3}), "policy.of.a: expected a policy"),  # type: ignore[dict-item]
    ],
)
def test_settings_that_are_none(make: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make()


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: path.stem)
def test_each_option_decides(path: Path) -> None:
    node = yaml.safe_load(path.read_text())
    if not node:
        return
    policy = build(node, "policy")
    assert isinstance(policy, Policy)
    assert policy.decide(Known()).word in ("update", "wait")
