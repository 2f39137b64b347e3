"""From a state, a job's directory, or several of these to what a page says."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from renate.errors import JobError, NoVersionError, printable
from renate.jobs.directory import JobDirectory
from renate.jobs.records import UNFINISHED, JobRecord, JobResult, ReportRow
from renate.jobs.reporting.configs import changed, config_of, telling
from renate.jobs.reporting.drift import checks_in
from renate.jobs.reporting.simulations import slices_of
from renate.jobs.reporting.sweeps import tuning_of
from renate.jobs.reporting.versions import deploy_of, measure_of, updates_of
from renate.jobs.scoring.matrix import Shown, by_chunk, summarise
from renate.report.facts import (
    COMPARISON,
    SIMULATION,
    STATE,
    STREAM,
    SWEEP,
    Curve,
    Matrix,
    Report,
    Run,
    Slice,
)
from renate.report.versions import Measure, Update
from renate.state.aliases.standing import standing
from renate.state.manifest import Manifest
from renate.state.versions import State
from renate.tuning.on_disk.sweep_record import SweepRecord

NOT_RECORDED = (
    "confusion, calibration and accuracy by class: this release records them with every version "
    "that has classes and test data; versions of earlier ones have none"
)


def report_of_state(url: str, run_dir: Path | None = None) -> Report:
    """Return what there is to tell of a state.

    Args:
        url: Of the state.
        run_dir: Where jobs that looked for drift are; None: nowhere.

    Raises:
        NoVersionError: It holds no version.
        CorruptError: A file isn't what an update writes.
    """
    state = State(url)
    updates = updates_of(state)
    newest = state.manifest(updates[-1].version)
    deploy = deploy_of(state, newest)
    config = config_of(state, newest)
    used = standing(state).current
    measure = measure_of(deploy, updates[-1], config)
    drift = checks_in(run_dir, url) if run_dir is not None and run_dir.is_dir() else []

    report = Report(
        STATE,
        title=_name(state.url),
        source=url,
        measure=measure,
        labels=[printable(label) for label in deploy["labels"]],
        updates=updates,
        gone=max(state.numbers(), default=0) - len(updates),
        used=used.version if used is not None else None,
        drift=drift,
        changed=_changed(state, newest, config),
        settings=telling(config),
        command=_command(newest.lineage.get("overrides")),
        packages=_packages(newest.lineage.get("packages")),
    )
    if measure is not None and all(_is_of_stream(update) for update in updates):
        report = _with_matrix(report, measure)

    return replace(report, missing=_missing(report, run_dir))


def _name(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2] or url


def _command(overrides: Any) -> str:
    if not isinstance(overrides, list):
        return ""
    return shlex.join(["renate", *(str(each) for each in overrides)])


def _packages(found: Any) -> str:
    if not isinstance(found, dict):
        return ""
    return ", ".join(f"{name} {version}" for name, version in found.items())


def _changed(
    state: State, newest: Manifest, config: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """What differs between a version's config and its parent's, where both can be read."""
    parent = newest.parent
    if parent is None:
        return []

    source = state if parent.url is None else State(parent.url)
    try:
        before = source.manifest(parent.version)
    except NoVersionError:
        return []
    return changed(config_of(source, before), config)


def _is_of_stream(update: Update) -> bool:
    return any(name == "stream" and text.startswith("update ") for name, text in update.lineage)


def _with_matrix(report: Report, measure: Measure) -> Report:
    """Add a stream's matrix and its metrics, as the stream itself computes them."""
    rows = [by_chunk(update.after, measure.name) for update in report.updates]
    if not rows[0] or any(list(row) != list(rows[0]) for row in rows):
        return report
    if len(rows) > len(rows[0]):
        return report

    history = [
        {"before": one.before, "after": one.after, "counts": one.counts} for one in report.updates
    ]
    history[0]["before"] = report.updates[0].untrained
    if len(by_chunk(report.updates[0].untrained, measure.name)) != len(rows[0]):
        return report

    found = summarise(history, Shown(measure.name, measure.mode or "max"))
    matrix = Matrix(list(rows[0]), [list(row.values()) for row in rows])
    return replace(report, kind=STREAM, matrix=matrix, metrics=found)


def report_of_job(directory: JobDirectory, run_dir: Path | None = None) -> Report:
    """Return what there is to tell of a stream or an update: its state, and what it has reported
    on the way.

    Raises:
        JobError: It has left no state.
    """
    result = directory.result or JobResult(UNFINISHED)
    record = directory.record
    name = directory.path.name
    if not result.completed:
        raise JobError(f"{name}: {result.reason}: there is nothing to report on yet")
    if result.url is None or result.version is None:
        raise JobError(
            f"{name}: it has published no version: renate state publish {name}, or a report on "
            "the state, renate report URL"
        )

    url = result.url if "://" in result.url else str(Path(record.cwd, result.url))
    report = report_of_state(url, run_dir)
    report = replace(
        report,
        curves=_curves(directory.reports()),
        command=_command(list(record.overrides)),
        title=_title(record, report),
    )
    if report.kind == STREAM:
        report = replace(report, metrics=result.metrics)

    slices = slices_of(directory.path)
    if slices:
        report = _of_simulation(report, record, result, slices)

    return report


def _of_simulation(
    report: Report, record: JobRecord, result: JobResult, slices: Sequence[Slice]
) -> Report:
    measure = report.measure
    if result.metric is not None:
        measure = Measure(result.metric, result.mode)
    return replace(
        report,
        kind=SIMULATION,
        title=f"simulation {record.id}",
        measure=measure,
        metrics=result.metrics,
        slices=slices,
    )


def _title(record: JobRecord, report: Report) -> str:
    if report.kind == STREAM:
        return f"stream {record.id}"
    return report.title


def _curves(rows: Sequence[ReportRow]) -> list[Curve]:
    """What was reported, by update: metric -> (step, value)."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        points = found.setdefault(row.update, {})
        for name, value in row.metrics.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if name not in ("epoch", "step") and "/" not in name and is_number:
                points.setdefault(name, []).append((float(row.step), float(value)))

    return [Curve(name, points) for name, points in found.items()]


def report_of_sweep(folder: Path, run_dir: Path | None = None) -> Report:
    """Return what there is to tell of a tuner's sweep, and of the state that its winner went to.

    Raises:
        JobError: The folder is no sweep's, or it holds no trial yet.
    """
    record = SweepRecord.read(folder)
    tuning = tuning_of(folder, record)
    result = JobDirectory(folder).result or JobResult(UNFINISHED)
    source = str(folder)
    report = Report(SWEEP, title=record.id, source=source, tuning=tuning)
    if result.version is not None:
        to = record.to if "://" in record.to else str(Path(record.cwd, record.to))
        report = replace(
            report_of_state(to, run_dir), kind=SWEEP, title=report.title, tuning=tuning
        )

    return replace(report, command=_command(list(record.overrides)))


def report_of_runs(
    title: str, runs: Sequence[Run], measure: Measure | None, shared: list[str]
) -> Report:
    """Return what there is to tell of several jobs side by side.

    Args:
        title: What they are called together.
        runs: The jobs.
        measure: The metric of their matrices; None where nobody knows.
        shared: Overrides that all of them have.
    """
    return Report(
        COMPARISON,
        title=title,
        source=title,
        measure=measure,
        runs=runs,
        command=_command(shared),
    )


def run_of(folder: Path, result: JobResult, name: str, group: str) -> Run:
    """Return one of several jobs, which ran in a folder."""
    return Run(
        name,
        group,
        result.status,
        result.metrics,
        rows=[list(row) for row in result.matrix or []],
        seconds=result.seconds,
        error=result.error,
        slices=slices_of(folder),
    )


def _missing(report: Report, run_dir: Path | None) -> list[str]:
    """What a page of a state would show and the records don't have."""
    found = []
    if report.measure is None:
        found.append("metrics: no version was measured; give test data, data.test=…")
    elif report.measure.mode is None:
        found.append(
            f"better or worse: nothing says which way {report.measure.name} is better; "
            "objective.mode=max or min"
        )
    if report.gone:
        found.append(f"{report.gone} older versions: removed by renate state gc")
    if not any(update.answers for update in report.updates):
        found.append(NOT_RECORDED)
    if all(update.memory is None for update in report.updates):
        found.append(
            "what the memory holds by class: it is empty, or an earlier release made the versions"
        )
    if not report.drift:
        where = f" of {run_dir}" if run_dir is not None else ""
        found.append(f"drift: no job{where} has looked for it; renate job=detect does")

    return found
