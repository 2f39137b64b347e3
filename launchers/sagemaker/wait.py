"""Waiting for a job that another command submitted, as that command would have."""

import copy
from pathlib import Path
from threading import Event

from omegaconf import DictConfig, OmegaConf, open_dict

from renate.jobs.directory import JobDirectory, Json

from ..compose import Job
from ..progress import Progress
from .follow import Follower, show, write_down
from .local_state import result_here
from .logs import poll_of
from .service import Service
from .shipment import Shipment, is_local
from .submitted import Submitted


def wait(service: Service, found: Submitted, run_dir: Path) -> tuple[Job, Json]:
    """Follow a job to its end as the command that submitted it would have; its directory here holds what it reports."""
    job = _job_here(found, run_dir)
    earlier, progress = job.directory.result, Progress()
    if earlier is not None and earlier["status"] == "completed":
        progress.line(f"finished earlier, in {job.directory.path}")
        return job, earlier
    job.directory.prepare(OmegaConf.to_yaml(job.config), job.record, resume=True, keep_state=True)
    follower = Follower(service, found.home, found.name, poll_of(found.home), Event())
    try:
        with progress.watching(1):
            result = _followed(job, follower, progress)
    except KeyboardInterrupt:
        progress.line(
            f"{found.name} goes on; the same command follows it again, {service.how_to('stop', found.name)} stops it"
        )
        raise
    result = _brought_back(job, found, result)
    job.directory.finish(result)
    return job, result


def _followed(job: Job, follower: Follower, progress: Progress) -> Json:
    result: Json = {"value": None, "metrics": {}, "version": None}
    for event in follower.events():
        if event["event"] == "end":
            result |= event["result"]
            continue
        for news in write_down(job.directory, event):
            show(progress, job.name, news)
    return result


def _job_here(found: Submitted, run_dir: Path) -> Job:
    """The job as it was submitted from here, else as its home has it."""
    directory = JobDirectory(run_dir.absolute() / found.id)
    if (directory.path / "job.json").exists():
        config, record = OmegaConf.load(directory.path / "config.yaml"), directory.record
    else:
        config, record = found.home.config(), found.home.record()
    assert isinstance(config, DictConfig)
    return Job(0, list(record["overrides"]), config, directory, record)


def _brought_back(job: Job, found: Submitted, result: Json) -> Json:
    """Where the command that was left has a local state, that state receives the version."""
    state, cwd = job.config.state, Path(job.record["cwd"])
    with open_dict(job.config):
        for key in ("url", "next_url"):
            if state[key] is not None and is_local(state[key]) and "://" not in state[key]:
                state[key] = str(cwd / state[key])
    if "home" in job.record:  # as the home has it: all of it lies in S3
        return result
    staging = job.config.backend.staging or found.base
    shipment = Shipment(found.home, str(staging).rstrip("/"), copy.deepcopy(job.config))
    with open_dict(shipment.config):
        shipment.add_state(job)
    return result if shipment.back is None else result_here(result, shipment.back, job.id)
