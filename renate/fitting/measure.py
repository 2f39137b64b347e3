"""Measures a model on columns of data, outside of any fit, and leaves it as it was."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from copy import copy, deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from renate.data.batch import BatchTransform, Columns, length
from renate.data.items.served import in_order
from renate.data.model_inputs import ModelInputs
from renate.errors import JobError
from renate.fitting.measured.answer_counter import AnswerCounter
from renate.fitting.measured.values import EACH, Share, check_defined, numbers_of
from renate.libraries.torchmetrics import is_of_curves
from renate.losses.weighted import divisor
from renate.models.own.untouched import untouched
from renate.problems.base import Problem
from renate.state.measured.answer_counts import AnswerCounts
from renate.threads import Threads, Work, computing_with
from renate.updaters.base import Updater

TOGETHER = 1 << 18  # logits that metrics are given at a time, at least


def widened(logits: Tensor) -> Tensor:
    """Logits in 32 bits at least: metrics are computed in what they are given."""
    if logits.element_size() < 4:
        return logits.float()
    return logits


def _in_32_bits(criterion: nn.Module) -> nn.Module:
    """A criterion that takes widened logits: its weights of classes were cast with the model."""
    own = [*criterion.parameters(), *criterion.buffers()]
    if all(each.element_size() >= 4 for each in own if each.is_floating_point()):
        return criterion
    return deepcopy(criterion).float()


def _computed(name: str, metric: Metric) -> Any:
    """A metric's value.

    Raises:
        JobError: It has none of these examples, as R² of a single one.
    """
    try:
        with warnings.catch_warnings():
            # `check_defined` has refused what this would spoil
            warnings.filterwarnings("ignore", "No positive samples in targets")
            return metric.compute()
    except ValueError as error:
        reason = (str(error).splitlines() or ["no message"])[0]
        raise JobError(f"metrics.{name}: {reason}; give more examples to measure on") from error


def _mean(loss: float, terms: float) -> float:
    """The loss of so many terms, or of terms that weigh so much.

    Raises:
        JobError: They weigh nothing.
    """
    if not terms:
        raise JobError(
            "loss.weight is 0 for every class that these data have, so there is no loss of them: "
            "measure on other data, or give these classes a weight"
        )
    return loss / terms


@dataclass(frozen=True)
class _KnownWork:
    """The threads that a model's work on batches of one shape was found to be for."""

    model: nn.Module
    shape: torch.Size
    threads: int


@dataclass
class Measure:
    """Measures a model on columns of data, outside of any fit.

    Attributes:
        metrics: name -> metric of (answers, truths), see `Problem`: of classes logits [B, C] and
            indices [B].
        criterion: Its mean over the examples is the metric `loss`; where it weighs classes, the
            weighted mean.
        transform: The test transform; its device is where the model is measured.
        batch_size: Examples at a time.
        outputs: How many of the model's outputs count, None for all: the version in use has none
            for newer labels.
        parts: Name -> some of the classes; what of their examples is right is told apart.
        notes_answers: Whether it notes which answers are right, and counts them.
        right: Of the columns measured last, whether each answer is right, bool [N]; None where
            that isn't noted, or answers aren't one of several classes.
        counted: Of the same, how often which class was answered for which; None as above.
        threads: What the process may compute with on a CPU; None leaves torch's setting. The work
            of the first batch says how many threads the others get.
    """

    metrics: Mapping[str, Metric]
    criterion: nn.Module
    transform: BatchTransform
    batch_size: int
    problem: Problem
    outputs: int | None = None
    threads: Threads | None = None
    parts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    notes_answers: bool = False
    right: Tensor | None = field(default=None, init=False)
    counted: AnswerCounts | None = field(default=None, init=False)
    _known_work: _KnownWork | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.transform = copy(self.transform)
        self.transform.casts_targets = False

    def __call__(
        self, model: nn.Module, updater: Updater, columns: Columns, classes: list[int] | None = None
    ) -> dict[str, float]:
        """Return each metric and the loss; with `classes` also `task_accuracy`, all other
        classes' logits masked.
        """
        device = self.transform.device
        model.to(device)
        updater.to(device)
        with untouched(model, updater):
            return self._measured(model, updater, columns, classes)

    def predictions(
        self, model: nn.Module, updater: Updater, columns: Columns
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield outputs and targets of all columns, in their order, as they are measured."""
        device = self.transform.device
        model.to(device)
        updater.to(device)
        with untouched(model, updater):
            yield from self._predictions(model, updater, columns)

    def _counted(self, logits: Tensor) -> Tensor:
        """Outputs of which no further one is ever an answer: fresh weights would now and then
        win.
        """
        width = max(logits.shape[1], self.problem.outputs)
        if self.outputs is None or self.outputs >= width:
            return logits

        known = logits[:, : self.outputs]
        rest = self.problem.never(known).expand(-1, width - self.outputs)
        return torch.cat([known, rest], 1)

    def _measured(
        self, model: nn.Module, updater: Updater, columns: Columns, classes: list[int] | None
    ) -> dict[str, float]:
        device = self.transform.device
        criterion = _in_32_bits(self.criterion)
        loss = torch.zeros((), device=device)
        known = torch.zeros((), device=device, dtype=torch.int64)
        for metric in self.metrics.values():
            metric.to(device).reset()

        rows = length(columns)
        terms: Tensor | int = 0
        counted: list[Tensor] = []
        right = {name: Share() for name in self.parts}
        each: list[Tensor] = []
        every = range(self.problem.classes if self.notes_answers else 0)
        counter = AnswerCounter(self.problem, self.outputs)
        for logits, targets in self._predictions(model, updater, columns):
            logits = widened(logits)
            if targets.is_floating_point():
                targets = targets.to(logits.dtype)
            weight = divisor(criterion, targets, self.problem.terms(targets))
            loss += criterion(logits, targets) * weight
            terms += weight
            answers = self.problem.scored(logits)
            truths = self.problem.truths(targets)
            counted += self._label_counts(truths)
            for name, share in right.items():
                share.take(logits, targets, self.parts[name])
            for metric in self.metrics.values():
                metric.update(answers, truths)
            if every:
                each.append(self.problem.correct(logits, targets, every).cpu())
                counter.take(logits, targets)
            if classes is not None:
                known += self.problem.correct(logits, targets, classes).sum()

        self.right = torch.cat(each) if each else None
        self.counted = counter.counts()
        result = self._computed(counted, rows)
        result["loss"] = _mean(float(loss), float(terms))
        shares = {name: share.value for name, share in right.items()}
        result |= {f"accuracy/{name}": v for name, v in shares.items() if v is not None}
        if classes is not None:
            result["task_accuracy"] = int(known) / rows

        return result

    def _label_counts(self, truths: Tensor) -> list[Tensor]:
        """How many examples each label has, where a metric depends on that: one tensor, or none."""
        if not any(name.endswith(EACH) or is_of_curves(m) for name, m in self.metrics.items()):
            return []

        counts = self.problem.counts(truths)
        return [] if counts is None else [counts]

    def _computed(self, counted: Sequence[Tensor], rows: int) -> dict[str, float]:
        """What the metrics come to on so many examples, whose labels were counted."""
        labels = self.problem.labels
        has_example = dict.fromkeys(labels, True)
        if counted:
            counts = torch.stack([*counted]).sum(0)
            has_example = dict(zip(labels, (counts > 0).tolist(), strict=True))
            for name, metric in self.metrics.items():
                check_defined(name, metric, counts, rows, labels)

        result: dict[str, float] = {}
        for name, metric in self.metrics.items():
            result |= numbers_of(name, _computed(name, metric), has_example)

        return result

    def _predictions(
        self, model: nn.Module, updater: Updater, columns: Columns
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits and targets, of so many batches together that what is done with them costs
        little beside them.
        """
        waiting: list[tuple[Tensor, Tensor]] = []
        on_cpu = self.transform.device.type == "cpu"
        asks = self.threads is not None and on_cpu and length(columns) > self.batch_size
        with ExitStack() as computing:
            for part in in_order(columns, self.batch_size):
                batch = self.transform(part)
                if asks:
                    logits, threads = self._first(model, updater, batch.inputs)
                    computing.enter_context(computing_with(threads))
                    asks = False
                else:
                    logits = updater.predict(model, batch.inputs)

                waiting.append((self._counted(logits), batch.targets))
                if sum(part.numel() for part, _ in waiting) > TOGETHER:
                    yield _joined(waiting)
                    waiting = []

            if waiting:
                yield _joined(waiting)

    def _first(self, model: nn.Module, updater: Updater, inputs: ModelInputs) -> tuple[Tensor, int]:
        """The outputs of a first batch, and the threads that its work says. Counting takes as long
        as some batches do, so that the many test sets of a stream are asked once.
        """
        assert self.threads is not None
        known = self._known_work
        shape = inputs.shape if isinstance(inputs, Tensor) else None
        if known is not None and known.model is model and known.shape == shape:
            return updater.predict(model, inputs), known.threads

        with Work() as work:
            logits = updater.predict(model, inputs)

        threads = self.threads.count(work)
        if shape is not None:
            self._known_work = _KnownWork(model, shape, threads)
        return logits, threads


def _joined(parts: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    logits, targets = zip(*parts, strict=True)
    if len(parts) > 1:
        return (torch.cat(logits), torch.cat(targets))
    return parts[0]
