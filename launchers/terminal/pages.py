"""The page that a command ends with: of a stream, of a sweep, of several jobs side by side.

It is drawn by the command, never by a worker. What is needed for it is imported when the jobs are
done, or while a stream takes its last steps, for which the command waits idle.
"""

import hashlib
import importlib
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from renate.errors import ConfigError, RenateError, nearest, printable
from renate.jobs.records import JobResult

from ..base import ComposedJob
from .console import relative
from .progress import JSON, Progress

if TYPE_CHECKING:
    from renate.report.facts import Report

FOLDER = "report"
PAGE = "report.html"
AUTO = "auto"
NONE = "none"
DRAWN = ("stream", "simulate")  # jobs that have a page of their own
COMPARED = ("stream", "simulate", "update")  # several of them have one together

# What takes time to import, of what draws a page
SLOW = (
    "renate.jobs.reporting.assembled",
    "renate.report.written",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "jinja2",
)

Outcome = Sequence[tuple[ComposedJob, JobResult]]


def check_wish(wish: object) -> None:
    """Return if the key `report` is right. Raises ConfigError."""
    if wish not in (AUTO, NONE):
        raise ConfigError(
            f"report={wish}: expected {AUTO} or {NONE}{nearest(str(wish), (AUTO, NONE))}"
        )


def expect(progress: Progress, jobs: Sequence[ComposedJob]) -> None:
    """Have what draws the page of a stream imported while its last steps are taken."""
    if len(jobs) == 1 and jobs[0].kind in DRAWN and jobs[0].config.report == AUTO:
        progress.when_near_end = threading.Thread(target=_import_slow, daemon=True).start


def _import_slow() -> None:
    # Whoever draws the page imports it again, and is told what can't be
    with suppress(Exception):
        for name in SLOW:
            importlib.import_module(name)


def of_jobs(progress: Progress, jobs: Outcome) -> None:
    """Write the page of a stream, or the one of several jobs."""
    if any(job.config.report != AUTO for job, _ in jobs):
        return

    completed = [(job, result) for job, result in jobs if result.completed]
    if len(jobs) == 1 and completed and jobs[0][0].kind in DRAWN:
        of_job(progress, jobs[0][0])
    elif len(completed) > 1 and all(job.kind in COMPARED for job, _ in jobs):
        _of_several(progress, jobs)


def of_job(progress: Progress, job: ComposedJob) -> None:
    """Write the page of one job into its directory."""

    def collect() -> "Report":
        from renate.jobs.reporting.assembled import report_of_job

        return report_of_job(job.directory, job.directory.path.parent)

    folder = job.directory.path
    write(progress, collect, folder / FOLDER, newer_than=folder / "result.json")


def of_sweep(progress: Progress, folder: Path) -> None:
    """Write the page of a tuner's sweep into its folder."""

    def collect() -> "Report":
        from renate.jobs.reporting.assembled import report_of_sweep

        return report_of_sweep(folder, folder.parent)

    write(progress, collect, folder / FOLDER, newer_than=folder / "result.json")


def of_state(progress: Progress, url: str, folder: Path) -> None:
    """Write the page of a state that a command has made, version by version."""

    def collect() -> "Report":
        from renate.jobs.reporting.assembled import report_of_state

        return report_of_state(url, folder.parent)

    write(progress, collect, folder / FOLDER)


def _of_several(progress: Progress, jobs: Outcome) -> None:
    def collect() -> "Report":
        from renate.jobs.reporting.assembled import report_of_runs, run_of
        from renate.report.versions import Measure

        from .tables import without_seed

        runs = [
            run_of(job.directory.path, result, job.name, without_seed(job.name))
            for job, result in jobs
        ]
        known = [result for _, result in jobs if result.metric is not None]
        measure = None
        if known:
            measure = Measure(str(known[0].metric), known[0].mode)
        shared = [
            line for line in jobs[0][0].overrides if all(line in j.overrides for j, _ in jobs)
        ]
        return report_of_runs(name, runs, measure, shared)

    ids = " ".join(job.id for job, _ in jobs)
    name = f"comparison-{hashlib.sha256(ids.encode()).hexdigest()[:10]}"
    write(progress, collect, jobs[0][0].directory.path.parent / name)


def write(
    progress: Progress,
    collect: Callable[[], "Report"],
    folder: Path,
    newer_than: Path | None = None,
) -> None:
    """Write a page and say where it is, or in one line why there is none: the jobs are done, and
    what they came to stands.

    Args:
        progress: Says in which mode.
        collect: Gives the facts.
        folder: Where to.
        newer_than: A page that is there and younger than this file stays as it is.
    """
    page = folder / PAGE
    if newer_than is None or not _is_newer(page, newer_than):
        try:
            from renate.report.figures.style import check_installed
            from renate.report.written import write_report

            check_installed()
            page = write_report(collect(), folder)
        except RenateError as error:
            _say(progress, f"none: {error} (report=none asks for none)", why=str(error))
            return
        # Whatever can't be drawn, the jobs are done: no exit status may say otherwise
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            _say(progress, f"none: {printable(why)}", why=why)
            return

    _say(progress, relative(page), path=str(page))


def _say(progress: Progress, words: str, **content: str) -> None:
    if progress.is_for_people:
        print(f"report      {words}", flush=True)
    elif progress.mode == JSON:
        progress.json.write("page", **content)


def _is_newer(page: Path, other: Path) -> bool:
    with suppress(OSError):
        return page.stat().st_mtime >= other.stat().st_mtime
    return False
