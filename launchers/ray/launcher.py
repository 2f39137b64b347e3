"""Each job on a node of a Ray cluster, in an actor that stays warm between jobs.

What all remote backends do is `remote/launcher.py`. Actors end with this command, which is told
first to keep checkpoints; with `wait=false` each job has an actor that outlives it.
"""

import secrets
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from renate.errors import ConfigError
from renate.jobs.identity.data_files import is_local
from renate.jobs.records import JobResult

from ..base import ComposedJob, SubmittedJobs
from ..composing.checks.backend import check_list, mapping_of
from ..composing.checks.kinds import AMOUNT, COUNT_OR_NONE, Number, Setting, Text, check_kinds
from ..composing.interruptions import at_exit
from ..remote.backend import PreparedJob, RemoteJob
from ..remote.job_upload import JobUpload
from ..remote.launcher import RemoteLauncher
from ..remote.machine import WORKING_COPY, absolute
from ..remote.sweep import ORDER
from .cluster import LOST, Actors, check_extra, check_resources, connect
from .runner import Task
from .submitted import RayJobs, machine_of, running_as

KINDS: dict[str, Setting] = {
    "address": Text(),
    "cpus_per_job": AMOUNT,
    "gpus_per_job": Number(),
    "retries": COUNT_OR_NONE,
    "working_copy": WORKING_COPY,
    "staging": Text(optional=True),
    "max_code_mb": AMOUNT,
}


class RayLauncher(RemoteLauncher):
    """Hands each job to an actor; `backend.workers` jobs at a time."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's verb: the launcher exists, and is told what for."""
        self.ray: Any = None
        self.actors: Actors | None = None
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.machine = machine_of(self.backend)
        staging = str(self.backend.staging or Path(str(config.run_dir)) / "ray")
        if is_local(staging):
            staging = absolute(staging)
        self.backend.staging = staging
        self.named_by = "backend=ray: "

    def check_settings(self) -> None:
        """What needs no cluster to know. Raises ConfigError."""
        check_extra()
        s = self.backend
        check_kinds(s, KINDS)
        check_list(s, "source_dirs")
        shares = {"cpus_per_job": s.cpus_per_job, "gpus_per_job": s.gpus_per_job}
        for name, amount in mapping_of(s, "resources").items():
            if not Number().fits(amount):
                raise ConfigError(
                    f"backend.resources.{name!s}={amount}: expected {Number().expected()}"
                )
            shares[f"resources.{name!s}"] = amount
        for key, amount in shares.items():
            if amount > 1 and amount != int(amount):
                raise ConfigError(
                    f"backend.{key}={amount}: to Ray more than 1 is a whole number, a share is less"
                )

        if s.working_copy == "shared" and s.staging and not is_local(str(s.staging)):
            raise ConfigError(
                f"backend.staging={s.staging}: with backend.working_copy=shared a folder that "
                "nodes see; backend.working_copy=shipped needs none"
            )

    def _connected(self) -> Actors:
        """This command's actors; the cluster is asked first whether it has what a job needs."""
        with self.lock:
            if self.actors is None:
                self.ray = connect(str(self.backend.address))
                actors = Actors(self.ray, int(self.backend.workers))
                cpus = float(self.backend.cpus_per_job)
                gpus = float(self.backend.gpus_per_job)
                resources = {str(k): float(v) for k, v in self.backend.resources.items()}
                check_resources(self.ray, cpus, gpus, resources)
                actors.options = {"num_cpus": cpus, "num_gpus": gpus, "resources": resources}
                self.actors = actors
                # Ray ends its actors when this process ends: what is registered later comes first
                at_exit(self.close)

            return self.actors

    @classmethod
    def submitted(cls, region: str | None) -> SubmittedJobs:
        """Jobs of ours that run on the cluster that RAY_ADDRESS names, or on this machine's."""
        check_extra()
        return RayJobs(connect("auto"))

    def request_for(self, job: ComposedJob, upload: JobUpload) -> bytes | None:
        """The archive of code that goes along; None where nodes see the working copy itself."""
        self._connected()
        return self.code_of(job)

    def new_name(self) -> str:
        """A name for a submission, unlike any other."""
        return f"renate-{secrets.token_hex(5)}"

    def create(self, name: str, prepared: PreparedJob) -> bool:
        """Hand a job to an actor."""
        upload = prepared.upload
        directory = None
        if is_local(upload.folder.url):
            directory = str(Path(upload.folder.url, "checkpoints"))

        task = Task(
            name=name,
            job=prepared.job.id,
            base=upload.folder.url.rpartition("/jobs/")[0],
            channel=dict(upload.channel),
            directory=directory,
            cwd=str(Path.cwd()) if prepared.request is None else None,
            code=prepared.request,
            environment={str(k): str(v) for k, v in self.backend.environment.items()},
            cpus=max(1, int(self.backend.cpus_per_job)),
            sweep=ORDER in upload.channel,
        )
        actors = self._connected()
        if not self.backend.wait:
            actors.leave(task)
            return True

        with self.lock:
            actors.start(task)
        return True

    def look(self, name: str, upload: JobUpload) -> RemoteJob | None:
        """How a submission is: one of this command's, or one that runs on the cluster."""
        actors = self._connected()
        with self.lock:
            try:
                why = actors.ended(name)
            except KeyError:
                return running_as(self.ray, name)

        if why is None:
            return RemoteJob(True)
        return RemoteJob(False, why_ended=why)

    def end(self, name: str) -> None:
        """Ask a submission to end; one that has ended is left alone."""
        self._connected().stop(name)

    def tries_again(self, job: ComposedJob, result: JobResult, tries: int) -> bool:
        """A job whose node or process was lost is handed over again; it goes on from its
        checkpoint.
        """
        lost = result.failed and str(result.error).startswith(LOST)
        return lost and tries <= int(self.backend.retries)

    def close(self) -> None:
        """End this command's actors, and what they run."""
        super().close()
        with self.lock:
            if self.actors is not None:
                self.actors.close(busy=bool(self.backend.wait))

    def _leave_or_stop(self, names: list[str], *, ask: bool) -> None:
        """Jobs end with the command that follows them; nobody need be asked."""
        for name in names:
            self.progress.line(f"{name} ends; the same command goes on from its last checkpoint")

    def release(self) -> None:
        """End what is idle; called where all jobs have ended."""
        self.close()
