"""Rules: how much a candidate must gain, and how little it may lose."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from renate.errors import ConfigError, nearest
from renate.gate.base import Comparison, Gate, Judgement, Pair
from renate.gate.statistics import Interval, calibration_interval, mean_interval
from renate.problems.base import Problem
from renate.state.aliases.verdict import HOLD, PROMOTE, REJECT

SETTINGS = ("confidence", "resamples", "min_examples")
RULES = (
    "min_gain",
    "max_forgetting",
    "max_negative_flips",
    "max_slice_drop",
    "max_calibration_rise",
    "max_latency",
    "max_size",
)
SHARES = (  # of answers, where these are right or wrong
    "min_gain",
    "max_forgetting",
    "max_negative_flips",
    "max_slice_drop",
    "max_calibration_rise",
)
FEWEST = 100  # resamples


@dataclass(frozen=True)
class Finding:
    """What came of one rule.

    Attributes:
        rule: Its key.
        about: What was measured, in words.
        found: How much.
        limit: What it may be.
        at_least: Whether the limit is the least; else it is the most.
        is_sure: Whether a violation that the whole interval shows rejects; else it only holds.
    """

    rule: str
    about: str
    found: Interval
    limit: float
    at_least: bool = False
    is_sure: bool = True

    @property
    def outcome(self) -> str:
        """Promote where the value keeps the limit, reject where the whole interval breaks it, else
        hold.
        """
        if self._keeps(self.found.value):
            return PROMOTE
        if not self.is_sure or self._keeps(self.found.low) or self._keeps(self.found.high):
            return HOLD
        return REJECT

    def _keeps(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        bound = "at least" if self.at_least else "at most"
        interval = ""
        if self.found.low != self.found.high:
            interval = f" ({self.found.low:+.4f} to {self.found.high:+.4f})"
        return (
            f"{self.about}: {self.found.value:+.4f}{interval}, "
            f"gate.{self.rule}={self.limit:g} asks for {bound} that"
        )


class Thresholds(Gate):
    """Promotes a candidate whose every number keeps its limit; a null limit asks for nothing.

    A limit is broken for sure where the whole interval of the paired bootstrap lies beyond it: that
    rejects. Where the number breaks it and the interval doesn't, the candidate is held. Grades are
    1 and 0 of right and wrong answers, so that their mean is the accuracy; of numbers they are
    minus the absolute error, in the target's units.

    Args:
        min_gain: The least mean grade on new data, candidate minus version in use; the most
            negative loss that is allowed is a negative number.
        max_forgetting: The most that the mean grade may fall on the frozen regression set.
        max_negative_flips: The largest share of new examples that the version in use answers
            rightly and the candidate wrongly (Yan et al., 2021, https://arxiv.org/abs/2011.09161).
        max_slice_drop: The most that the mean grade may fall on any slice: one of several test
            sets, one that `gate.slices` names, or a class of enough new examples.
        max_calibration_rise: The most that the expected calibration error may rise, of classes.
        max_latency: The largest ratio of the times that a batch takes; that is measured on this
            machine, as busy as it is, so breaking it holds and never rejects.
        max_size: The largest ratio of the networks' bytes.
        intervals: `confidence` of the intervals; `resamples` of the bootstrap; `min_examples`, the
            fewest that anything is judged by.
    """

    def __init__(
        self,
        min_gain: float | None,
        max_forgetting: float | None,
        max_negative_flips: float | None,
        max_slice_drop: float | None,
        max_calibration_rise: float | None,
        max_latency: float | None,
        max_size: float | None,
        intervals: Mapping[str, Any],
    ) -> None:
        self.min_gain = _number("min_gain", min_gain, -np.inf)
        self.max_forgetting = _number("max_forgetting", max_forgetting, 0.0)
        self.max_negative_flips = _number("max_negative_flips", max_negative_flips, 0.0)
        self.max_slice_drop = _number("max_slice_drop", max_slice_drop, 0.0)
        self.max_calibration_rise = _number("max_calibration_rise", max_calibration_rise, 0.0)
        self.max_latency = _number("max_latency", max_latency, 0.0)
        self.max_size = _number("max_size", max_size, 0.0)
        self.times = self.max_latency is not None
        self.looks_at_slices = self.max_slice_drop is not None
        if all(getattr(self, name) is None for name in RULES):
            raise ConfigError(f"gate: all of {', '.join(RULES)} are null, so it asks for nothing")

        for name in intervals:
            if name not in SETTINGS:
                raise ConfigError(
                    f"gate.intervals.{name}: no such setting{nearest(name, SETTINGS)} "
                    f"({', '.join(SETTINGS)})"
                )
        for name in SETTINGS:
            if name not in intervals:
                raise ConfigError(f"gate.intervals lacks '{name}'")

        self.confidence = _number("intervals.confidence", intervals["confidence"], 0.5) or 0.0
        if not 0.5 <= self.confidence < 1:
            raise ConfigError(
                f"gate.intervals.confidence={self.confidence:g}: expected 0.5 or more, below 1"
            )
        self.resamples = _whole("intervals.resamples", intervals["resamples"], FEWEST)
        self.min_examples = _whole("intervals.min_examples", intervals["min_examples"], 2)

    def check(self, problem: Problem) -> None:
        """Return if what the rules ask for can be measured, and a share be as large."""
        for name in SHARES:
            limit = getattr(self, name)
            if limit is not None and problem.is_right_or_wrong and abs(limit) > 1:
                raise ConfigError(
                    f"gate.{name}={limit:g}: expected a share, 1 at most: {limit / 100:g} is "
                    f"{limit:g} %"
                )

        asked = {
            "max_negative_flips": (self.max_negative_flips, problem.is_right_or_wrong),
            "max_calibration_rise": (self.max_calibration_rise, problem.classes > 0),
        }
        for name, (limit, is_known) in asked.items():
            if limit is not None and not is_known:
                raise ConfigError(
                    f"gate.{name}={limit:g}: problem={problem.name} has no such number: "
                    f"gate.{name}=null"
                )

    def judge(self, comparison: Comparison | None) -> Judgement:
        """Apply every rule."""
        assert comparison is not None
        few = len(comparison.new.before)
        if few < self.min_examples:
            why = (
                f"{few} examples of {comparison.called} are too few to compare by: "
                f"gate.intervals.min_examples={self.min_examples}"
            )
            return Judgement(HOLD, [why], {"examples": float(few)})

        findings = list(self._findings(comparison))
        measured = {"examples": float(few)}
        for finding in findings:
            # Of a thousand classes a manifest keeps those that lost too much
            if finding.rule == "max_slice_drop" and finding.outcome == PROMOTE:
                continue
            measured |= {
                finding.about: finding.found.value,
                f"{finding.about}, low": finding.found.low,
                f"{finding.about}, high": finding.found.high,
            }

        unknown = list(self._unknown(comparison))
        outcomes = [finding.outcome for finding in findings] + [HOLD] * len(unknown)
        outcome = next((each for each in (REJECT, HOLD) if each in outcomes), PROMOTE)
        broken = [finding for finding in findings if finding.outcome != PROMOTE]
        broken.sort(key=lambda finding: finding.outcome != REJECT)
        reasons = [*(str(each) for each in broken), *unknown]
        return Judgement(outcome, reasons or [str(each) for each in findings], measured)

    def _unknown(self, comparison: Comparison) -> Iterator[str]:
        """What the rules ask for and can't be told: no version passes by that."""
        kept = 0
        if comparison.regression is not None:
            kept = len(comparison.regression.before)
        fewest = f"gate.intervals.min_examples={self.min_examples}"
        if self.max_forgetting is not None and kept < self.min_examples:
            yield (
                f"forgetting can't be told: the state keeps {kept} examples for it, {fewest}; each "
                "version that a gate judges adds some, or gate.max_forgetting=null"
            )
        for name, pair in comparison.tests.items():
            if self.max_slice_drop is not None and len(pair.before) < self.min_examples:
                yield f"test set {name} has {len(pair.before)} examples, {fewest}"
        for name, pair in comparison.slices.items():
            if self.max_slice_drop is not None and len(pair.before) < self.min_examples:
                yield f"{name} has {len(pair.before)} examples of {comparison.called}, {fewest}"

    def _findings(self, comparison: Comparison) -> Iterator[Finding]:
        new = comparison.new
        where = f"on {len(new.before)} examples of {comparison.called}"
        if self.min_gain is not None:
            gain = self._mean(_change(new), comparison)
            yield Finding("min_gain", f"gain {where}", gain, self.min_gain, at_least=True)

        kept = comparison.regression
        count = len(kept.before) if kept is not None else 0
        if self.max_forgetting is not None and kept is not None and count >= self.min_examples:
            about = f"forgetting on {count} examples of the regression set"
            lost = self._mean(-_change(kept), comparison)
            yield Finding("max_forgetting", about, lost, self.max_forgetting)

        if self.max_negative_flips is not None:
            assert new.before.right is not None
            assert new.after.right is not None
            flips = new.before.right & ~new.after.right
            share = self._mean(flips.astype(np.float64), comparison)
            yield Finding(
                "max_negative_flips", f"negative flips {where}", share, self.max_negative_flips
            )

        if self.max_slice_drop is not None:
            yield from self._of_slices(comparison, self.max_slice_drop)
        if self.max_calibration_rise is not None:
            rise = calibration_interval(new.before, new.after, **self._drawing(comparison))
            about = f"rise of the calibration error {where}"
            yield Finding("max_calibration_rise", about, rise, self.max_calibration_rise)
        if self.max_latency is not None and comparison.seconds is not None:
            ratio = _ratio(*comparison.seconds)
            yield Finding("max_latency", "time of a batch", ratio, self.max_latency, is_sure=False)
        if self.max_size is not None and comparison.sizes is not None:
            yield Finding(
                "max_size", "bytes of the network", _ratio(*comparison.sizes), self.max_size
            )

    def _of_slices(self, comparison: Comparison, limit: float) -> Iterator[Finding]:
        tests = {f"test set {name}": pair for name, pair in comparison.tests.items()}
        slices = tests | dict(comparison.slices) | dict(comparison.classes)
        for name, pair in slices.items():
            if len(pair.before) < self.min_examples:
                continue
            drop = self._mean(-_change(pair), comparison)
            about = f"drop on {len(pair.before)} examples of {name}"
            yield Finding("max_slice_drop", about, drop, limit)

    def _mean(self, values: np.ndarray[Any, Any], comparison: Comparison) -> Interval:
        return mean_interval(values, **self._drawing(comparison))

    def _drawing(self, comparison: Comparison) -> dict[str, Any]:
        return {
            "confidence": self.confidence,
            "resamples": self.resamples,
            "seed": comparison.seed,
        }


def _change(pair: Pair) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    found: np.ndarray[tuple[int], np.dtype[np.float64]] = pair.after.grades - pair.before.grades
    return found


def _ratio(before: float, after: float) -> Interval:
    ratio = after / before
    return Interval(ratio, ratio, ratio)


def _number(name: str, value: float | None, least: float) -> float | None:
    if value is None:
        return None
    fits = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
    if not fits or value < least:
        more = f", {least:g} or more" if np.isfinite(least) else ""
        raise ConfigError(f"gate.{name}={value}: expected a number{more}, or null")
    return float(value)


def _whole(name: str, value: Any, least: int) -> int:
    if type(value) is not int or value < least:
        raise ConfigError(f"gate.{name}={value}: expected a whole number, {least} or more")
    return value
