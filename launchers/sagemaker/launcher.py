"""Each job as a training job of Amazon SageMaker.

What all remote backends do is `remote/launcher.py`.
"""

from pathlib import Path

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from renate.errors import ConfigError
from renate.jobs.directory import Json
from renate.jobs.records import JobResult
from renate.state.store import open_store

from ..base import ComposedJob, SubmittedJobs
from ..remote import code_archive
from ..remote.backend import PreparedJob, RemoteJob
from ..remote.job_upload import JobUpload, put_once
from ..remote.launcher import RemoteLauncher
from . import image
from .check import check_extra, check_request, check_role, check_settings
from .described import remote_job
from .request import build, machine_of, name_of
from .service import Service


class SageMakerLauncher(RemoteLauncher):
    """Submits each job as a training job; `backend.workers` jobs at a time."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's verb: the launcher exists, and is told what for."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.machine = machine_of(self.backend.requirements)
        self.service = Service(self.backend.region)
        self.archives: dict[tuple[tuple[str, Path | bytes], ...], tuple[str, bytes]] = {}
        self.named_by = f"backend.job_name={self.backend.job_name}: "
        self.role: str | None = self.backend.role
        self.image: str | None = self.backend.image

    def check_settings(self) -> None:
        """What needs no service to know. Raises ConfigError."""
        check_extra()
        check_settings(self.backend)
        check_role(self.backend.role)

    @classmethod
    def submitted(cls, region: str | None) -> SubmittedJobs:
        """Every training job of ours in an account and region."""
        from .training_jobs import TrainingJobs  # lazy: as all that only `renate jobs` needs

        check_extra()
        return TrainingJobs(Service(region))

    def packed(self, job: ComposedJob) -> PreparedJob:
        """Everything that can be wrong with a job is found here; nothing is uploaded."""
        if job.parts and self.backend.instance_count > 1:
            raise ConfigError(
                f"backend.instance_count={self.backend.instance_count}: one machine runs a whole "
                "sweep; backend.sweep=per_trial gives each job as many"
            )
        return super().packed(job)

    def request_for(self, job: ComposedJob, upload: JobUpload) -> tuple[Json, bytes]:
        """The request, checked, and the archive of code that it names."""
        digest, code = self._archive(job)
        self.role = self.role or self.service.role()
        if self.image is None:
            self.image = image.resolve(self.service.region, self.backend.instance_type)
            self.progress.line(f"image: {self.image}")

        request = build(
            self.backend,
            name=self.new_name(),
            role=self.role,
            image=self.image,
            home=upload.folder.url,
            source=f"{upload.staging}/sources/{digest}",
            job=job.id,
        )
        check_request(request, self.service.shape)

        return request, code

    def _archive(self, job: ComposedJob) -> tuple[str, bytes]:
        sources = self.config.hydra.runtime.config_sources
        files = code_archive.of_job(job, sources, list(self.backend.source_dirs))
        # Config files in two folders may import modules that are called alike
        key = tuple((name, files[name]) for name in sorted(files))
        if key not in self.archives:
            self.archives[key] = code_archive.pack(files, self.backend.max_code_mb)

        return self.archives[key]

    def new_name(self) -> str:
        """A training job's; what makes it unique is its end."""
        return name_of(self.backend.job_name)

    def send(self, prepared: PreparedJob) -> None:
        """Upload the code, once, and what the job needs of this machine."""
        request, code = prepared.request
        staging = prepared.upload.staging
        source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
        put_once(open_store(staging), f"{source.removeprefix(f'{staging}/')}source.tar.gz", code)
        super().send(prepared)

    def create(self, name: str, prepared: PreparedJob) -> bool:
        """Create the training job; False where its name is another's."""
        request, _ = prepared.request
        try:
            self.service.create(request | {"TrainingJobName": name})
        except FileExistsError:  # ours, if the answer to an earlier try was lost
            return self.look(name, prepared.upload) is not None
        return True

    def look(self, name: str, upload: JobUpload) -> RemoteJob | None:
        """The training job of that name, if it is of this job."""
        described = self.service.job(name)
        if described is None:
            return None
        if described.output_data_config.s3_output_path != f"{upload.folder.url}/out":
            return None
        return remote_job(described, upload.folder.url, self.service.region)

    def end(self, name: str) -> None:
        """Ask a training job to end; one that has ended is left alone."""
        self.service.stop(name)

    def tries_again(self, job: ComposedJob, result: JobResult, tries: int) -> bool:
        """A tuner's trial that got no machine is submitted again, under another name."""
        retries = int(self.backend.capacity_retries)
        return job.record.trial is not None and result.capacity and tries <= retries

    def how_to(self, verb: str, name: str) -> str:
        """The command that does something with a training job, from anywhere."""
        return self.service.how_to(verb, name)
