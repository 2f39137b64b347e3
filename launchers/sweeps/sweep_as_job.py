"""A sweep that is one job on another machine: what it asks for there, and what becomes of it
here.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from renate.errors import ConfigError, JobError
from renate.jobs.config_yaml import dump
from renate.jobs.directory import JobDirectory, Json, write_json
from renate.jobs.records import JobRecord, JobResult
from renate.tuning.on_disk.sweep_record import RECORD, PinnedSweep

from ..base import ComposedJob, name_apart
from ..composing.launcher import HydraLauncher
from ..links import link_latest
from ..terminal import report
from .tuned_update import Tuning

SERVERS = ("postgresql", "mysql")  # of databases that another machine can reach


def hand_over(tuning: Tuning, parsed: Sequence[Override], *, one: bool) -> JobResult:
    """Have a tuned update (`one`) or a tuned stream run as a job.

    Returns what the command ends with.

    Raises:
        JobError: It failed.
    """
    launcher = tuning.launcher
    config = tuning.base.config
    record = tuning.record

    if one:
        if (earlier := tuning.already()) is not None:
            return earlier
        tuning.check()

    _check_storage(tuning)

    stands_for_all = replace(tuning.base, directory=JobDirectory(tuning.folder))
    stands_for_all.record = replace(tuning.base.record, id=record.id, publish=True)
    pinned = None
    if one:
        pinned = PinnedSweep.of(record).to_json()

    order = {
        "argv": lines(parsed),
        "tuned": list(tuning.request.space.domains),
        "record": pinned,
    }
    job = sweep_as_job([stands_for_all], order, record.id)
    job.record = replace(
        job.record,
        recipe=record.recipe,
        overrides=record.overrides,
        created=record.created,
    )
    launcher.mark(job)
    resume = bool(config.resume)
    job.directory.prepare(dump(config), job.record, resume=resume, keep_state=True)
    write_json(tuning.folder / RECORD, record.to_json())

    result = run_to_its_end(launcher, job)
    if result.failed:
        raise JobError(result.reason)

    report.single(job, result)

    return result


def _check_storage(tuning: Tuning) -> None:
    storage = tuning.tuner["storage"]
    if storage is not None and not str(storage).startswith(SERVERS):
        raise ConfigError(
            f"tuner.storage={storage}: the sweep runs as one job, which can't reach it: "
            "expected a database server, as postgresql://…, or backend.sweep=per_trial"
        )


def hand_over_jobs(launcher: HydraLauncher, jobs: Sequence[ComposedJob]) -> list[JobResult]:
    """Have jobs without a tuner run as one; returns each one's result.

    Those that have finished don't run again.
    """
    name_apart(jobs)
    results: dict[str, JobResult] = {}
    left: dict[str, ComposedJob] = {}

    for job in jobs:
        if (earlier := launcher.finished(job)) is not None:
            results[job.id] = earlier
        elif job.id not in left:
            launcher.prepare(job)
            left[job.id] = job

    if left:
        parts = list(left.values())
        result = _run_as_one(launcher, parts)
        for part in parts:
            results[part.id] = part.directory.result or replace(result, version=None)

    return [results[job.id] for job in jobs]


def _run_as_one(launcher: HydraLauncher, parts: Sequence[ComposedJob]) -> JobResult:
    asked = [
        {"overrides": _apart_from_hydra(part.overrides), "record": part.record.to_json()}
        for part in parts
    ]
    ids = "/".join(part.id for part in parts)
    name = f"sweep-{hashlib.sha256(ids.encode()).hexdigest()[:10]}"
    job = sweep_as_job(parts, {"jobs": asked}, name)
    launcher.mark(job)
    resume = bool(parts[0].config.resume)
    job.directory.prepare(dump(job.config), job.record, resume=resume, keep_state=True)

    return run_to_its_end(launcher, job)


def sweep_as_job(parts: Sequence[ComposedJob], order: Json, name: str) -> ComposedJob:
    """The sweep as a job.

    Args:
        parts: Its jobs; of a tuner's, one that stands for all trials.
        order: What its machine is told: the sweep.
        name: The sweep's id.
    """
    first = parts[0]
    directory = JobDirectory(Path(str(first.config.run_dir)).absolute() / name)
    record = JobRecord(
        id=name,
        recipe=first.record.recipe,
        overrides=first.record.overrides,
        cwd=first.record.cwd,
        created=first.record.created,
        parent=first.record.parent,
        publish=first.record.publish,
        sweep=order,
    )
    job = ComposedJob(0, list(first.overrides), first.config, directory, record)
    job.name = name
    job.parts = list(parts)

    return job


def run_to_its_end(launcher: HydraLauncher, job: ComposedJob) -> JobResult:
    """Run a sweep's job to its end; after Ctrl-C it is left as a single job is."""
    link_latest(job.directory.path)
    try:
        with launcher.progress.watching(1):
            future = launcher.submit(job)
            # With what submitting added.
            write_json(job.directory.path / "job.json", job.record.to_json())
            return future.result()
    except BaseException:
        launcher.close()
        raise


def lines(parsed: Sequence[Override]) -> list[str]:
    """Overrides as another machine may have them: its Hydra looks after itself."""
    return [str(o.input_line) for o in parsed if not o.is_hydra_override()]


def _apart_from_hydra(overrides: Sequence[str]) -> list[str]:
    return lines(OverridesParser.create().parse_overrides(list(overrides)))
