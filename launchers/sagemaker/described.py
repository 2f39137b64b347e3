"""A training job as the service describes it, in the words of any backend."""

from typing import Any

from ..remote.backend import RemoteJob
from .failures import failure, lacks_machine
from .service import RUNNING

PHASES = {
    "Starting": "waiting for machines",
    "Downloading": "downloading the image and the data",
    "Interrupted": "the machine was taken away; waiting for another",
    "Restarting": "restarting after an internal error of the service",
    "Stopping": "stopping",
}
GOES_ON = "the same command goes on from"


def remote_job(described: Any, home: str, region: str) -> RemoteJob:
    """What is known of a training job.

    Args:
        described: As the SDK has it.
        home: URL of the job's own folder.
        region: The service's.
    """
    status = str(described.training_job_status)
    phase = PHASES.get(str(described.secondary_status), "")
    if status in RUNNING:
        return RemoteJob(True, phase)

    reason = str(described.failure_reason)
    no_machine = status == "Failed" and lacks_machine(reason)

    return RemoteJob(False, phase, _why_ended(described, home, region), no_machine)


def _why_ended(described: Any, home: str, region: str) -> str:
    """The end of a job that left no result: it never began, or was stopped."""
    status = str(described.training_job_status)
    if status == "Failed":
        facts = {
            "home": home,
            "region": region,
            "role": described.role_arn,
            "image": described.algorithm_specification.training_image,
            "instance_type": described.resource_config.instance_type,
        }
        return failure(str(described.failure_reason), facts)

    limits = described.stopping_condition
    if described.secondary_status == "MaxRuntimeExceeded":
        limit = limits.max_runtime_in_seconds
        return f"backend.max_run={limit}: the time is over; {GOES_ON} the last checkpoint"
    if described.secondary_status == "MaxWaitTimeExceeded":
        limit = limits.max_wait_time_in_seconds
        what_to_do = "a larger one, or backend.spot=false"
        return f"backend.max_wait={limit}: no spare machine for long enough; {what_to_do}"

    if status == "Stopped":
        return f"it was stopped; {GOES_ON} its last checkpoint"

    return f"it is {status} without a result"
