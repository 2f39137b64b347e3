"""What an update answers, also where an earlier run has done its work."""

from contextlib import suppress
from typing import Any

from renate.errors import JobError, StateError
from renate.jobs.context import Job
from renate.jobs.directory import JobDirectory
from renate.jobs.identity import content
from renate.jobs.identity.already import goes_on
from renate.jobs.records import COMPLETED, JobResult
from renate.jobs.scoring.cost import state_size
from renate.jobs.scoring.measured import flat
from renate.state.aliases.verdict import KEY
from renate.state.contents import metrics_from
from renate.state.manifest import Manifest
from renate.state.publish import publish
from renate.state.versions import State

Scores = dict[str, dict[str, float]]


def result_of(
    value: float | None,
    after: Scores,
    before: Scores,
    counts: dict[str, float],
    to: State,
    version: int | None,
) -> dict[str, Any]:
    """What an update answers.

    Args:
        value: The objective's best value.
        after: Scores of the outcome.
        before: Those of the version that it started from.
        counts: Steps, seconds, and the like.
        to: The state that the outcome is in.
        version: Its number there; None where it isn't published.
    """
    return {
        "value": value,
        "metrics": flat(after),
        "counts": counts,
        "before": flat(before),
        "url": to.url,
        "version": version,
    }


def published(job: Job, to: State) -> dict[str, Any] | None:
    """The result of this very job, if it was interrupted when all was staged: nothing is trained
    or published twice.
    """
    if job.record.unread or not job.directory.reports():
        return None

    try:
        manifest = publish(to, job.record.id)
    except StateError:
        return None

    return result_of_version(to, manifest)


def set_right(maker: JobDirectory, to: State, manifest: Manifest) -> JobResult:
    """The result of a job that failed with its version published, written in place of the failure:
    word of the publication didn't reach it.
    """
    result = JobResult(COMPLETED, **result_of_version(to, manifest))
    with suppress(JobError), maker.alone():  # else it is running, and says itself how it ends
        return maker.finish(result)
    return result


def already(
    job: Job, at: State, parent: Manifest | None, newest: int | None
) -> dict[str, Any] | None:
    """The newest version's result, if it came from this recipe and the data just read, and may
    count.

    Args:
        job: The job.
        at: The state.
        parent: The version that it starts from.
        newest: The newest version's number, where that is another one.
    """
    if not job.record.unread or not job.config["resume"]:
        return None
    if parent is None or not goes_on(job.config["state"]):
        return None

    last = parent if newest is None else at.manifest(newest)
    if last.lineage.get("stream") or not content.is_of(job, last):
        return None

    return result_of_version(at, last) | {"already": last.version}


def result_of_version(to: State, manifest: Manifest) -> dict[str, Any]:
    """What the update that made a version answered."""
    found = metrics_from(
        to.read(manifest, "metrics.json"), f"{to.url}: 'metrics.json' of {manifest}"
    )
    before = {}
    if manifest.parent:
        before = found["before"]

    seconds = {"seconds": manifest.lineage.get("seconds", 0.0)}
    counts = found["counts"] | seconds | state_size(manifest)
    result = result_of(found["value"], found["after"], before, counts, to, manifest.version)
    return result | {key: manifest.lineage[key] for key in (KEY,) if key in manifest.lineage}
