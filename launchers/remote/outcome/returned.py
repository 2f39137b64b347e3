"""What a machine elsewhere sends back, checked before anything is made of it: an object store
may hold anything.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from renate.errors import JobError
from renate.jobs.directory import Json
from renate.jobs.records import LOG, PHASE, PROGRESS, REPORT, RESUMED, TOLD, Event, JobRecord
from renate.state.strict import (
    items,
    mapping,
    named,
    need,
    number,
    parse,
    shown,
    text,
    whole,
)
from renate.tuning.on_disk.sweep_record import SweepRecord

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # of a job, and of a submission
ENDS = ("completed", "failed", "stopped")
LARGEST = 256_000_000  # bytes of an object
LINE = 10_000_000  # characters of a log that comes at once
FARAWAY = re.compile(r"(?!file)[a-z][a-z0-9+]*://.*")


def checked(check: Callable[[Any], Any], raw: bytes | memoryview, where: str) -> Any:
    """Read JSON from an object store by one of the functions below.

    Raises:
        JobError: It isn't what a job writes.
    """
    try:
        need(len(raw) <= LARGEST, f"it has {len(raw)} bytes, expected at most {LARGEST}")
        return check(parse(raw, LINE))
    except (ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or ["nested too deeply"])[0]
        raise JobError(
            f"{where}: {reason}; it isn't what a job of renate writes: run the job again"
        ) from error


def folder_of_job(run_dir: Path, name: object) -> Path:
    """The folder of a job whose name came from elsewhere.

    Raises:
        JobError: The name would lead out of the run directory.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name) or (run_dir / name).is_symlink():
        raise JobError(
            f"'{shown(name)}' is no name for a job: expected letters, digits, '.', '_' and '-'"
        )
    return run_dir / name


def attempt_from(value: Any) -> Json:
    """A submission: the training job's name, and whether it was withdrawn. Raises ValueError."""
    found = mapping(value, "it", ("name",), ("withdrawn",))
    need(
        NAME.fullmatch(text(found["name"], "name", 100)) is not None,
        f"name is '{shown(found['name'])}'",
    )
    need(type(found.get("withdrawn", False)) is bool, "withdrawn is neither true nor false")
    return found


def record_from(value: Any) -> Json:
    """A job's record: id, overrides, cwd. Raises ValueError."""
    need(isinstance(value, dict), f"it is {shown(value)}, expected a mapping")
    found: Json = value
    need(
        NAME.fullmatch(text(found.get("id"), "id", 100)) is not None,
        f"id is '{shown(found['id'])}'",
    )
    items(found.get("overrides"), "overrides", _any_text, 10_000)
    text(found.get("cwd", ""), "cwd", 4000)

    return found


def job_record_from(value: Any) -> JobRecord:
    """What a job was told, `job.json`. Raises ValueError."""
    return JobRecord.from_json(record_from(value))


def result_from(value: Any, *, from_here: bool = False) -> Json:
    """A job's end. Raises ValueError.

    Args:
        value: As the job wrote it.
        from_here: Whether it lies in a folder of this machine's, whose states its job may name.
    """
    need(isinstance(value, dict), f"it is {shown(value)}, expected a mapping")
    found: Json = value
    need(
        found.get("status") in ENDS,
        f"status is {shown(found.get('status'))}, expected {' or '.join(ENDS)}",
    )
    need(
        found["status"] != "failed" or isinstance(found.get("error"), str),
        "it failed without an error",
    )
    for name in ("metrics", "before", "counts"):
        if found.get(name) is not None:
            named(found[name], name, _number_or_none, 100_000)

    for name in ("value", "seconds"):
        _number_or_none(found.get(name), name)

    for name in ("version", "evaluated"):
        if found.get(name) is not None:
            whole(found[name], name, 1)

    for name in ("url", "error", "printed", "why", "conflict", "metric", "mode"):
        if found.get(name) is not None:
            _any_text(found[name], name)

    if found.get("matrix") is not None:
        items(found["matrix"], "matrix", lambda row, key: items(row, key, number, 10_000), 10_000)
    if "sweep" in found:
        _check_sweep(found["sweep"], from_here)

    return found


def events_from(value: Any) -> list[Event]:
    """What a job reported at once. Raises ValueError."""
    return items(value, "it", _event, 1_000_000)


def reports_from(value: Any) -> list[Json]:
    """Lines of a job's `metrics.jsonl`. Raises ValueError."""
    return items(value, "it", _report, 1_000_000)


def _event(value: Any, key: str) -> Event:
    need(isinstance(value, dict), f"{key} is {shown(value)}, expected a mapping")
    event: Json = value
    kind = text(event.get("event"), f"{key}.event", 30)
    if kind in (LOG, REPORT, PROGRESS, PHASE):
        _any_text(event.get("text"), f"{key}.text")
    if kind == PROGRESS:
        number(event.get("done"), f"{key}.done")
        number(event.get("total"), f"{key}.total")
    if kind == REPORT and "metrics" in event:
        number(event.get("time"), f"{key}.time")
        _any_text(event.get("update") or "", f"{key}.update")
        _metrics(event["metrics"], f"{key}.metrics")

    if kind in (RESUMED, TOLD):
        items(event.get("reports"), f"{key}.reports", _report, 1_000_000)

    return Event.from_json(event)


def _report(value: Any, key: str) -> Json:
    _metrics(value, key)
    number(value.get("time"), f"{key}.time")
    report: Json = value
    return report


def _metrics(value: Any, key: str) -> None:
    found = named(value, key, lambda part, name: part, 10_000)
    for name in ("step", "epoch"):
        whole(found.get(name), f"{key}.{name}")
    for name, part in found.items():
        need(part is None or isinstance(part, str | int | float), f"{key}.{name} is {shown(part)}")


def _check_sweep(value: Any, from_here: bool) -> None:
    found = mapping(value, "sweep", (), ("jobs", "record", "events"))
    for job in items(found.get("jobs", []), "sweep.jobs", lambda part, key: part, 100_000):
        mapping(job, "a job of the sweep", ("id", "config", "record", "reports", "result"))
        need(
            job_record_from(job["record"]).id == job["id"],
            f"job '{shown(job['id'])}' has another one's record",
        )
        _any_text(job["config"], "config")
        items(job["reports"], "reports", _report, 1_000_000)
        need("sweep" not in result_from(job["result"]), "a job of the sweep is a sweep")

    if "events" in found:
        for line in _any_text(found["events"], "sweep.events").splitlines():
            need(
                isinstance(parse(line.encode()), dict), "sweep.events has a line that is no mapping"
            )
        _check_tuned(found.get("record"), from_here)


def _check_tuned(value: Any, from_here: bool) -> None:
    """A tuner's record says where its winner is published: where it comes from an object store,
    never a place on this machine.
    """
    record_from(value)
    record = SweepRecord.from_json(value)
    urls = [record.to]
    if record.parent is not None:
        urls.append(record.parent.url)

    for url in urls:
        need(
            bool(FARAWAY.fullmatch(text(url, "url", 4000))) or from_here,
            f"'{shown(url)}' isn't in an object store",
        )


def _number_or_none(value: Any, key: str) -> None:
    if value is not None:
        number(value, key)


def _any_text(value: Any, key: str) -> str:
    need(isinstance(value, str) and len(value) <= LINE, f"{key} is {shown(value)}, expected a text")
    return str(value)
