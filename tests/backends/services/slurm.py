"""SLURM on loopback: a controller and one node, as root, from the distribution's packages.

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
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
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
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=5
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=9 PreemptMode=OFF
"""


@dataclass(frozen=True)
class Cluster:
    """A running one.

    Attributes:
        folder: Where it keeps everything.
        host: The node's name.
    """

    folder: Path
    host: str

    def asked(self, *words: str) -> str:
        """What one of SLURM's commands says."""
        environment = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf")}
        return subprocess.run(
            words, env=environment, check=True, capture_output=True, text=True
        ).stdout


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
    controller, node = _free_ports()
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    folder.chmod(0o755)
    text = CONFIG.format(host=host, folder=folder, controller=controller, node=node)
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
    for daemon in ("slurmctld", "slurmd"):
        command = [_found(daemon) or "", "-f", str(folder / "slurm.conf")]
        subprocess.run(command, check=True, capture_output=True)

    running = Cluster(folder, host)
    try:
        _wait_until_idle(running)
        yield running
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            running.asked("scancel", "--user=root")
        for daemon in ("slurmd", "slurmctld", "munged"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((folder / f"{daemon}.pid").read_text()), signal.SIGTERM)


def _wait_until_idle(running: Cluster) -> None:
    end = time.monotonic() + READY
    while True:
        with contextlib.suppress(subprocess.CalledProcessError):
            if "idle" in running.asked("sinfo", "-h", "-o", "%T"):
                return
        if time.monotonic() > end:
            log = (running.folder / "slurmctld.log").read_text()
            raise RuntimeError(f"SLURM isn't ready after {READY:g} s:\n{log[-2000:]}")
        time.sleep(0.2)


def _found(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def _free_ports() -> list[int]:
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
