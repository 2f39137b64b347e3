"""SLURM on loopback: a controller and two nodes, as root, from the distribution's packages.

Debian: apt-get install --no-install-recommends slurmctld slurmd slurm-client munge. Ready in about
two seconds.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NODES = ("n1", "n2")
BINARIES = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol", "scancel", "squeue")
READY = 30.0  # seconds

CONFIG = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CryptoType=crypto/munge
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobRequeue=1
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
PreemptMode=REQUEUE
PreemptType=preempt/partition_prio
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=4 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=4 RealMemory=4000
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=5
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF
"""


@dataclass(frozen=True)
class Cluster:
    """A running one.

    Attributes:
        folder: Where it keeps everything.
    """

    folder: Path

    def asked(self, *words: str) -> str:
        """What one of SLURM's commands says."""
        return subprocess.run(
            words, env=self._environment(), check=True, capture_output=True, text=True
        ).stdout

    def _environment(self) -> dict[str, str]:
        return os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def start_node(self, node: str) -> None:
        """Start a node's daemon."""
        command = [_found("slurmd") or "", "-N", node, "-f", str(self.folder / "slurm.conf")]
        subprocess.run(command, check=True, capture_output=True)

    def lose_node_of(self, number: str) -> bool:
        """A job's node is gone; another takes the job, before the first is there again.

        Returns False where the job had ended before.
        """
        node = self.node_of(number)
        if node is None:
            return False

        self.lose_node(node)
        if not self.hasten(number):
            self.return_node(node)
            return False

        end = time.monotonic() + READY
        while number not in self.running():
            if time.monotonic() > end:
                raise RuntimeError(f"job {number} doesn't begin again within {READY:g} s")
            time.sleep(0.1)
        self.return_node(node)
        return True

    def lose_node(self, node: str) -> None:
        """A node is gone, with all that runs there, and SLURM notices."""
        doomed = [int((self.folder / f"slurmd-{node}.pid").read_text()), *self._processes(node)]
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.asked("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost")

    def return_node(self, node: str) -> None:
        """A node that was lost is there again, which SLURM hears of it (ReturnToService)."""
        self.start_node(node)
        end = time.monotonic() + READY
        while "DOWN" in self.asked("scontrol", "show", "node", node, "--oneliner"):
            if time.monotonic() > end:
                raise RuntimeError(f"{node} isn't back after {READY:g} s")
            time.sleep(0.1)

    def _processes(self, node: str) -> list[int]:
        """What runs on a node of this cluster: jobs' processes, and the daemons of their steps."""
        ours = f"SLURM_CONF={self.folder / 'slurm.conf'}".encode()
        found = set()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                variables = (entry / "environ").read_bytes().split(b"\0")
                if ours in variables and f"SLURMD_NODENAME={node}".encode() in variables:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    found.add(int(entry.name))
                    if Path("/proc", str(parent), "comm").read_text().startswith("slurmstepd"):
                        found.add(parent)
        return sorted(found)

    def running(self) -> list[str]:
        """SLURM's numbers of the jobs that run."""
        return self.asked("squeue", "-h", "--array", "-t", "R", "-o", "%i").split()

    def node_of(self, number: str) -> str | None:
        """The first node of a job that runs; None where it doesn't any more."""
        nodes = self.asked("squeue", "-h", "-t", "R", "-j", number, "-o", "%N").strip()
        if not nodes:
            return None
        return self.asked("scontrol", "show", "hostnames", nodes).split()[0]

    def hasten(self, number: str) -> bool:
        """Have a job that was queued again begin, which SLURM holds for two minutes.

        Returns False where the job had ended before it could be queued again.
        """
        end = time.monotonic() + READY
        while "JobState=PENDING" not in (said := self.asked("scontrol", "show", "job", number)):
            if "JobState=COMPLETED" in said:
                return False
            if time.monotonic() > end:
                raise RuntimeError(f"job {number} isn't queued again after {READY:g} s")
            time.sleep(0.1)
        # A node refuses credentials of the second in which it was told to end the job: one that
        # begins again within it fails. `now` has SLURM look at once, a later time within a minute.
        time.sleep(2)
        self.asked("scontrol", "update", f"JobId={number}", "StartTime=now")
        return True


def why_not() -> str | None:
    """Why it can't run here; None if it can."""
    missing = [name for name in BINARIES if _found(name) is None]
    if missing:
        return f"SLURM's {', '.join(missing)} not installed"
    if os.geteuid() != 0:
        return "SLURM on loopback is started by root"
    return None


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster; all its daemons end with the block."""
    host = socket.gethostname().partition(".")[0]
    controller, first, second = _free_ports()
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    folder.chmod(0o755)
    ports = {"controller": controller, "first": first, "second": second}
    text = CONFIG.format(host=host, folder=folder, **ports)
    (folder / "slurm.conf").write_text(text)

    munge = {
        "key-file": "munge.key",
        "socket": "munge.sock",
        "pid-file": "munged.pid",
        "log-file": "munged.log",
        "seed-file": "munge.seed",
    }
    asked = [f"--{name}={folder / file}" for name, file in munge.items()]
    subprocess.run([_found("munged") or "", "--force", *asked], check=True, capture_output=True)
    command = [_found("slurmctld") or "", "-f", str(folder / "slurm.conf")]
    subprocess.run(command, check=True, capture_output=True)

    running = Cluster(folder)
    try:
        for node in NODES:
            running.start_node(node)
        _wait_until_idle(running)
        yield running
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            running.asked("scancel", "--user=root")
        for daemon in (*(f"slurmd-{node}" for node in NODES), "slurmctld", "munged"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((folder / f"{daemon}.pid").read_text()), signal.SIGTERM)


def _wait_until_idle(running: Cluster) -> None:
    end = time.monotonic() + READY
    while True:
        with contextlib.suppress(subprocess.CalledProcessError):
            if running.asked("sinfo", "-h", "-N", "-p", "main", "-o", "%T").split() == ["idle"] * 2:
                return
        if time.monotonic() > end:
            log = (running.folder / "slurmctld.log").read_text()
            raise RuntimeError(f"SLURM isn't ready after {READY:g} s:\n{log[-2000:]}")
        time.sleep(0.2)


def _found(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def _free_ports() -> list[int]:
    sockets = [socket.socket() for _ in range(3)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
