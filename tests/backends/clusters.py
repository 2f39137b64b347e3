"""Backends that tests run on, each ready to take jobs."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .services import isolation, ray_cluster, slurm
from .services.start import BUCKET, REGION, Services, bucket_at, server

WITHIN = 120.0  # seconds, on a busy machine
TOO_MANY = (
    "backend.cpus_per_job=64",
    "backend.cpus_per_job=64: no node of the cluster has more than 2",
)


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
        left: The URL of a state that jobs reach when nobody follows them.
    """

    overrides: tuple[str, ...]
    environment: dict[str, str]
    lose: Callable[[], None] | None
    refused: tuple[str, str] | None
    inherits: bool = False
    left: str = "{folder}/there"

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
    return Backend(overrides, {"RAY_ADDRESS": cluster.address}, cluster.lose_node, TOO_MANY)


def _ray_apart(stack: ExitStack, folder: Path) -> Backend:
    """Nodes see no folder of this machine's: all that a job is goes through an object store."""
    for reason in (ray_cluster.why_not(), isolation.why_not()):
        if reason:
            pytest.skip(reason)
    store = stack.enter_context(server("s3"))
    bucket_at(store)
    environment = {
        "AWS_ENDPOINT_URL": store,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    cluster = stack.enter_context(ray_cluster.ray_apart(folder.parent))

    overrides = (
        "backend=ray",
        f"backend.address={cluster.address}",
        "backend.poll=0.5",
        "backend.working_copy=shipped",
        f"backend.staging=s3://{BUCKET}/{{folder.name}}",
        *(f"+backend.environment.{name}='{value}'" for name, value in environment.items()),
    )
    given = environment | {"RAY_ADDRESS": cluster.address}
    state = f"s3://{BUCKET}/{{folder.name}}/there"
    return Backend(overrides, given, cluster.lose_node, TOO_MANY, left=state)


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


BACKENDS = {"local": _local, "toy": _toy, "slurm": _slurm, "ray": _ray, "ray-apart": _ray_apart}
