"""A sweep that is one job on another machine: what it asks for there, and what comes back of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from renate.errors import ConfigError, JobError
from renate.jobs.directory import JobDirectory, Json, read_json, write_json
from renate.jobs.text import dump
from renate.tuning.winner import EVENTS, RECORD

from . import report
from .base import RenateLauncher
from .compose import Job, name_apart
from .returned import job_folder
from .tuned.update import Tuning

PINNED = ("id", "recipe", "parent", "to")  # of a tuner's sweep; the same on every machine
WORDS = ("overrides", "created")


def hand_over(tuning: Tuning, parsed: Sequence[Override], *, one: bool) -> Json:
    """Have a tuned update (`one`) or a tuned stream run as a job; returns what the command ends with.

    Raises:
        JobError: It failed.
    """
    launcher, config, record = tuning.launcher, tuning.base.config, tuning.record
    if one:
        if (earlier := tuning.already()) is not None:
            return earlier
        tuning.check()
    _check_storage(tuning)
    stands_for_all = replace(tuning.base, directory=JobDirectory(tuning.folder))
    stands_for_all.record = tuning.base.record | {"id": record["id"], "publish": True}
    order = {
        "argv": lines(parsed),
        "tuned": list(tuning.plan.space.domains),
        "record": {k: record[k] for k in PINNED} if one else None,
    }
    job = whole([stands_for_all], order, record["id"])
    job.record |= {k: record[k] for k in ("recipe", "parent", *WORDS)}
    job.directory.prepare(dump(config), job.record, resume=bool(config.resume), keep_state=True)
    write_json(tuning.folder / RECORD, record)
    result = submitted(launcher, job)
    if result["status"] == "failed":
        raise JobError(result["error"])
    report.single(job, result)
    return result


def _check_storage(tuning: Tuning) -> None:
    storage = tuning.tuner["storage"]
    if storage is not None and not str(storage).startswith(("postgresql", "mysql")):
        raise ConfigError(
            f"tuner.storage={storage}: the sweep runs as one job, which can't reach it: expected a database server, "
            "as postgresql://…, or backend.sweep=per_trial"
        )


def hand_over_jobs(launcher: RenateLauncher, jobs: Sequence[Job]) -> list[Json]:
    """Have jobs without a tuner run as one; returns each one's result. Those that have finished don't run again."""
    name_apart(jobs)
    results: dict[str, Json] = {}
    left: dict[str, Job] = {}
    for job in jobs:
        if (earlier := launcher.finished(job)) is not None:
            results[job.id] = earlier
        elif job.id not in left:
            launcher.prepare(job)
            left[job.id] = job
    if left:
        parts = list(left.values())
        order = {"jobs": [{"overrides": _apart_from_hydra(job.overrides), "record": job.record} for job in parts]}
        name = f"sweep-{hashlib.sha256('/'.join(left).encode()).hexdigest()[:10]}"
        job = whole(parts, order, name)
        job.record |= {k: parts[0].record[k] for k in ("recipe", "parent", *WORDS)}
        resume = bool(parts[0].config.resume)
        job.directory.prepare(dump(job.config), job.record, resume=resume, keep_state=True)
        result = submitted(launcher, job)
        for part in parts:
            results[part.id] = part.directory.result or {**result, "version": None}
    return [results[job.id] for job in jobs]


def whole(parts: Sequence[Job], order: Json, name: str) -> Job:
    """The sweep as a job; `order` is what its machine is told."""
    first = parts[0]
    directory = JobDirectory(Path(str(first.config.run_dir)).absolute() / name)
    record = {"id": name, "cwd": first.record["cwd"], "publish": first.record.get("publish"), "sweep": order}
    job = Job(0, list(first.overrides), first.config, directory, record)
    job.name, job.parts = name, list(parts)
    return job


def submitted(launcher: RenateLauncher, job: Job) -> Json:
    """Run a sweep's job to its end; after Ctrl-C it is left as a single job is."""
    report.link_latest(job.directory.path)
    try:
        with launcher.progress.watching(1):
            future = launcher.submit(job)
            write_json(job.directory.path / "job.json", job.record)  # with what submitting added
            return future.result()
    except BaseException:
        launcher.close()
        raise


def lines(parsed: Sequence[Override]) -> list[str]:
    """Overrides as another machine may have them: its Hydra looks after itself."""
    return [str(o.input_line) for o in parsed if not o.is_hydra_override()]


def _apart_from_hydra(overrides: Sequence[str]) -> list[str]:
    return lines(OverridesParser.create().parse_overrides(list(overrides)))


def unpack(directory: JobDirectory, swept: Json) -> None:
    """Write down what a sweep far away has left besides its result: its trials, or its jobs.

    Raises:
        JobError: It names a job whose folder wouldn't be in this run directory, or that isn't of this sweep.
    """
    run_dir, each_job = directory.path.parent, swept.get("jobs", [])
    folders = [job_folder(run_dir, each["id"]) for each in each_job]
    asked = (read_json(directory.path / "job.json") or {}).get("sweep") or {}
    known = {job["record"]["id"] for job in asked.get("jobs", [])}
    for each in each_job:
        if known and each["id"] not in known:
            raise JobError(f"'{each['id']}' is no job of this sweep, and yet its machine sends one back")
    if "events" in swept:
        (directory.path / EVENTS).write_text(swept["events"])
        if not (directory.path / RECORD).exists():
            write_json(directory.path / RECORD, swept["record"])
    for each, folder in zip(each_job, folders, strict=True):
        job = JobDirectory(folder)
        if not (job.path / "job.json").exists():
            job.prepare(each["config"], each["record"])
        job.recall(each["reports"])
        job.finish(each["result"])
