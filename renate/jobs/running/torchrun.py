"""A job of several processes, from outside: the command that starts them, and what they died of.

Knows nothing of torch, so that a launcher or a container's entry can import it at no cost.
"""

import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renate.errors import ConfigError
from renate.jobs.directory import JobDirectory, read_json, write_json


@dataclass(frozen=True)
class Group:
    """Where the processes of a job run.

    Attributes:
        processes: On each host.
        hosts: How many hosts.
        host: Index of this one; the first host's first process speaks for the job.
        master: Address of the first host.
        port: A free port there; not needed where there is but one host.
        interface: Network interface by which the processes talk; None lets gloo and NCCL choose.
    """

    processes: int
    hosts: int = 1
    host: int = 0
    master: str = "127.0.0.1"
    port: int = 7777
    interface: str | None = None

    @property
    def alone(self) -> bool:
        """Whether the job is a single process."""
        return self.processes * self.hosts == 1

    def command(self, directory: Path, *more: str) -> list[str]:
        """The command that runs this host's part of a job directory.

        Its exit code is 0 only if all went well.
        """
        job = ["-m", "renate.jobs", str(directory), *more]
        if self.alone:
            return [sys.executable, *job]

        run = [sys.executable, "-m", "torch.distributed.run"]
        run += [f"--nproc-per-node={self.processes}", "--max-restarts=0", f"--nnodes={self.hosts}"]
        if self.hosts == 1:  # the port is whichever is free
            run += ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"]
        else:
            run += [f"--node-rank={self.host}"]
            run += [f"--master-addr={self.master}", f"--master-port={self.port}"]

        return [*run, *job]

    def environment(self, cores: int) -> dict[str, str]:
        """What the command's environment should hold where the caller's has nothing.

        Args:
            cores: Of this host; its processes share them.
        """
        found = {"OMP_NUM_THREADS": str(max(1, cores // self.processes))}
        # torch advises each process against the strategy for several, because it can't know what
        # an updater will do.
        found["TORCH_CPP_LOG_LEVEL"] = "ERROR"
        if self.alone:
            found |= {"RANK": "0", "LOCAL_RANK": "0"}
        if self.interface is not None:
            found |= {"GLOO_SOCKET_IFNAME": self.interface, "NCCL_SOCKET_IFNAME": self.interface}

        return found


def processes_of(config: Any, gpus: int) -> int:
    """How many processes a job's config asks for, on a host with so many GPUs.

    Raises:
        ConfigError: A value that `trainer.devices` can't have, or one that needs more GPUs.
    """
    if config["job"]["name"] in ("evaluate", "predict"):  # one does it
        return 1

    devices = config["trainer"]["devices"]
    accelerator = config["trainer"]["accelerator"]
    on_gpus = accelerator in ("gpu", "cuda") or (accelerator == "auto" and gpus > 0)

    if devices in (-1, "-1", "auto"):
        if devices != "auto" and not on_gpus:
            none = f"accelerator={accelerator} finds none here"
            raise ConfigError(f"trainer.devices={devices}: as many as GPUs, but {none}")
        if on_gpus:
            return max(1, gpus)
        return 1

    count = int(devices or 1)
    if count > 1 and accelerator == "mps":
        raise ConfigError(
            f"trainer.devices={devices}: Apple's GPU serves one process; expected 1 or null",
        )

    if on_gpus and count > 1 and count > gpus:
        found = f"trainer.devices={devices} needs {count} GPUs, there are {gpus}"
        raise ConfigError(f"{found}; trainer.accelerator=cpu needs none")

    return count


def check_devices(devices: Any) -> None:
    """Check what can be known of `trainer.devices` on any machine.

    Raises:
        ConfigError: It is no number of processes.
    """
    if devices is None or devices == "auto":
        return

    is_number = isinstance(devices, int) and not isinstance(devices, bool)
    if not is_number or (devices < 1 and devices != -1):
        expected = "expected a number of processes, -1 or auto (all GPUs), or null (one)"
        raise ConfigError(f"trainer.devices={devices}: {expected}")


def failed(directory: JobDirectory, rank: int, error: str, *, lost: bool) -> None:
    """Leave word of why a process failed; `lost` where it only noticed that another was gone."""
    write_json(directory.path / f"failed-{rank}.json", {"rank": rank, "error": error, "lost": lost})


def cause(directory: JobDirectory, log: str, code: int) -> str:
    """What a host's part of a job died of, in a line.

    Args:
        directory: The job's, on this host.
        log: What torch's elastic run has printed.
        code: Its exit code.
    """
    words = [read_json(path) or {} for path in sorted(directory.path.glob("failed-*.json"))]
    own = [word for word in words if not word["lost"]]
    if own:
        return str(own[0]["error"])

    victims = {word["rank"] for word in words}
    # Those that torch ended because one had died are listed too, and before it.
    first = log.rpartition("Root Cause")[2]
    for rank, ended in re.findall(r"rank\s*: (\d+) .*?\n\s*exitcode\s*: (-?\d+)", first + log):
        if int(rank) not in victims:
            return f"process {rank} of the job ended with {meaning(int(ended))}"

    if victims:
        return "a process of the job on another host is gone; its log says why"

    return f"the job's processes ended with {meaning(code)}, see {directory.path}/torchrun.txt"


def meaning(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    hint = ""
    if -code == signal.SIGKILL:
        hint = ": out of memory?"

    return f"signal {signal.Signals(-code).name}{hint}"
