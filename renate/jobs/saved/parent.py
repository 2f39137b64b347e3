"""The version that an update starts from."""

from renate.errors import StateError
from renate.jobs.context import Job
from renate.state.manifest import Manifest
from renate.state.versions import State


def parent_of(job: Job, at: State) -> Manifest | None:
    """The version that this job was composed for, also where others have been published since.

    Raises:
        StateError: It is gone, or is another one.
    """
    if job.record.starts_from_newest:
        return at.newest()

    asked = job.record.parent
    if asked is None:
        return None

    found = at.manifest(asked.version)
    if asked.url == job.config["state"]["url"] and found.sha256 != asked.sha256:
        raise StateError(
            f"{at.url}: {found} isn't the one that this job was made for: give its command again"
        )

    return found
