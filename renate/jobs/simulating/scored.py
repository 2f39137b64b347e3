"""What the version in use is worth on a slice of data, before anything is trained on it."""

from dataclasses import replace
from typing import Any

from renate.data.base import Data
from renate.data.batch import length
from renate.errors import ConfigError, JobError, nearest
from renate.fitting.measure import Measure
from renate.fitting.trainer import device_of
from renate.jobs.builders import criterion_of, dtype_of
from renate.jobs.context import Job
from renate.jobs.detecting.situation import SHARE
from renate.jobs.saved.published import measure_as_published, model_of, updater_of
from renate.jobs.saved.restore import Saved
from renate.jobs.scoring.measured import check_numbers, measure_of
from renate.jobs.simulating.incoming import all_of
from renate.problems.base import Problem

LOSS = "loss"


class Scorer:
    """Scores slices by the version in use, which is loaded once.

    Args:
        job: Says by which metrics.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.asked = job.config["job"]["metric"]
        self.version: int | None = None
        self.parts: tuple[Any, Any] | None = None

    def metric_of(self, problem: Problem) -> str:
        """What slices are scored by."""
        return problem.metric if self.asked is None else str(self.asked)

    def __call__(self, saved: Saved, data: Data) -> tuple[float | None, int | None]:
        """Return the score and the number of wrong answers; None for what isn't defined.

        Raises:
            JobError: The score is no number.
        """
        model, updater = self._loaded(saved, data)
        job = self.job
        device = device_of(job.config["trainer"])
        measure = measure_of(job, device, data.problem, updater.criterion)
        measure = measure_as_published(job, measure, saved)
        name = self.metric_of(data.problem)
        columns = all_of(data)
        counted = {SHARE} if data.problem.metric == SHARE else set()
        found = self._measured(measure, {name, *counted}, model, updater, columns)
        if found is None:
            found = self._measured(measure, counted, model, updater, columns) or {}

        score = found.get(name)
        if score is not None:
            check_numbers("slice", {name: score})

        errors = None
        if counted:
            errors = round((1 - found[SHARE]) * length(columns))
        return score, errors

    def _measured(
        self, measure: Measure, names: set[str], model: Any, updater: Any, columns: Any
    ) -> dict[str, float] | None:
        """What these metrics say; None where one of them isn't defined on such examples."""
        some = {name: metric for name, metric in measure.metrics.items() if name in names}
        try:
            return replace(measure, metrics=some)(model, updater, columns)
        except JobError as error:
            if names <= {SHARE}:
                raise
            text = f"{self.job.prefix}: {error}: it has no score"
            self.job.emit({"event": "report", "text": text, "always": True})
            return None

    def mode_of(self, problem: Problem) -> str:
        """Which way the score is better.

        Raises:
            ConfigError: It isn't measured, or nothing says which way it is better.
        """
        name = self.metric_of(problem)
        if name == problem.metric:
            return problem.mode
        if name == LOSS:
            return "min"

        metrics = measure_of(self.job, "cpu", problem, criterion_of(self.job, problem)).metrics
        if name not in metrics:
            known = [*metrics, LOSS]
            raise ConfigError(
                f"job.metric={name}: not measured{nearest(name, known)} ({', '.join(known)})"
            )
        better = getattr(metrics[name], "higher_is_better", None)
        if better is None:
            raise ConfigError(
                f"job.metric={name}: nothing says whether more or less of it is better: choose "
                f"{problem.metric}, or another one"
            )
        return "max" if better else "min"

    def _loaded(self, saved: Saved, data: Data) -> tuple[Any, Any]:
        version = saved.manifest.version
        if self.parts is None or self.version != version:
            model = model_of(self.job, saved)
            updater = updater_of(self.job, saved, model, saved.problem)
            dtype = dtype_of(self.job.config["trainer"])
            if dtype is not None:
                model.to(dtype)
                updater.to(dtype)
            self.parts = (model, updater)
            self.version = version
        return self.parts
