"""What a policy may ask of a job: computed once, when it is asked for."""

import math
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import torch

from renate.build import build
from renate.data.base import Data
from renate.data.batch import Columns, length
from renate.data.items.stored import drawn, extended, of_examples
from renate.errors import ConfigError, StateError
from renate.fitting.measure import Measure
from renate.fitting.trainer import device_of
from renate.jobs.building.network import sizes
from renate.jobs.context import Job
from renate.jobs.detecting.looks import effects_here, kept_effects
from renate.jobs.detecting.reference import reference_of
from renate.jobs.saved.published import measure_as_published, model_of, updater_of
from renate.jobs.saved.restore import Saved
from renate.jobs.scoring.measured import check_numbers, measure_of
from renate.policy.base import Score
from renate.seeds import derive
from renate.shift.detector import Detector, Drift, Samples
from renate.shift.two_sample import Matrix
from renate.shift.views import CATEGORY, View, encoded_columns, vectors_of, views_of
from renate.state.contents import metrics_from

TRAINED_ON = "the model's answers aren't compared: the reference was trained on; data.val_size=0.1"
TARGET = "renate.shift.detector.Detector"
SHARE = "accuracy"  # the metric that is the share of right answers
CLOCKS = 3600.0  # seconds by which the clocks of two machines may differ


class JobSituation:
    """A job's new data beside the version in use.

    Args:
        job: The job.
        data: What it has read.
        saved: The version.
        detector: How drift is told.
    """

    def __init__(self, job: Job, data: Data, saved: Saved, detector: Detector) -> None:
        self.job = job
        self.data = data
        self.saved = saved
        self.detector = detector
        self.seed = derive(job.config["seed"], "detect", saved.next)

    def new_examples(self) -> int:
        """Rows to train on and to validate by."""
        val = self.data.val
        return length(self.data.train) + (0 if val is None else length(val))

    def made(self) -> datetime:
        """When the version's manifest was made."""
        created = self.saved.manifest.created
        try:
            made = datetime.fromisoformat(created)
        except ValueError:
            raise StateError(
                f"{self.saved.state.url}: {self.saved.manifest} was made at '{created}', which is "
                "no time"
            ) from None

        if made.tzinfo is None:
            made = made.replace(tzinfo=UTC)
        if (self.now() - made).total_seconds() < -CLOCKS:
            raise StateError(
                f"{self.saved.state.url}: {self.saved.manifest} was made at {created}, which is "
                "still to come: one of two clocks is wrong, so its age can't be told"
            )
        return made.astimezone(UTC)

    def now(self) -> datetime:
        """By this machine's clock."""
        return datetime.now(UTC)

    def age(self) -> float:
        """Seconds since the version's manifest was made."""
        return max(0.0, (self.now() - self.made()).total_seconds())

    def training_seconds(self) -> float:
        """As its lineage says."""
        return training_seconds_of(self.saved)

    def drift(self) -> Drift:
        """Compare the training side of the new data with the reference."""
        return self._drift

    def earlier_effects(self) -> list[float]:
        """Those that the version keeps, and those of this run directory since it was made."""
        return [*kept_effects(self.saved), *effects_here(self.job, self.saved)]

    @property
    def found(self) -> Drift | None:
        """What this look has found; None where nobody asked for it."""
        return self._drift if "_drift" in self.__dict__ else None

    @cached_property
    def _drift(self) -> Drift:
        reference = reference_of(self.saved, self.data.train)
        most = self.detector.max_examples
        before = drawn(reference.columns, most, self.seed)
        now = drawn(of_examples(self.data.train), most, self.seed)
        samples = Samples(
            views_of(before, now, self.data.inputs, encoded_columns(self.saved.encoder)),
            _both(vectors_of(before, self.seed), vectors_of(now, self.seed)),
            (self._answers(before), self._answers(now)) if reference.is_held_out else None,
            self._labels(before, now),
            (length(before), length(now)),
            () if reference.is_held_out else (TRAINED_ON,),
        )
        found = self.detector.compare(samples, self.seed)
        if not self.data.new_labels:
            return found

        named = ", ".join(repr(label) for label in self.data.new_labels[:5])
        return Drift(
            found.moved,
            found.level,
            found.examples,
            [f"labels {named} were never seen", *found.notes],
            found.skipped,
        )

    def _labels(self, before: Columns, now: Columns) -> View | None:
        if not self.data.problem.classes:
            return None
        targets = (before["targets"].numpy(), now["targets"].numpy())
        return View("labels", CATEGORY, *targets)

    @cached_property
    def _network(self) -> tuple[Any, Any, Measure]:
        job = self.job
        self.saved.sizes_for(sizes(self.data))
        model = model_of(job, self.saved)
        updater = updater_of(job, self.saved, model, self.saved.problem)
        device = device_of(job.config["trainer"])
        measure = measure_of(job, device, self.saved.problem, updater.criterion)
        return model, updater, measure_as_published(job, measure, self.saved)

    def _answers(self, columns: Columns) -> Matrix:
        model, updater, measure = self._network
        found = []
        for outputs, targets in measure.predictions(model, updater, columns):
            found.append(measure.problem.compared(outputs, targets).cpu())

        together: Matrix = torch.cat(found).numpy()
        return together

    def score(self) -> Score:
        """Measure the version on the new data."""
        return self._score

    @cached_property
    def _score(self) -> Score:
        if self.data.new_labels:
            raise ConfigError(
                f"labels {self.data.new_labels[:5]} are new to version "
                f"{self.saved.manifest.version}, so its score on these data says nothing: ask for "
                "drift or amount"
            )

        problem = self.saved.problem
        expected = own_score(self.saved, problem.metric)
        model, updater, measure = self._network
        columns = of_examples(self.data.train)
        if self.data.val is not None:
            columns = extended(columns, of_examples(self.data.val))

        measured = measure(model, updater, columns)
        check_numbers("new data", measured)
        now = measured[problem.metric]
        errors = None
        if problem.metric == SHARE:
            errors = max(0.0, expected - now) * length(columns)
        return Score(problem.metric, expected, now, problem.mode, errors)


def training_seconds_of(saved: Saved) -> float:
    """What the update took that made a version, as its lineage says.

    Raises:
        StateError: It doesn't say.
    """
    found: Any = saved.manifest.lineage.get("seconds")
    if type(found) not in (int, float) or not 0 <= found < math.inf:
        raise StateError(
            f"{saved.state.url}: {saved.manifest} doesn't say how long its training took: "
            f"lineage.seconds is {found!r}"
        )
    return float(found)


def own_score(saved: Saved, metric: str) -> float:
    """What a version was worth on its tests when it was made, the mean of several.

    Raises:
        StateError: It wasn't measured by that metric.
    """
    where = f"{saved.state.url}: 'metrics.json' of {saved.manifest}"
    after = metrics_from(saved.state.read(saved.manifest, "metrics.json"), where)["after"]
    own = [scores[metric] for scores in after.values() if metric in scores]
    if not own:
        raise StateError(
            f"{where}: it wasn't measured by {metric}, so that it has no score of its own: give "
            "its update data.test, or ask for drift or amount"
        )
    return float(sum(own) / len(own))


def detector_of(job: Job) -> Detector:
    """The detector that the group `job` describes; of an update as `job=detect` has it."""
    from renate.build import shipped

    settings = job.config["job"].get("detector") or shipped("job", "detect")["detector"]
    detector: Detector = build({"_target_": TARGET, **settings}, "job.detector")
    return detector


def _both(before: Matrix | None, now: Matrix | None) -> tuple[Matrix, Matrix] | None:
    if before is None or now is None:
        return None
    return before, now
