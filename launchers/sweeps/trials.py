"""A tuner's trials as jobs of a launcher."""

import queue
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from functools import partial

from renate.errors import ConfigError
from renate.jobs.directory import Json
from renate.jobs.records import STOPPED, JobResult
from renate.tuning.trial import End, Report, Trial

from ..base import ComposedJob
from ..composing.launcher import HydraLauncher
from ..composing.starting import NotFirstError

Make = Callable[[Trial, int], ComposedJob]
MOMENT = 10.0  # seconds


class JobTrials:
    """Runs each trial as one job, or one per seed; of several, the mean counts.

    Args:
        launcher: Where they run; its `listener` becomes ours.
        make: (trial, seed's index) -> job.
        seeds: Jobs per trial.
        slots: Trials at a time.
        metrics: The objective, then the further ones.
    """

    def __init__(
        self, launcher: HydraLauncher, make: Make, *, seeds: int, slots: int, metrics: Sequence[str]
    ) -> None:
        self.launcher = launcher
        self.make = make
        self.seeds = seeds
        self.slots = slots
        self.metrics = metrics
        self.events: queue.Queue[tuple[int, int, Json | None, JobResult | None]] = queue.Queue()
        self.jobs: dict[int, list[ComposedJob]] = {}
        self.owner: dict[str, tuple[int, int]] = {}
        # Trial -> seed -> epoch -> the metrics' values.
        self.reached: dict[int, list[dict[int, list[float]]]] = {}
        self.results: dict[int, dict[int, JobResult]] = {}
        self.began: dict[int, float] = {}
        self.futures: dict[int, list[Future[JobResult]]] = {}
        launcher.listener = self._on_report

    def clock(self) -> float:
        """Seconds, from some moment on."""
        return time.monotonic()

    def start(self, trial: Trial) -> None:
        """Begin a trial, or go on with it where its folder has reports; one whose values don't fit
        what else is asked for ends at once.
        """
        self.results[trial.id] = {}
        self.began[trial.id] = time.monotonic()
        self.futures[trial.id] = []
        jobs: list[ComposedJob] = []

        try:
            jobs += [self.make(trial, k) for k in range(self.seeds)]
        except NotFirstError:
            raise
        except ConfigError as error:
            self.events.put((trial.id, 0, None, JobResult.failure(str(error))))

        self.jobs[trial.id] = jobs
        self.reached[trial.id] = [{} for _ in jobs]

        for k, job in enumerate(jobs):
            self.owner[job.id] = (trial.id, k)
            if (outcome := self.launcher.outcome_of(job)) is not None:
                job.record = replace(job.record, candidate=outcome)

            # What lies in the folder may be of a trial that had this number in another sweep.
            earlier = []
            if job.known():
                earlier = job.directory.reports()

            for row in earlier:
                self.events.put((trial.id, k, row.to_json(), None))

            future = self.launcher.start(job)
            self.futures[trial.id].append(future)
            future.add_done_callback(partial(self._done, trial.id, k))

    def _done(self, trial: int, k: int, future: Future[JobResult]) -> None:
        if future.cancelled():
            result = JobResult(STOPPED)
        else:
            result = future.result()

        self.events.put((trial, k, None, result))

    def stop(self, trial: Trial) -> None:
        """Tell a trial's jobs to end."""
        trial.seconds = time.monotonic() - self.began[trial.id]
        self._stop_jobs(trial.id)

    def when_over(self, trial: Trial, then: Callable[[], None]) -> None:
        """Call `then` as soon as no job of a trial runs any more.

        A stopped one may still be writing its outcome.
        """
        running = [future for future in self.futures.get(trial.id, ()) if not future.done()]
        if not running:
            then()

        for future in running:
            future.add_done_callback(
                lambda _: then() if all(one.done() for one in running) else None
            )

    def wait_for_stopped(self) -> None:
        """Give what was told to stop a moment to do so."""
        wait([future for futures in self.futures.values() for future in futures], timeout=MOMENT)

    def _stop_jobs(self, trial: int) -> None:
        for job, future in zip(self.jobs[trial], self.futures[trial], strict=True):
            if not future.cancel() and not future.done():
                self.launcher.stop(job)

    def _on_report(self, job: ComposedJob, report: Json) -> None:
        if job.id in self.owner:  # the launcher may go on with other jobs
            self.events.put((*self.owner[job.id], report, None))

    def next(self, timeout: float | None) -> Report | End | None:
        """See `renate.tuning.sweep.Backend`; waits a second at most, so that Ctrl-C is heard."""
        until = time.monotonic() + (1.0 if timeout is None else min(timeout, 1.0))
        while (left := until - time.monotonic()) > 0:
            try:
                trial, k, report, result = self.events.get(timeout=left)
            except queue.Empty:
                return None

            event: Report | End | None = None
            if report is not None:
                event = self._reported(trial, k, report)
            elif result is not None:
                event = self._ended(trial, k, result)

            if event is not None:
                return event

        return None

    def _reported(self, trial: int, k: int, report: Json) -> Report | None:
        if report.get("update") or any(metric not in report for metric in self.metrics):
            return None  # within a stream, whose objective is known at its end
        if any(report[metric] is None for metric in self.metrics):
            return None  # no number: no point of the curve, and worse than any

        every = self.jobs[trial][k].config.trainer.report_every
        if every is None:
            step = report["epoch"]
        else:
            step = report["step"] // every

        reached = self.reached[trial]
        new = step not in reached[k]
        reached[k][step] = [float(report[metric]) for metric in self.metrics]
        if not new or any(step not in one for one in reached):
            return None

        value, *secondary = (
            statistics.fmean(values) for values in zip(*(one[step] for one in reached), strict=True)
        )

        return Report(trial, step, value, tuple(secondary))

    def _ended(self, trial: int, k: int, result: JobResult) -> End | None:
        results = self.results[trial]
        seconds = time.monotonic() - self.began[trial]
        results[k] = result
        if not result.completed:
            self._stop_jobs(trial)
            return End(trial, "failed", None, seconds, result.reason)
        if len(results) < self.seeds:
            return None

        values = [one.value for one in results.values() if one.value is not None]
        mean = None
        if len(values) == self.seeds:
            mean = statistics.fmean(values)

        return End(trial, "completed", mean, seconds, None, self._further([*results.values()]))

    def _further(self, results: Sequence[JobResult]) -> tuple[float, ...]:
        """The means of the further objectives: those of a stream; an update's were reported."""
        found = [[one.metrics.get(metric) for one in results] for metric in self.metrics[1:]]
        means = []

        for values in found:
            known = [float(value) for value in values if value is not None]
            if len(known) < len(values):
                return ()
            means.append(statistics.fmean(known))

        return tuple(means)
