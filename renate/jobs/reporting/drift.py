"""What jobs of a run directory have said about new data for a state."""

import time
from contextlib import suppress
from pathlib import Path

from renate.errors import JobError
from renate.jobs.directory import JobDirectory
from renate.jobs.records import JobRecord, JobResult
from renate.report.facts import DriftCheck


def checks_in(run_dir: Path, url: str) -> list[DriftCheck]:
    """Return what `job=detect`, and updates that were not due, found out for a state, the oldest
    first.

    Args:
        run_dir: With a folder for each job; one that can't be read is passed over.
        url: Of the state.
    """
    found = []
    for path in run_dir.glob("*/result.json"):
        if path.parent.is_symlink():
            continue
        directory = JobDirectory(path.parent)
        # Of another release, or half written: a page tells of what can be read
        with suppress(JobError, KeyError, TypeError, ValueError):
            record = directory.record
            result = directory.result
            if result is not None and result.detected is not None and _is_of(result, record, url):
                found.append((record.created, _check(record, result, result.detected)))

    return [check for _, check in sorted(found, key=lambda pair: pair[0])]


def _is_of(result: JobResult, record: JobRecord, url: str) -> bool:
    if result.url is None:
        return False
    if "://" in result.url or "://" in url:
        return result.url.rstrip("/") == url.rstrip("/")
    return Path(record.cwd, result.url).resolve() == Path(url).resolve()


def _check(record: JobRecord, result: JobResult, version: int) -> DriftCheck:
    drift = result.drift or {}
    decision = result.decision or {}
    level = drift.get("level")
    moved = [
        (str(test["about"]), float(test["effect"]), float(test["corrected"]))
        for test in drift.get("tests", [])
        if test["corrected"] < drift["level"]
    ]
    return DriftCheck(
        when=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.created)),
        job=record.id,
        version=version,
        effect=drift.get("effect"),
        p_value=drift.get("p_value"),
        level=level,
        moved=moved,
        decision=decision.get("decision"),
        reasons=[str(reason) for reason in decision.get("reasons", [])],
    )
