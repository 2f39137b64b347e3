"""Each job as a batch job of a SLURM cluster.

What all remote backends do is `remote/launcher.py`. A submission has a folder of its own below
`backend.staging`: `machines/<name>/` with `channel/` (what the job is given), `script.sh`,
`output.txt`, and `slurm_id`; what is submitted at once is one array (`arrays.py`). A job runs in
`jobs/<id>/checkpoints/`, and goes on from what is there when it is queued or submitted again.
"""

import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from renate.files import replacing

from ..base import ComposedJob, SubmittedJobs
from ..remote import code_archive
from ..remote.backend import PreparedJob, RemoteJob
from ..remote.job_upload import JobUpload
from ..remote.launcher import RemoteLauncher
from ..remote.machine import absolute
from ..remote.sweep import ORDER
from . import scheduler
from .arrays import BatchJob, Gathering, write_array
from .batch import check_options, options_of, script_of
from .scheduler import ARRAY, OURS
from .submitted import SlurmJobs, job_of, look_at, machine_of, place_of


class SlurmLauncher(RemoteLauncher):
    """Submits each job by sbatch; `backend.workers` jobs at a time."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's verb: the launcher exists, and is told what for."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.machine = machine_of(self.backend)
        staging = self.backend.staging or Path(str(config.run_dir)) / "slurm"
        self.backend.staging = absolute(str(staging))
        self.named_by = "backend=slurm: "
        most = int(self.backend.workers) if self.backend.arrays else 1
        self.gathering = Gathering(self._queued, most)

    def check_settings(self) -> None:
        """What needs no cluster to know. Raises ConfigError."""
        check_options(self.backend)
        scheduler.check_commands()

    @classmethod
    def submitted(cls, region: str | None) -> SubmittedJobs:
        """This user's jobs on the cluster."""
        scheduler.check_commands()
        return SlurmJobs()

    def request_for(self, job: ComposedJob, upload: JobUpload) -> bytes | None:
        """The archive of code that goes along; None where nodes see the working copy itself."""
        return self.code_of(job)

    def new_name(self) -> str:
        """A name for a submission, unlike any other."""
        return f"renate-{secrets.token_hex(5)}"

    def create(self, name: str, prepared: PreparedJob) -> bool:
        """Write a submission's folder, then queue its script.

        Raises:
            JobError: SLURM refuses.
        """
        upload = prepared.upload
        place = place_of(upload.staging, name)
        channel = place / "channel"
        channel.mkdir(parents=True)
        for file, content in upload.channel.items():
            with replacing(channel / file) as half:
                half.write_bytes(content)

        folder = Path.cwd()
        if prepared.request is not None:
            folder = place / "code"
            code_archive.unpack(prepared.request, folder)

        script = script_of(
            title=f"{name}: {prepared.job.name}",
            folder=folder,
            python=str(self.backend.python or sys.executable),
            program="run_sweep" if ORDER in upload.channel else "run_job",
            channel=channel,
            directory=Path(upload.folder.url, "checkpoints"),
            name=name,
            nodes=1 if ORDER in upload.channel else int(self.backend.nodes),
        )
        with replacing(place / "script.sh") as half:
            half.write_text(script)

        number = self.gathering.add(BatchJob(name, prepared.job.id, place))
        with replacing(place / "slurm_id") as half:
            half.write_text(number)

        return True

    def _queued(self, jobs: Sequence[BatchJob]) -> list[str]:
        """Queue jobs by one call; return SLURM's number of each. Raises SlurmError."""
        staging = self.backend.staging
        given = {key: str(value) for key, value in self.backend.environment.items()}
        # Where this command runs in an array's task itself, its jobs are none of that array
        own = {k: v for k, v in os.environ.items() if not k.startswith("SLURM_ARRAY_")}
        environment = own | given

        if len(jobs) == 1:
            (job,) = jobs
            comment = f"{OURS} {job.id} {staging}"
            options = options_of(self.backend, name=job.name, place=job.place, comment=comment)
            script = (job.place / "script.sh").read_text()
            return [scheduler.submit(options, script, environment)]

        name = f"renate-array-{secrets.token_hex(5)}"
        folder = place_of(staging, name)
        script = write_array(folder, jobs)
        comment = f"{ARRAY} {staging}"
        options = options_of(self.backend, name=name, place=folder, comment=comment, tasks=True)
        options.append(f"--array=0-{len(jobs) - 1}")
        number = scheduler.submit(options, script, environment)

        return [f"{number}_{index}" for index in range(len(jobs))]

    def look(self, name: str, upload: JobUpload) -> RemoteJob | None:
        """How a submission is."""
        return look_at(upload.staging, name)

    def end(self, name: str) -> None:
        """Ask a submission to end; one that has ended is left alone."""
        found = job_of(self.backend.staging, name)
        if found is not None and found.alive:
            scheduler.end(found)
