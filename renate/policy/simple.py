"""Policies that go by one thing."""

import math
from typing import Any

from renate.errors import ConfigError, nearest
from renate.policy.base import Decision, Policy, Situation
from renate.policy.calendar import UNITS, beginning_of

DAY = 24 * 3600.0


def at_least(name: str, value: Any, least: float) -> float:
    """Return a policy's number.

    Raises:
        ConfigError: It is none, or too small.
    """
    fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or value < least:
        raise ConfigError(f"policy.{name}={value}: expected a number, {least:g} or more")
    return float(value)


class Always(Policy):
    """An update is due whenever there are new data."""

    def decide(self, situation: Situation) -> Decision:
        """Update."""
        return Decision(True, ["policy=always"])


class Never(Policy):
    """No update is ever due."""

    def decide(self, situation: Situation) -> Decision:
        """Wait."""
        return Decision(False, ["policy=never"])


class Amount(Policy):
    """An update is due when there are enough new examples.

    Args:
        examples: How many.
    """

    def __init__(self, examples: int) -> None:
        if type(examples) is not int:
            raise ConfigError(f"policy.examples={examples}: expected a whole number, 1 or more")
        self.examples = int(at_least("examples", examples, 1))

    def decide(self, situation: Situation) -> Decision:
        """Count."""
        count = situation.new_examples()
        why = f"{count} new examples, policy.examples={self.examples}"
        return Decision(count >= self.examples, [why])


class Time(Policy):
    """An update is due when the version in use is old enough.

    Args:
        days: How old.
    """

    def __init__(self, days: float) -> None:
        self.days = at_least("days", days, 0.0)

    def decide(self, situation: Situation) -> Decision:
        """Look at its age."""
        age = situation.age() / DAY
        why = f"the version in use is {age:.2f} days old, policy.days={self.days:g}"
        return Decision(age >= self.days, [why])


class Calendar(Policy):
    """An update is due once in each day, week, month or year in which there are new data.

    Other than by `Time`, a version that was made a minute late doesn't put the next one off by a
    whole turn of whoever asks.

    Args:
        every: `day`, `week` (from Monday), `month` or `year`, in UTC.
    """

    def __init__(self, every: str) -> None:
        if every not in UNITS:
            raise ConfigError(
                f"policy.every={every}: expected {', '.join(UNITS)}{nearest(str(every), UNITS)}"
            )
        self.every = every

    def decide(self, situation: Situation) -> Decision:
        """Look whether the version in use was made in another one."""
        made = situation.made()
        now = situation.now()
        is_due = beginning_of(now, self.every) > beginning_of(made, self.every)
        another = "an earlier" if is_due else "this very"
        why = f"the version in use is of {made:%Y-%m-%d}, {another} {self.every}"
        return Decision(is_due, [why])


class Drift(Policy):
    """An update is due when new data differ from the version's reference, and by enough: with many
    examples every difference is found, so its effect decides.

    Args:
        min_effect: The least effect of a difference that was found: standard deviations of a
            number, Cramér's V of a category, and so on; 0 takes every one that was found.
    """

    def __init__(self, min_effect: float) -> None:
        self.min_effect = at_least("min_effect", min_effect, 0.0)

    def decide(self, situation: Situation) -> Decision:
        """Compare."""
        drift = situation.drift()
        limit = f"policy.min_effect={self.min_effect:g}"
        if not drift.found:
            return Decision(False, [f"no drift: p {drift.p_value:.3g}, level {drift.level:g}"])

        moved = [each for each in drift.found if each.found.effect >= self.min_effect]
        shown = moved or drift.found
        reasons = [
            f"{each.about}: effect {each.found.effect:.3f} ({each.test}, p {each.corrected:.3g}), "
            f"{limit}"
            for each in shown[:5]
        ]
        return Decision(bool(moved), reasons)


class Performance(Policy):
    """An update is due when the version in use is worse on new, labelled data than on its tests.

    Args:
        max_drop: How much worse it may be, in the problem's own metric.
    """

    def __init__(self, max_drop: float) -> None:
        self.max_drop = at_least("max_drop", max_drop, 0.0)

    def decide(self, situation: Situation) -> Decision:
        """Measure.

        Raises:
            ConfigError: The metric is a share, which can't fall by as much.
        """
        score = situation.score()
        if score.errors is not None and self.max_drop > 1:
            raise ConfigError(
                f"policy.max_drop={self.max_drop:g}: {score.metric} is a share, 1 at most: "
                f"{self.max_drop / 100:g} is {self.max_drop:g} %"
            )

        why = (
            f"{score.metric} {score.own:.4f} on its own tests, {score.now:.4f} on new data, "
            f"policy.max_drop={self.max_drop:g}"
        )
        return Decision(score.drop > self.max_drop, [why])


class Cost(Policy):
    """An update is due when waiting costs more than training: the wrong answers to the new examples
    beyond those that the version's own score lets one expect, against the last training.

    Args:
        per_error: What a wrong answer costs.
        per_hour: What an hour of training costs, in the same money.
    """

    def __init__(self, per_error: float, per_hour: float) -> None:
        self.per_error = at_least("per_error", per_error, 0.0)
        self.per_hour = at_least("per_hour", per_hour, 0.0)

    def decide(self, situation: Situation) -> Decision:
        """Weigh."""
        score = situation.score()
        if score.errors is None:
            raise ConfigError(
                f"policy: cost counts wrong answers, which {score.metric} says nothing of: ask for "
                "performance, drift or amount"
            )

        waiting = score.errors * self.per_error
        training = situation.training_seconds() / 3600 * self.per_hour
        why = f"waiting has cost {waiting:.4g}, an update costs {training:.4g}"
        return Decision(waiting > training, [why])
