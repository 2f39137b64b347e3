"""Ray on loopback: a head and further nodes, each a raylet of its own, as processes of the tests."""

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from .isolation import isolation

CPUS = 2  # of each node
UP_WITHIN = 60.0  # seconds
# Ray runs its workers at a lower priority, which starves them beside other tests
SETTINGS = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}
# A node whose file system is empty where the tests' folders are
APART = 'mount -t tmpfs none "$1" && cd / && shift && exec "$@"'


class RayCluster:
    """A running one: a head that runs nothing, and a node that can be lost.

    Args:
        cluster: Ray's own, for tests.
    """

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.start_node()

    def start_node(self) -> None:
        """Have the node come up."""
        self.node = self.cluster.add_node(num_cpus=CPUS)
        self.cluster.wait_for_nodes()

    @property
    def address(self) -> str:
        """Of its head, HOST:PORT."""
        return str(self.cluster.address)

    def lose_node(self) -> None:
        """Kill the node with all that runs on it; then another one comes up."""
        self.cluster.remove_node(self.node, allow_graceful=False)
        self.node = self.cluster.add_node(num_cpus=CPUS)


class RayApart(RayCluster):
    """Its node is a machine of its own: it sees nothing of the tests' folders.

    Args:
        cluster: Ray's own, for tests.
        hidden: The folder that is empty there.
    """

    def __init__(self, cluster: Any, hidden: Path) -> None:
        self.hidden = hidden
        super().__init__(cluster)

    def start_node(self) -> None:
        """See the base."""
        ray = [str(Path(sys.executable).parent / "ray"), "start", f"--address={self.address}"]
        # Ports of its agents are the first that are free: another node is on this machine
        ports = [f"--{name}-port=0" for name in ("dashboard-agent-listen", "node-manager")]
        command = [*ray, f"--num-cpus={CPUS}", *ports, "--block"]
        self.process = subprocess.Popen(
            [*isolation(), "sh", "-c", APART, "sh", str(self.hidden), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + UP_WITHIN
        while not self._is_up():
            assert time.monotonic() < end, f"no node within {UP_WITHIN:g} s"
            time.sleep(0.1)

    def _is_up(self) -> bool:
        nodes = self.cluster.global_state.node_table()
        return any(node["Alive"] and node["Resources"].get("CPU") for node in nodes)

    def lose_node(self) -> None:
        """See the base."""
        self.end_node()
        self.start_node()

    def end_node(self) -> None:
        """Kill the node with all that runs on it, and wait until its head knows."""
        self.process.kill()
        self.process.wait()
        end = time.monotonic() + UP_WITHIN
        while self._is_up():
            assert time.monotonic() < end, f"the node is known for longer than {UP_WITHIN:g} s"
            time.sleep(0.1)


def why_not() -> str | None:
    """Why it can't run here; None if it can."""
    return "Ray not installed" if importlib.util.find_spec("ray") is None else None


@contextlib.contextmanager
def _head() -> Iterator[Any]:
    with mock.patch.dict(os.environ, SETTINGS):
        from ray.cluster_utils import Cluster

        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False},
        )
        try:
            yield cluster
        finally:
            cluster.shutdown()


@contextlib.contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster of one node; all ends with the block."""
    with _head() as cluster:
        yield RayCluster(cluster)


@contextlib.contextmanager
def ray_apart(hidden: Path) -> Iterator[RayApart]:
    """The same, whose node is a machine of its own; see `RayApart`."""
    with _head() as cluster:
        running = RayApart(cluster, hidden)
        try:
            yield running
        finally:
            running.end_node()
