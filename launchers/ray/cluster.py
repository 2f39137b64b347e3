"""What is asked of Ray."""

import importlib.util
import logging
import os
import secrets
import socket
from collections.abc import Iterator
from typing import Any

from renate.errors import ConfigError

from ..local.worker import KEEPING
from .runner import Runner, Task

NAMESPACE = "renate"
PREFIX = "renate-"
AUTO = "auto"  # as an address: that of the variable, else this machine's cluster
VARIABLE = "RAY_ADDRESS"
LOST = "lost: "  # how the end of a job begins whose node or process is gone
FREE_WITHIN = 60.0  # seconds from a job's result to its actor's being free
REACHED_WITHIN = 10.0  # seconds
ANSWER_WITHIN = 10.0  # seconds in which an actor that is there answers


def check_extra() -> None:
    """Raises ConfigError where Ray isn't installed."""
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("backend=ray needs Ray: pip install 'renate-cl[ray]'")


def connect(address: str) -> Any:
    """Connect to a cluster that is up; return Ray.

    Raises:
        ConfigError: There is none.
    """
    check_extra()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        return ray

    try:
        _reach(address)
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            configure_logging=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        asked = f"backend.address={address}"
        if address == AUTO and os.environ.get(VARIABLE):
            asked = f"{VARIABLE}={os.environ[VARIABLE]}"
        raise ConfigError(
            f"{asked}: no Ray cluster answers ({said[:200]}); `ray start --head` starts one"
        ) from error
    return ray


def _reach(address: str) -> None:
    """Raises OSError where nothing listens; Ray itself would try for minutes."""
    named = os.environ.get(VARIABLE, "") if address == AUTO else address
    host, _, port = named.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        with socket.create_connection((host, int(port)), timeout=REACHED_WITHIN):
            return


def check_resources(ray: Any, cpus: float, gpus: float, resources: dict[str, float]) -> None:
    """Raises ConfigError where no node has what one job asks for."""
    asked = {"CPU": cpus, "GPU": gpus, **resources}
    keys = {"CPU": "backend.cpus_per_job", "GPU": "backend.gpus_per_job"}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(all(node.get(k, 0) >= v for k, v in asked.items() if v) for node in nodes):
        return

    for name, amount in asked.items():
        most = max((node.get(name, 0) for node in nodes), default=0)
        if amount > most:
            key = keys.get(name, f"backend.resources.{name}")
            raise ConfigError(f"{key}={amount:g}: no node of the cluster has more than {most:g}")
    raise ConfigError(f"backend=ray: no single node of the cluster has all of {asked}")


class Actors:
    """Actors of ours: this command's own, or one that outlives it.

    Args:
        ray: Connected.
        most: How many this command may have.

    Attributes:
        options: What each asks for, in Ray's words.
    """

    def __init__(self, ray: Any, most: int) -> None:
        self.ray = ray
        self.options: dict[str, Any] = {}
        self.most = most
        self.gone: dict[str, str] = {}  # submission -> why it has ended without a result
        self.idle: list[Any] = []
        self.busy: dict[str, tuple[Any, Any]] = {}  # submission -> its actor, and its answer to be

    def leave(self, task: Task) -> None:
        """Have an actor run a task that outlives this command."""
        actor = self._new(lifetime="detached")
        self.ray.get(actor.begin.remote(task))  # what wasn't begun would end with this process

    def start(self, task: Task) -> None:
        """Have an actor run a task: an idle one, or a new one."""
        self._take_back()
        actor = self.idle.pop() if self.idle else self._new()
        self.busy[task.name] = (actor, actor.run.remote(task))

    def _new(self, **more: Any) -> Any:
        asked = self.options | more | {"name": PREFIX + secrets.token_hex(5), "max_restarts": 0}
        # Of several at a time: it answers while it runs a job
        return self.ray.remote(Runner).options(max_concurrency=4, **asked).remote()

    def _take_back(self) -> None:
        """See which have ended; a job says so a moment before its actor is free, which is waited
        for where no more actors may be had.
        """
        for name in list(self.busy):
            self.ended(name)
        if not self.idle and len(self.busy) >= self.most:
            self.ray.wait([answer for _, answer in self.busy.values()], timeout=FREE_WITHIN)
            for name in list(self.busy):
                self.ended(name)

    def ended(self, name: str) -> str | None:
        """Why a submission has ended without a result; None while it runs.

        Raises:
            KeyError: It isn't one of these.
        """
        if name in self.gone:
            return self.gone[name]

        actor, answer = self.busy[name]
        done, _ = self.ray.wait([answer], timeout=0)
        if not done:
            return None

        del self.busy[name]
        try:
            self.gone[name] = self.ray.get(answer) or "it ended without a result"
            self.idle.append(actor)
        except self.ray.exceptions.RayActorError:
            self.gone[name] = f"{LOST}its node or its process is gone"
        except self.ray.exceptions.RayError as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            self.gone[name] = f"{LOST}{said[:300]}"

        return self.gone[name]

    def stop(self, name: str) -> None:
        """Ask a submission to end at its next report."""
        if name in self.busy:
            self.busy[name][0].stop.remote(name)

    def close(self, *, busy: bool) -> None:
        """End the idle ones; with `busy` those that run a job too, which keeps a checkpoint."""
        if not self.ray.is_initialized():  # Ray has ended, and its actors with it
            return

        actors = list(self.idle)
        if busy:
            actors += [actor for actor, _ in self.busy.values()]
            self.busy = {}
        self.idle = []
        ends = [actor.close.remote() for actor in actors]
        if ends:
            self.ray.wait(ends, num_returns=len(ends), timeout=KEEPING)
        for actor in actors:
            self.ray.kill(actor)


def every(ray: Any) -> Iterator[tuple[Any, tuple[str, str, str, float]]]:
    """Each actor of ours that runs a job, whoever started it, and what it runs."""
    for name in ray.util.list_named_actors():
        if not name.startswith(PREFIX):
            continue
        try:
            actor = ray.get_actor(name)
            about = ray.get(actor.about.remote(), timeout=ANSWER_WITHIN)
        except (ValueError, ray.exceptions.RayError):  # gone, or not there yet
            continue
        if about is not None:
            yield actor, about
