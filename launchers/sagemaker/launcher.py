"""Each job as a training job of Amazon SageMaker. Start reading here.

`_prepared` finds everything that can be wrong; `_run`, in a thread, submits the job, or finds that this was done
earlier, and follows it.
"""

import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from renate.build import targets
from renate.errors import ConfigError, JobError, RenateError
from renate.jobs.directory import Json
from renate.state.store import open_store
from renate.tuning.base import Proposer

from ..base import RenateLauncher
from ..compose import Job
from ..interruptions import at_exit
from ..whole import hand_over_jobs
from . import archive, image
from .check import check_extra, check_request, check_role, check_settings
from .follow import Follower, show, write_down
from .home import Attempt, Home
from .local_state import result_here
from .request import build, name_of
from .service import RUNNING, Service
from .shipment import Shipment, begin, pack, put_once
from .sweep import pack_sweep, returned

PATIENCE = 30.0  # seconds from writing a submission down to the service's knowing it, at most
NAMES = 2  # names to try; each is unique by itself
NOTHING: Json = {"value": None, "metrics": {}, "version": None}


class SageMakerLauncher(RenateLauncher):
    """Submits each job and follows it through S3; `backend.workers` jobs at a time."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        check_extra()
        check_settings(self.backend)
        check_role(self.backend.role)
        self.whole_sweeps = self.backend.sweep == "inside"
        self.service = Service(self.backend.region)
        self.pool = ThreadPoolExecutor(int(self.backend.workers))
        self.running: dict[str, str] = {}  # our id -> the training job's name
        self.unwanted: set[str] = set()  # our ids of jobs that were told to end
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.archives: dict[tuple[str, ...], tuple[str, bytes]] = {}
        self.role: str | None = self.backend.role
        self.image: str | None = self.backend.image
        at_exit(self.close)

    def run(self, jobs: Sequence[Job]) -> list[Json]:
        if self.whole_sweeps and len({job.id for job in jobs}) > 1:
            return hand_over_jobs(self, jobs)
        return super().run(jobs)

    def submit(self, job: Job) -> Future[Json]:
        shipment, request, code = self._prepared(job)
        return self.pool.submit(self._run, job, shipment, request, code)

    def stop(self, job: Job) -> None:
        with self.lock:
            self.unwanted.add(job.id)
            name = self.running.pop(job.id, None)
        if name is not None:
            self.service.stop(name)

    def check_tuner(self, proposer: Proposer) -> None:
        if self.whole_sweeps:
            return
        if proposer.clones:
            raise ConfigError(
                f"backend.sweep=per_trial: trials of {type(proposer).__name__} go on from each other's checkpoints, "
                "which takes one machine: backend.sweep=inside, or another tuner"
            )
        if not self.backend.wait:
            raise ConfigError(
                "backend.wait=false: with backend.sweep=per_trial this command is what tunes; "
                "a sweep inside one job needs nobody, backend.sweep=inside"
            )

    def outcome_of(self, job: Job) -> str | None:
        return f"{begin(job, self.backend).home.url}/candidate"

    def close(self) -> None:
        interrupted = isinstance(sys.exc_info()[1], KeyboardInterrupt)
        self.closing.set()
        self.pool.shutdown(wait=False, cancel_futures=True)
        with self.lock:
            names, self.running = list(self.running.values()), {}
        self.progress.quiet = False
        if names:
            self._leave_or_stop(names, ask=interrupted and sys.stdin.isatty())

    def _leave_or_stop(self, names: list[str], *, ask: bool) -> None:
        stop = False
        if ask:
            with suppress(EOFError, KeyboardInterrupt):
                stop = input(f"stop {', '.join(names)}? [y/N] ").strip().lower() in ("y", "yes")
        for name in names:
            if stop:
                self.service.stop(name)
                self.progress.line(f"{name} is stopping; the same command goes on from its last checkpoint")
            else:
                self.progress.line(
                    f"{name} goes on; the same command follows it again, {self.service.how_to('stop', name)} stops it"
                )

    def _prepared(self, job: Job) -> tuple[Shipment, Json, bytes]:
        shipment = pack_sweep(job, self.backend) if job.parts else pack(job, self.backend)
        digest, code = self._archive(job)
        self.role = self.role or self.service.role()
        if self.image is None:
            self.image = image.resolve(self.service.region, self.backend.instance_type)
            self.progress.line(f"image: {self.image}")
        request = build(
            self.backend,
            name=name_of(self.backend.job_name),
            role=self.role,
            image=self.image,
            home=shipment.home.url,
            source=f"{shipment.staging}/sources/{digest}",
            job=job.id,
        )
        check_request(request, self.service.shape)
        return shipment, request, code

    def _archive(self, job: Job) -> tuple[str, bytes]:
        configs: list[Any] = [OmegaConf.to_container(each.config, resolve=False) for each in job.parts or [job]]
        modules = {target.rpartition(".")[0] for config in configs for _, target in targets(config)}
        # A sweep is composed where it runs.
        own = archive.own_configs(self.config.hydra.runtime.config_sources) if job.parts else {}
        key = (*sorted(modules), *sorted(own))
        if key not in self.archives:
            files = own | archive.own_modules(sorted(modules), list(job.config.trust), Path.cwd(), always=bool(own))
            files |= archive.source_dirs(list(self.backend.source_dirs))
            self.archives[key] = archive.pack(files | archive.package(), self.backend.max_code_mb)
        return self.archives[key]

    def _run(self, job: Job, shipment: Shipment, request: Json, code: bytes) -> Json:
        try:
            name, ended = self._submitted(job, shipment, request, code)
            if not self.backend.wait and not ended:
                follow = {"follow": self.service.how_to("wait", name), "url": shipment.config.state.url}
                return NOTHING | {"status": "submitted", "training_job": name} | follow
            result = self._followed(job, shipment, name, quiet=ended)
            for _ in range(int(self.backend.capacity_retries) if "trial" in job.record else 0):
                if not result.get("capacity") or job.id in self.unwanted or self.closing.wait(self.backend.poll):
                    break
                name, ended = self._submitted(job, shipment, request, code)
                result = self._followed(job, shipment, name, quiet=ended)
            if job.parts and not self.closing.is_set():
                result = returned(job, result)
            elif shipment.back is not None and not self.closing.is_set():
                result = result_here(result, shipment.back, job.id)
        except RenateError as error:
            result = NOTHING | {"status": "failed", "error": str(error)}
        if not self.closing.is_set():
            job.directory.finish(result)
            self.progress.ended(job.name, result)
        return result

    def _submitted(self, job: Job, shipment: Shipment, request: Json, code: bytes) -> tuple[str, bool]:
        """The name of the training job that does this job, and whether it has done so already."""
        home = shipment.home
        last = home.last()
        found = self._known(job, shipment, last) if last and not last.withdrawn else None
        if found is not None:
            return found
        if not job.config.resume:
            home.forget_checkpoints()
        self._upload(shipment, request, code)
        first = last.number + 1 if last else 1
        for number in range(first, first + NAMES):
            name = name_of(self.backend.job_name)
            try:
                home.claim(number, name)
            except FileExistsError:  # the same command, elsewhere, at this moment
                return self._submitted(job, shipment, request, code)
            try:
                created = self._created(request | {"TrainingJobName": name}, home)
            except RenateError:
                home.withdraw(number, name)
                raise
            if created:
                self.progress.line(f"submitted as {name}")
                return name, False
            home.withdraw(number, name)
        raise JobError(f"backend.job_name={self.backend.job_name}: {name} is taken, as another name was")

    def _created(self, request: Json, home: Home) -> bool:
        """Create the training job; False where its name is another's."""
        try:
            self.service.create(request)
        except FileExistsError:  # ours, if the answer to an earlier try was lost
            training = self.service.job(request["TrainingJobName"])
            return training is not None and home.owns(training)
        return True

    def _known(self, job: Job, shipment: Shipment, last: Attempt) -> tuple[str, bool] | None:
        """An earlier submission that still runs, or that has completed."""
        result = shipment.home.result(last.name)
        if result is not None:  # the service may still be tidying up after it
            if not job.config.resume or result["status"] != "completed":
                return None
            self.progress.line(f"finished earlier, as {last.name} (resume=false runs it again)")
            return last.name, True
        training, began = self.service.job(last.name), time.monotonic()
        while training is None and last.seconds + time.monotonic() - began < PATIENCE:
            time.sleep(1)
            training = self.service.job(last.name)
        if training is None or not shipment.home.owns(training) or training.training_job_status not in RUNNING:
            return None
        if not job.config.resume:
            raise JobError(f"this very job is running already, as {last.name}: resume=true follows it")
        self.progress.line(f"running already, as {last.name}")
        return last.name, False

    def _upload(self, shipment: Shipment, request: Json, code: bytes) -> None:
        source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
        store = open_store(shipment.staging)
        put_once(store, f"{source.removeprefix(f'{shipment.staging}/')}source.tar.gz", code)
        shipment.upload(self.progress.line)

    def _followed(self, job: Job, shipment: Shipment, name: str, *, quiet: bool) -> Json:
        with self.lock:
            unwanted = job.id in self.unwanted
            if not unwanted:
                self.running[job.id] = name
        if unwanted:  # told so while it was being submitted
            self.service.stop(name)
        result = NOTHING | {"status": "failed", "error": f"left running as {name}"}
        for event in Follower(self.service, shipment.home, name, self.backend.poll, self.closing).events():
            if event["event"] == "end":
                result = NOTHING | event["result"]
                continue
            for news in write_down(job.directory, event):
                if not quiet:
                    self._show(job, news)
        with self.lock:
            self.running.pop(job.id, None)
        return result

    def _show(self, job: Job, event: Json) -> None:
        show(self.progress, job.name, event)
        if event["event"] == "report" and event.get("metrics"):
            self.listener(job, {"update": event["update"]} | event["metrics"])
