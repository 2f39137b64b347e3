"""Where the chain of test_chain.py runs: the services on loopback, or an account of AWS; the
tests are the same.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from renate.launchers.sagemaker.service import Service
from tests.command import RENATE, renate

VARIABLES = ("RENATE_AWS_ROLE", "RENATE_AWS_BUCKET")
RECORD: list[str] = []  # what ran on an account, for the end of the test run


@dataclass
class Account:
    """A place for jobs, as a user's environment finds it.

    Attributes:
        role: That jobs run as.
        url: A prefix of its own, for one test.
        patience: Seconds that a job may take.
        real: Whether it costs something.
    """

    role: str
    url: str
    folder: Path
    patience: float
    real: bool
    service: Service = field(default_factory=lambda: Service(None))

    @property
    def state(self) -> str:
        return f"{self.url}/state"

    def on(self, *overrides: str) -> list[str]:
        """Overrides that submit to it."""
        kind = os.environ.get("RENATE_AWS_INSTANCE", "ml.m5.xlarge")
        limit = ["backend.max_run=1800", "backend.poll=0.5", "backend.job_name=renate-test"]
        return [
            "backend=sagemaker",
            f"backend.role={self.role}",
            f"backend.instance_type={kind}",
            *limit,
            *overrides,
        ]

    def renate(
        self, *arguments: str, code: int = 0, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return renate(*arguments, cwd=cwd or self.folder, code=code, timeout=self.patience)

    def jobs(
        self, *arguments: str, code: int = 0, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A verb of `renate jobs`, on SageMaker."""
        return self.renate("jobs", *arguments, "--backend", "sagemaker", code=code, cwd=cwd)

    def submit(self, *overrides: str) -> str:
        """Submit and leave; the training job's name."""
        done = self.renate(*self.on(*overrides, "backend.wait=false"))
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("submitted ")]
        return line.split()[1]

    @contextmanager
    def following(self, name: str) -> Iterator[Iterator[str]]:
        """The lines of `renate jobs logs --follow`; it must end by itself."""
        command = [*RENATE, "jobs", "logs", name, "--follow", "--backend", "sagemaker"]
        with subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, text=True
        ) as process:
            late = threading.Timer(self.patience, process.kill)
            late.start()
            try:
                assert process.stdout is not None
                yield iter(process.stdout)
                assert process.wait() == 0
            finally:
                late.cancel()
                process.kill()

    def eventually(self, look: Callable[[], bool]) -> None:
        """A search lags behind, and a job's result is there before its machine is given back."""
        end = time.monotonic() + self.patience
        while not look():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(5 if self.real else 0.3)

    def ended(self, name: str) -> str:
        """How a training job ended, once it has."""

        def over() -> bool:
            return self.service.job(name).training_job_status not in ("InProgress", "Stopping")

        self.eventually(over)
        job = self.service.job(name)
        if self.real:
            where = self.service.session.client("sagemaker").meta.endpoint_url
            RECORD.append(
                f"{name} at {where}: {job.training_job_status}, {job.billable_time_in_seconds} s "
                "billed"
            )
        return str(job.training_job_status)
