"""One machine of a job: its /opt/ml in namespaces of its own, the submitted entry as process
number one.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import Json
from .image import Image
from .isolation import isolation
from .storage import Mirror, download_channel

# /opt is laid anew for this process alone: what is there stays visible, /opt/ml is the job's own.
BOOT = """exec 2>&1; set -e
box=$1; shift
mkdir -p "$box/opt/ml"
for entry in /opt/*; do
  name=$(basename "$entry")
  [ "$name" != ml ] && [ -d "$entry" ] || continue
  mkdir "$box/opt/$name"; mount --rbind "$entry" "$box/opt/$name"
done
mount --bind "$box/ml" "$box/opt/ml"
mount --rbind "$box/opt" /opt
mount --bind "$box/hosts" /etc/hosts
cd /
: > "$box/booted"
exec "$@"
"""


class Host:
    """An instance `algo-<n>`."""

    def __init__(self, job: Json, index: int, box: Path, log: Callable[[str], None]) -> None:
        self.job = job
        self.box = box
        self.log = log
        self.hosts = [
            f"algo-{number + 1}" for number in range(job["ResourceConfig"]["InstanceCount"])
        ]
        self.name = self.hosts[index]
        self.ml = box / "ml"
        self.mirror: Mirror | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.reader: threading.Thread | None = None

    def prepare(self, s3: Any, image: Image) -> None:
        """Fill /opt/ml. Raises DownloadError."""
        for folder in ("input/config", "input/data", "model", "output/data"):
            (self.ml / folder).mkdir(parents=True)
        self.image = image.layer(self.box / "image")
        channels = self.job.get("InputDataConfig") or []
        for channel in channels:
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            download_channel(s3, uri, self.ml / "input/data" / channel["ChannelName"])
        checkpoints = self.job.get("CheckpointConfig")
        if checkpoints:
            local = checkpoints["LocalPath"]
            self.mirror = Mirror(
                s3, self.ml / Path(local).relative_to("/opt/ml"), checkpoints["S3Uri"]
            )
            self.configure("checkpointconfig", {"LocalPath": local})
        self.configure("hyperparameters", self.job.get("HyperParameters") or {})
        self.configure(
            "inputdataconfig", {channel["ChannelName"]: described(channel) for channel in channels}
        )
        instance = self.job["ResourceConfig"]["InstanceType"]
        group = "homogeneousCluster"
        resources = {
            "current_host": self.name,
            "current_instance_type": instance,
            "current_group_name": group,
            "hosts": self.hosts,
            "instance_groups": [
                {"instance_group_name": group, "instance_type": instance, "hosts": self.hosts}
            ],
            "network_interface_name": "lo",
        }
        self.configure("resourceconfig", resources)
        names = "".join(f"127.0.0.1 {name}\n" for name in ("localhost", *self.hosts))
        (self.box / "hosts").write_text(names)

    def configure(self, name: str, value: Json) -> None:
        (self.ml / "input/config" / f"{name}.json").write_text(json.dumps(value))

    def start(self, role: dict[str, str]) -> None:
        """Run the entry; `role` is what the service's machines tell about credentials and
        endpoints.
        """
        algorithm = self.job["AlgorithmSpecification"]
        entry = [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
        known = {
            "TRAINING_JOB_NAME": self.job["TrainingJobName"],
            "TRAINING_JOB_ARN": self.job["TrainingJobArn"],
        }
        self.process = subprocess.Popen(
            [*isolation(), "/bin/bash", "-c", BOOT, "boot", str(self.box), *entry],
            env={
                **self.image,
                **role,
                **(self.job.get("Environment") or {}),
                **known,
                "HOSTNAME": self.name,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # unshare's own words; the entry's go to its output
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self.read, args=(self.process,), daemon=True)
        self.reader.start()
        if self.mirror:
            self.mirror.start()
        # A signal before the entry runs would go to a shell that ignores it.
        while self.process.poll() is None and not (self.box / "booted").exists():
            time.sleep(0.005)

    def read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.log(line.decode("utf-8", "replace").rstrip("\r\n"))
        process.stdout.close()

    def code(self) -> int | None:
        """The entry's exit status, as a shell would say it; None while it runs or before."""
        status = self.process.poll() if self.process else None
        return status if status is None or status >= 0 else 128 - status

    def signal(self, number: int) -> None:
        """To process number one alone, which gets no signal that it doesn't handle; as `docker
        stop` does.
        """
        if self.process and self.process.poll() is None:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for child in children.read_text().split():
                    os.kill(int(child), number)

    def stop(self, grace: float) -> None:
        """SIGTERM if there is any grace, SIGKILL when it is over."""
        if self.process is None:
            return
        if grace > 0:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(grace)
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()

    def finish(self, *, last: bool = True) -> None:
        """After the entry's end: the rest of its log and, unless the machine was taken away, its
        checkpoints.
        """
        if self.reader:
            self.reader.join()
        if self.mirror:
            self.mirror.finish(last=last)

    def failure(self) -> str:
        file = self.ml / "output/failure"
        return file.read_text(errors="replace") if file.is_file() else ""

    def remove(self) -> None:
        shutil.rmtree(self.box, ignore_errors=True)


def described(channel: Json) -> Json:
    source = channel["DataSource"]["S3DataSource"]
    return {
        "TrainingInputMode": channel.get("InputMode", "File"),
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
        **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
    }
