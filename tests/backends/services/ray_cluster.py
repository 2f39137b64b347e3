"""Ray on loopback: a head and further nodes, each a raylet of its own, as processes of the tests."""

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any
from unittest import mock

CPUS = 2  # of each node
# Ray runs its workers at a lower priority, which starves them beside other tests
SETTINGS = {"RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"}


class RayCluster:
    """A running one: a head that runs nothing, and a node that can be lost.

    Args:
        cluster: Ray's own, for tests.
    """

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.node = cluster.add_node(num_cpus=CPUS)
        cluster.wait_for_nodes()

    @property
    def address(self) -> str:
        """Of its head, HOST:PORT."""
        return str(self.cluster.address)

    def lose_node(self) -> None:
        """Kill the node with all that runs on it; then another one comes up."""
        self.cluster.remove_node(self.node, allow_graceful=False)
        self.node = self.cluster.add_node(num_cpus=CPUS)


def why_not() -> str | None:
    """Why it can't run here; None if it can."""
    return "Ray not installed" if importlib.util.find_spec("ray") is None else None


@contextlib.contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster of one node; all ends with the block."""
    with mock.patch.dict(os.environ, SETTINGS):
        from ray.cluster_utils import Cluster

        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False},
        )
        try:
            yield RayCluster(cluster)
        finally:
            cluster.shutdown()
