"""Backends that tests run on, each ready to take jobs."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .services import ray_cluster, slurm
from .services.start import Services

WITHIN = 120.0  # seconds, on a busy machine


@dataclass(frozen=True)
class Backend:
    """One of them, ready.

    Attributes:
        overrides: That choose it, but for what depends on the test's folder.
        environment: Variables of the command.
        lose: Takes the machine of the one job that runs, in the midst of it; None where that is
            another file's test.
        refused: Overrides that ask for what it hasn't, and what is said of that.
        inherits: Whether jobs have the command's environment.
    """

    overrides: tuple[str, ...]
    environment: dict[str, str]
    lose: Callable[[], None] | None
    refused: tuple[str, str] | None
    inherits: bool = False

    @property
    def name(self) -> str:
        """As `backend=` has it."""
        return self.overrides[0].removeprefix("backend=")

    @property
    def elsewhere(self) -> bool:
        """Whether its jobs are submissions to something."""
        return self.name != "local"

    def command(self, folder: Path, *words: str) -> list[str]:
        """The words of a command that runs on it."""
        return [*words, *(word.format(folder=folder) for word in self.overrides)]


def _local(stack: ExitStack, folder: Path) -> Backend:
    refused = ("backend.workers=0", "backend.workers=0: expected a whole number of 1 or more")
    return Backend(("backend=local",), {}, None, refused, inherits=True)


def _toy(stack: ExitStack, folder: Path) -> Backend:
    return Backend(("backend=toy", "backend.staging={folder}/store"), {}, None, None)


def _slurm(stack: ExitStack, folder: Path) -> Backend:
    if reason := slurm.why_not():
        pytest.skip(reason)
    cluster = stack.enter_context(slurm.cluster(folder))

    def lose() -> None:
        """The node is lost; the job is queued again, and needn't wait for it."""
        (number,) = cluster.running()
        assert cluster.lose_node_of(number)

    environment = {"SLURM_CONF": str(cluster.folder / "slurm.conf")}
    said = "sbatch: invalid partition specified: none_such"
    refused = ("backend.partition=none_such", said)
    overrides = ("backend=slurm", "backend.poll=0.5")
    return Backend(overrides, environment, lose, refused, inherits=True)


def _ray(stack: ExitStack, folder: Path) -> Backend:
    if reason := ray_cluster.why_not():
        pytest.skip(reason)
    cluster = stack.enter_context(ray_cluster.ray_cluster())

    overrides = ("backend=ray", f"backend.address={cluster.address}", "backend.poll=0.5")
    said = "backend.cpus_per_job=64: no node of the cluster has more than 2"
    refused = ("backend.cpus_per_job=64", said)
    return Backend(overrides, {"RAY_ADDRESS": cluster.address}, cluster.lose_node, refused)


def sagemaker(services: Services) -> Backend:
    """The services on loopback; what is local goes to a prefix of the test's own."""
    overrides = (
        "backend=sagemaker",
        f"backend.role={services.role}",
        "backend.instance_type=ml.m5.xlarge",
        "backend.poll=0.5",
        f"backend.staging=s3://{services.bucket}/{{folder.name}}",
    )
    return Backend(overrides, {}, None, None)


BACKENDS = {"local": _local, "toy": _toy, "slurm": _slurm, "ray": _ray}
