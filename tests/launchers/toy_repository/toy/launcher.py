"""A backend in its smallest form: a machine is a folder, and a job is a process in it."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from renate.launchers.base import ComposedJob
from renate.launchers.remote.backend import PreparedJob, RemoteJob
from renate.launchers.remote.job_upload import JobUpload
from renate.launchers.remote.launcher import RemoteLauncher
from renate.launchers.remote.machine import Machine

PROGRAMS = "renate.launchers.remote.inside"


class ToyLauncher(RemoteLauncher):
    """Jobs as processes; `backend.staging` is the object store."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.machine = Machine("toy", channel="channel", store="a folder", scheme="toy://")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def request_for(self, job: ComposedJob, upload: JobUpload) -> Any:
        return None

    def new_name(self) -> str:
        return f"toy-{secrets.token_hex(4)}"

    def create(self, name: str, prepared: PreparedJob) -> bool:
        place = Path(self.backend.staging, "machines", name)
        shutil.copytree(Path(prepared.upload.folder.url, "job"), place / "channel")
        for code in ("conf", "toy"):  # a sweep is composed where it runs
            shutil.copytree(code, place / code)
        for module in Path().glob("*.py"):
            shutil.copy(module, place)
        program = "run_sweep" if (place / "channel" / "argv.json").exists() else "run_job"
        command = [sys.executable, "-m", f"{PROGRAMS}.{program}", "channel", "job", "--run", name]
        with (place / "output.txt").open("wb") as output:
            self.processes[name] = subprocess.Popen(
                command, cwd=place, stdout=output, stderr=output, start_new_session=True
            )
        return True

    def look(self, name: str, upload: JobUpload) -> RemoteJob | None:
        process = self.processes.get(name)
        if process is None:
            return None
        return RemoteJob(process.poll() is None, why_ended=f"it ended with {process.returncode}")

    def end(self, name: str) -> None:
        os.kill(self.processes[name].pid, signal.SIGTERM)

    def close(self) -> None:
        super().close()
        for process in self.processes.values():  # a machine is given back once its job has ended
            process.wait()
