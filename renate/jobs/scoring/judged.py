"""Whether an update's outcome may be used: the gate's part in an update."""

import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from safetensors.torch import save
from torch import nn

from renate.build import build
from renate.data.base import Data
from renate.data.batch import Columns
from renate.data.items.stored import extended, of_examples
from renate.errors import ConfigError, DataError, StateError
from renate.fitting.measure import Measure
from renate.gate.answers import Answers, Flags, answers_of
from renate.gate.base import Comparison, Gate, Pair
from renate.jobs.chunks import Chunk
from renate.jobs.context import Job
from renate.jobs.saved.restore import Saved, number_after
from renate.jobs.scoring.regression_set import (
    REGRESSION,
    RegressionSet,
    regression_files,
    regression_of,
    settings_of,
)
from renate.jobs.scoring.slices import SLICES, asked_slices, slices_of
from renate.jobs.scoring.verdicts import lines_of, one_line
from renate.problems.base import Problem
from renate.seeds import derive
from renate.state.aliases.standing import standing
from renate.state.aliases.verdict import MOST, PROMOTE, Verdict
from renate.state.versions import State
from renate.updaters.base import Updater

NEW = "new"
TIMED = 20  # times that a batch is timed
FIRST = "the first version: there is none to compare it with"


@dataclass
class Judging:
    """A gate at work: what the version in use answers, then what the candidate does.

    Attributes:
        gate: The rules.
        problem: What is predicted.
        saved: The version in use; None at a first update.
        new: New data that neither was trained on; None where there are none.
        called: What they are called.
        tests: Test sets by name, where there are several.
        slices: Which of the new data each named slice has.
        regression: What the state keeps of earlier ones; None where it keeps nothing.
        settings: How much of them it is to keep.
        seed: Of all that is drawn.
        move: The last move of `current` that is known.
    """

    gate: Gate
    problem: Problem
    saved: Saved | None
    new: Columns | None
    called: str
    tests: Mapping[str, Columns]
    slices: Mapping[str, Flags]
    regression: RegressionSet | None
    settings: Mapping[str, int]
    seed: int
    move: int
    before: dict[str, Answers] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def compares(self) -> bool:
        """Whether there is something to compare, and the rules ask for it."""
        return self.saved is not None and self.gate.compares

    def look_before(self, measure: Measure, model: nn.Module, updater: Updater) -> None:
        """Take the answers of the version in use, before the model is trained on.

        Args:
            measure: As that version is measured.
            model: As it was published.
            updater: Its own way to predict.
        """
        if self.compares:
            self.before = self._answers(measure, model, updater)
            self.seconds = self._timed(measure, model, updater)

    def verdict(self, measure: Measure, model: nn.Module, updater: Updater) -> Verdict:
        """Compare the candidate, and say whether it may be used."""
        if self.saved is None and self.gate.compares:
            return Verdict(PROMOTE, None, self.move, (FIRST,))

        judged = self.gate.judge(self._compared(measure, model, updater))
        return Verdict(
            judged.outcome,
            None if self.saved is None else self.saved.manifest.version,
            self.move,
            lines_of(judged.reasons),
            {one_line(name): value for name, value in [*judged.measured.items()][:MOST]},
        )

    def _compared(self, measure: Measure, model: nn.Module, updater: Updater) -> Comparison | None:
        if not self.compares:
            return None

        assert self.saved is not None
        after = self._answers(measure, model, updater)
        pairs = {name: Pair(self.before[name], after[name]) for name in after}
        seconds = None
        if self.gate.times:
            seconds = (self.seconds, self._timed(measure, model, updater))

        bytes_before = self.saved.manifest.files["model.safetensors"].size
        tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        bytes_after = len(save({name: tensor.cpu().clone() for name, tensor in tensors.items()}))
        return Comparison(
            pairs[NEW],
            self.called,
            regression=pairs.get(REGRESSION),
            tests={name: pairs[_of_test(name)] for name in self.tests},
            classes=_of_classes(pairs[NEW], self.problem),
            slices={name: _of_rows(pairs[NEW], rows) for name, rows in self.slices.items()},
            seconds=seconds,
            sizes=(bytes_before, bytes_after),
            seed=self.seed,
        )

    def _answers(self, measure: Measure, model: nn.Module, updater: Updater) -> dict[str, Answers]:
        assert self.new is not None
        sets = {NEW: self.new} | {_of_test(name): each for name, each in self.tests.items()}
        if self.regression is not None:
            sets[REGRESSION] = self.regression.columns

        return {
            name: answers_of(
                measure.predictions(model, updater, columns), self.problem, measure.outputs
            )
            for name, columns in sets.items()
        }

    def _timed(self, measure: Measure, model: nn.Module, updater: Updater) -> float:
        """Seconds of a batch, the median of several."""
        if not self.gate.times:
            return 0.0

        assert self.new is not None
        part = {name: column[: measure.batch_size] for name, column in self.new.items()}
        found = []
        for _ in range(TIMED + 1):  # the first one warms up
            began = time.perf_counter()
            for outputs, _targets in measure.predictions(model, updater, part):
                outputs.cpu()
            found.append(time.perf_counter() - began)

        return statistics.median(found[1:])

    def files(self, val: Columns | None) -> Iterator[tuple[str, bytes | None]]:
        """Yield the regression set of the next version; see `regression_files`."""
        number = number_after(self.saved)
        yield from regression_files(self.regression, val, self.settings, number, self.seed)


def judging_of(
    job: Job, data: Data, chunk: Chunk, at: State, to: State, saved: Saved | None
) -> Judging | None:
    """The gate of an update, checked before anything is trained; None where no gate is asked.

    Raises:
        ConfigError: The rules can't be right, or aren't of this problem.
        DataError: There is nothing to compare by.
        StateError: The regression set isn't like the data, or another version is in use.
    """
    node = dict(job.config.get("gate") or {})
    if "_target_" not in node:
        return None

    settings = settings_of(node.pop(REGRESSION, {"per_update": 0, "size": 0}))
    asked = asked_slices(node.pop(SLICES, {}))
    gate = build(node, "gate", trust=job.config["trust"])
    if not isinstance(gate, Gate):
        raise ConfigError(f"gate._target_={node['_target_']}: expected a class derived from Gate")

    gate.check(data.problem)
    if asked and not gate.looks_at_slices:
        raise ConfigError(
            "gate.slices: gate.max_slice_drop=null asks nothing of slices: give it a limit, or {}"
        )
    tests = {name: test.columns for name, test in chunk.tests.items()}
    new = chunk.val
    called = "validation data"
    if new is None:
        called = "test data"
        new = _together(list(tests.values()))
    if new is None and saved is not None and gate.compares:
        raise DataError(
            "gate: there is neither validation nor test data to compare versions by: "
            "data.val_size=0.1, or gate=manual"
        )

    move = _move(job, at, to, saved)
    number = number_after(saved)
    return Judging(
        gate,
        data.problem,
        saved,
        new,
        called,
        tests if len(tests) > 1 else {},
        slices_of(asked, new, data.encoder) if new is not None else {},
        regression_of(saved, chunk.train, data.problem, settings["per_update"]),
        settings,
        derive(job.config["seed"], "gate", number),
        move,
    )


def _move(job: Job, at: State, to: State, saved: Saved | None) -> int:
    """The last move of `current` where the outcome goes, after a look whether the version that is
    compared is still the one in use.
    """
    if to.url != at.url:
        return int(job.ranks.broadcast(lambda: standing(State(to.url)).move))
    if saved is None:
        return 0

    used = job.ranks.broadcast(lambda: standing(State(at.url)).current)
    start = saved.manifest
    if used is not None and used.version != start.version:
        raise StateError(
            f"{at.url}: the gate compares with the version in use, which is {used.version}, and "
            f"this update starts from version {start.version}: renate state promote {at.url} "
            f"{start.version} first, or gate=none"
        )

    return (job.record.parent.move if job.record.parent else None) or 0


def _together(tests: list[Columns]) -> Columns | None:
    if not tests:
        return None
    found = of_examples(tests[0])
    for each in tests[1:]:
        found = extended(found, of_examples(each))
    return found


def _of_test(name: str) -> str:
    return f"test set {name}"


def _of_classes(pair: Pair, problem: Problem) -> dict[str, Pair]:
    """The pair on the examples of each class."""
    classes = pair.before.classes
    if classes is None:
        return {}

    found = {}
    for index in np.unique(classes).tolist():
        rows = classes == index
        name = f"class {problem.labels[index]}"
        found[name] = _of_rows(pair, rows)
    return found


def _of_rows(pair: Pair, rows: Flags) -> Pair:
    return Pair(pair.before.of(rows), pair.after.of(rows))
