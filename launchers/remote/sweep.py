"""A whole sweep as one job elsewhere: how it is packed, and how its outcomes come back to what
is local.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from renate.build import targets
from renate.errors import ConfigError, JobError
from renate.jobs.config_yaml import quoted
from renate.jobs.directory import JobDirectory, Json, write_json
from renate.jobs.passed_objects import is_passed
from renate.jobs.records import JobRecord, JobResult, ReportRow
from renate.tuning.on_disk.sweep_folder import EVENTS
from renate.tuning.on_disk.sweep_record import RECORD

from ..base import ComposedJob
from ..terminal.console import relative
from .job_upload import JobUpload, begin, check_return
from .machine import Machine, check_variables
from .outcome.returned import folder_of_job
from .outcome.state_return import StateReturn

ORDER = "argv.json"  # in a job's channel: the job is a whole sweep
MOVED = ("state.url", "state.next_url", "config_file.path", "model.weights")


def pack_sweep(job: ComposedJob, settings: DictConfig, machine: Machine) -> JobUpload:
    """As `job_upload.pack`, for all parts of a sweep.

    The job's record gets what comes back, and where.

    Raises:
        ConfigError: As `job_upload.pack`.
    """
    upload = begin(job, settings, machine)
    order = job.record.sweep
    assert order is not None
    tuned = "argv" in order
    known = list(job.record.back or [])

    for number, part in enumerate(job.parts):
        check_variables(part, settings, machine)
        own = part.config.state.url is None and not tuned  # each job has a state of its own
        one = JobUpload(machine, upload.folder, upload.staging, part.own_config())
        if own:
            one.state_name = f"states/{part.id}"

        one.add(part)
        check_return(one, settings)
        _merge(upload, one)
        if one.back is not None:
            known.append({"part": part.id, "back": asdict(one.back)})
        if tuned:
            _complete(order, part, one)
        else:
            state = one.config.state
            place = None
            if own:
                place = {key: state[key] for key in ("url", "next_url")}

            order["jobs"][number] |= {"more": moves(part.config, one.config), "state": place}

    order |= {
        "workers": settings.workers,
        "price": settings.price_per_hour,
        "run_dir": str(job.config.run_dir),
    }
    upload.channel[ORDER] = json.dumps(order, default=str).encode()
    job.record = replace(job.record, back=known)
    upload.seal(replace(job.record, sweep=None, back=None))

    return upload


def _merge(sweep: JobUpload, one: JobUpload) -> None:
    sweep.data |= one.data
    sweep.channel |= one.channel
    if one.send and one.send[1]:
        earlier = sweep.send[1] if sweep.send else []
        sweep.send = one.send[0], sorted({*earlier, *one.send[1]})


def _complete(order: Json, part: ComposedJob, one: JobUpload) -> None:
    """What a tuner is told besides the command line: where things are there, and what the sweep
    is here.
    """
    order["more"] = moves(part.config, one.config)
    moved = any(line.startswith("data.") for line in order["more"])
    swept = [line for line in order["argv"] if _key(line) in order["tuned"]]

    if moved and swept and swept[0].lstrip("+").startswith("data"):
        raise ConfigError(
            f"{swept[0]}: local data that change from trial to trial: give them as s3://…, or "
            "backend.sweep=per_trial"
        )

    record = order["record"]
    url = one.config.state.url
    if record is None:  # a stream publishes by itself
        if not part.config.state.url:
            order["more"].append(f"state.url={quoted(url)}")
        return

    if one.back is not None:
        record["to"] = one.back.remote
    if record["parent"] is not None:
        record["parent"] = record["parent"] | {"url": url}


def _key(line: str) -> str:
    return line.lstrip("+").partition("=")[0]


def moves(before: DictConfig, after: DictConfig) -> list[str]:
    """Overrides for what is elsewhere, seen from a job."""
    plain: Any = OmegaConf.to_container(after, resolve=False)
    passed = [f"{key}.path" for key, target in targets(plain) if is_passed(target)]
    data = [f"data.{key}" for key in after.data if key != "_target_"]
    return list(_changes(before, after, list(dict.fromkeys([*MOVED, *data, *passed]))))


def _changes(before: DictConfig, after: DictConfig, keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        old = OmegaConf.select(before, key)
        new = OmegaConf.select(after, key)
        if old is not None and old != new:
            value = new
            if OmegaConf.is_config(new):
                value = OmegaConf.to_container(new, resolve=True)

            yield f"{key}={quoted(value)}"


def returned(job: ComposedJob, result: JobResult) -> JobResult:
    """A sweep's result as it is on this machine.

    Its trials or jobs are written down, local states have received their versions.
    """
    swept = result.sweep
    result = replace(result, sweep=None)
    if swept is None:  # it ended before it began
        return result

    results = {one["id"]: JobResult.from_json(one["result"]) for one in swept.get("jobs", [])}
    order = job.record.sweep or {}  # only the machine that asked for it has kept it
    stream = "argv" in order and order["record"] is None

    for each in job.record.back or []:
        back = StateReturn(**each["back"])
        part = each["part"]
        one = results.get(part, result)
        if not one.completed:
            continue

        version = back.receive(None if stream else part)
        result = replace(result, printed=_as_here(result, one, version, back))
        if part in results:
            results[part] = replace(one, version=version, url=back.url)
        else:
            result = replace(result, version=version, url=back.url)

    unpack(job.directory, swept, results)

    return result


def _as_here(result: JobResult, one: JobResult, version: int | None, back: StateReturn) -> str:
    """The words of the other machine, with our version and URL in the place of its own."""
    theirs = f"version     {one.version} of {one.url}"
    ours = f"version     {version} of {relative(back.url)}"
    return (result.printed or "").replace(theirs, ours)


def unpack(
    directory: JobDirectory, swept: Mapping[str, Any], results: Mapping[str, JobResult]
) -> None:
    """Write down what a sweep far away has left besides its result: its trials, or its jobs.

    Args:
        directory: The sweep's, here.
        swept: What came back, checked (`returned.result_from`).
        results: Of its jobs, by id, as they are here.

    Raises:
        JobError: It names a job whose folder wouldn't be in this run directory, or that isn't of
            this sweep.
    """
    run_dir = directory.path.parent
    each_job = swept.get("jobs", [])
    folders = [folder_of_job(run_dir, each["id"]) for each in each_job]
    asked: Json = {}
    if (directory.path / "job.json").exists():
        asked = directory.record.sweep or {}
    known = {job["record"]["id"] for job in asked.get("jobs", [])}

    for each in each_job:
        if known and each["id"] not in known:
            raise JobError(
                f"'{each['id']}' is no job of this sweep, and yet its machine sends one back"
            )

    if "events" in swept:
        (directory.path / EVENTS).write_text(swept["events"])
        if not (directory.path / RECORD).exists():
            write_json(directory.path / RECORD, swept["record"])

    for each, folder in zip(each_job, folders, strict=True):
        job = JobDirectory(folder)
        if not (job.path / "job.json").exists():
            job.prepare(each["config"], JobRecord.from_json(each["record"]))
        job.recall([ReportRow.from_json(one) for one in each["reports"]])
        job.finish(results[each["id"]])
