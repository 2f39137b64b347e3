"""Waiting for a job that another command submitted, as that command would have."""

import copy
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from renate.jobs.directory import JobDirectory
from renate.jobs.records import JobResult

from ..base import ComposedJob
from ..terminal.progress import Progress
from .follow import Follower, show, write_down
from .job_folder import JobFolder
from .job_upload import JobUpload
from .machine import Machine
from .outcome.state_return import result_here
from .sweep import returned


@dataclass(frozen=True)
class Submission:
    """A job that some command has submitted.

    Attributes:
        name: By which its backend knows it.
        id: Our id of the job.
        base: URL of the state that the job starts from; of `backend.staging` where that is local.
    """

    name: str
    id: str
    base: str

    @property
    def folder(self) -> JobFolder:
        """The job's own."""
        return JobFolder(f"{self.base}/jobs/{self.id}")


def wait(
    found: Submission, follower: Follower, run_dir: Path, machine: Machine, how_to_stop: str
) -> tuple[ComposedJob, JobResult]:
    """Follow a job to its end, as the command that submitted it would have.

    Its directory in `run_dir` holds what it reports.

    Args:
        found: The job.
        follower: Of its last submission.
        run_dir: Where its directory is, or goes.
        machine: Where it runs.
        how_to_stop: The command that ends it, for whoever leaves by Ctrl-C.

    Raises:
        JobError: What is in its folder isn't what a job writes.
    """
    job = _job_here(found, run_dir)
    progress = Progress()
    earlier = job.directory.result
    if earlier is not None and earlier.completed:
        progress.line(f"finished earlier, in {job.directory.path}")
        return job, earlier

    config = OmegaConf.to_yaml(job.config)
    job.directory.prepare(config, job.record, resume=True, keep_state=True)
    try:
        with progress.watching(1):
            result = _followed(job, follower, progress)
    except KeyboardInterrupt:
        said = f"{found.name} goes on; the same command follows it again"
        progress.line(f"{said}, {how_to_stop} stops it")
        raise

    result = _brought_back(job, found, machine, result)
    job.directory.finish(result)

    return job, result


def _followed(job: ComposedJob, follower: Follower, progress: Progress) -> JobResult:
    result = JobResult.failure("nobody said how it ended")
    for event in follower.events():
        if isinstance(event, JobResult):
            result = event
            continue
        for news in write_down(job.directory, event):
            show(progress, job.name, news)
    return result


def _job_here(found: Submission, run_dir: Path) -> ComposedJob:
    """The job as it was submitted from here, else as its folder has it."""
    directory = JobDirectory(run_dir.absolute() / found.id)
    if (directory.path / "job.json").exists():
        config = OmegaConf.load(directory.path / "config.yaml")
        record = directory.record
    else:
        config = found.folder.config()
        record = found.folder.record()

    assert isinstance(config, DictConfig)
    return ComposedJob(0, list(record.overrides), config, directory, record)


def _brought_back(
    job: ComposedJob, found: Submission, machine: Machine, result: JobResult
) -> JobResult:
    """Where the command that was left has a local state, that state receives the version."""
    state = job.config.state
    cwd = Path(job.record.cwd)

    with open_dict(job.config):
        for key in ("url", "next_url"):
            if state[key] is not None and "://" not in state[key]:
                state[key] = str(cwd / state[key])

    if result.sweep is not None:
        return returned(job, result)
    if job.record.home is not None:  # as its folder has it: all of it lies in the object store
        return result

    staging = str(job.config.backend.staging or found.base).rstrip("/")
    upload = JobUpload(machine, found.folder, staging, copy.deepcopy(job.config))
    with open_dict(upload.config):
        upload.add_state(job)

    if upload.back is None:
        return result

    return result_here(result, upload.back, job.id)
