"""The life of a training job: machines found, data fetched, the entry run, restarted, stopped,
its outputs kept.
"""

import itertools
import re
import shutil
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .container import Host
from .errors import Json, Script
from .image import Image
from .logs import Logs
from .storage import DownloadError, upload_tar

ENDINGS = {
    "StopTrainingJob": ("Stopped", "Stopped", "Training job stopped"),
    "MaxRuntimeExceeded": (
        "Stopped",
        "MaxRuntimeExceeded",
        "Training job runtime exceeded MaxRuntimeInSeconds",
    ),
    "MaxWaitTimeExceeded": (
        "Stopped",
        "MaxWaitTimeExceeded",
        "Training job wait time exceeded MaxWaitTimeInSeconds",
    ),
}


@dataclass
class World:
    """What every job shares."""

    s3: Any
    s3_endpoint: str
    region: str
    root: Path
    image: Image
    logs: Logs
    script: Script

    def role(self) -> dict[str, str]:
        """What a container knows of S3 and its credentials, and nothing else of this machine."""
        endpoint = self.script.s3_endpoint or self.s3_endpoint
        return {
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }


class Job(threading.Thread):
    """Runs one accepted request. `described` is what DescribeTrainingJob shows."""

    def __init__(self, request: Json, arn: str, world: World) -> None:
        super().__init__(daemon=True, name=request["TrainingJobName"])
        self.world = world
        self.lock = threading.RLock()
        self.tags: dict[str, str] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        self.folder = world.root / self.name
        self.order: str | None = None  # StopTrainingJob, Interrupted, InternalServerError, reset
        self.spared = True  # whether an interruption gives notice
        self.hosts: list[Host] = []
        self.failed: Host | None = None
        self.metrics: dict[str, Json] = {}
        now = time.time()
        flags = (
            "EnableNetworkIsolation",
            "EnableManagedSpotTraining",
            "EnableInterContainerTrafficEncryption",
        )
        self.described: Json = {
            **dict.fromkeys(flags, False),
            **{name: value for name, value in request.items() if name != "Tags"},
            "TrainingJobArn": arn,
            "CreationTime": now,
            "LastModifiedTime": now,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatusTransitions": [],
        }
        if checkpoints := request.get("CheckpointConfig"):
            checkpoints.setdefault("LocalPath", "/opt/ml/checkpoints")
        stopping = request["StoppingCondition"]
        self.budget: float = stopping.get("MaxRuntimeInSeconds", 24 * 3600)
        self.latest = time.monotonic() + stopping.get("MaxWaitTimeInSeconds", 10**9)
        self.move("Starting", "Starting the training job")

    # The shown status

    def move(self, secondary: str, message: str) -> None:
        with self.lock:
            now = time.time()
            past = self.described["SecondaryStatusTransitions"]
            if past:
                past[-1].setdefault("EndTime", now)
            past.append({"Status": secondary, "StartTime": now, "StatusMessage": message})
            self.described |= {"SecondaryStatus": secondary, "LastModifiedTime": now}

    def end(self, primary: str, secondary: str, message: str, reason: str = "") -> None:
        with self.lock:
            self.move(secondary, message)
            now = self.described["LastModifiedTime"]
            self.described["SecondaryStatusTransitions"][-1]["EndTime"] = now
            if reason:
                self.described["FailureReason"] = reason[:1024]
            if self.metrics:
                self.described["FinalMetricDataList"] = list(self.metrics.values())
            if start := self.described.get("TrainingStartTime"):
                seconds = int(now - start) + 1
                self.described |= {
                    "TrainingTimeInSeconds": seconds,
                    "BillableTimeInSeconds": seconds,
                }
            self.described |= {"TrainingEndTime": now, "TrainingJobStatus": primary}

    @property
    def over(self) -> bool:
        return self.described["TrainingJobStatus"] not in ("InProgress", "Stopping")

    def stop(self) -> None:
        with self.lock:
            if not self.over and self.described["TrainingJobStatus"] != "Stopping":
                self.described["TrainingJobStatus"] = "Stopping"
                self.move("Stopping", "Stopping the training job")
                self.order = "StopTrainingJob"

    def disturb(self, order: str, *, spared: bool) -> None:
        with self.lock:
            if self.order is None:
                self.order = order
                self.spared = spared

    def kill(self) -> None:
        """End at once, for the sake of the next test."""
        with self.lock:
            self.order = "reset"
        for host in self.hosts:
            host.stop(0)

    def write(self, stream: str, line: str) -> None:
        self.world.logs.write(stream, line)
        for metric in self.described["AlgorithmSpecification"].get("MetricDefinitions") or []:
            if found := re.search(metric["Regex"], line):
                with self.lock:
                    value = {
                        "MetricName": metric["Name"],
                        "Value": float(found[1]),
                        "Timestamp": time.time(),
                    }
                    self.metrics[metric["Name"]] = value

    # Its course

    def run(self) -> None:
        ending: tuple[str, ...]
        try:
            ending = self.live()
        except DownloadError as error:
            ending = "Failed", "Failed", "Training job failed", str(error)
        except Exception:  # the service's own failures have this name too
            reason = f"InternalServerError: {traceback.format_exc()[-900:]}"
            ending = "Failed", "Failed", "Training job failed", reason
        shutil.rmtree(self.folder, ignore_errors=True)
        self.end(*ending)

    def live(self) -> tuple[str, ...]:
        retries = (self.described.get("RetryStrategy") or {}).get("MaximumRetryAttempts", 0)
        for attempt in itertools.count():
            if why := self.wait_for_machines():
                return ENDINGS[why]
            if reason := self.world.script.failure(self.name):
                return "Failed", "Failed", "Training job failed", reason
            hosts = self.hosts = self.machines(attempt)
            why = self.train(hosts)
            if why == "Interrupted":
                self.move(
                    "Interrupted", "Training job interrupted: the spot capacity was reclaimed"
                )
            elif why == "InternalServerError" and retries > 0:
                retries -= 1
                self.move("Restarting", "Training job restarting after an internal error")
            elif why == "InternalServerError":
                return (
                    "Failed",
                    "Failed",
                    "Training job failed",
                    "InternalServerError: We encountered an internal error.",
                )
            else:
                return self.conclude(hosts, why)
            for host in hosts:
                host.remove()
            self.move("Starting", "Preparing the instances for training")
        raise AssertionError

    def wait_for_machines(self) -> str | None:
        found = time.monotonic() + self.world.script.capacity_delay
        while time.monotonic() < found:
            if self.order in ("StopTrainingJob", "reset"):
                break
            if time.monotonic() > self.latest:
                return "MaxWaitTimeExceeded"
            time.sleep(0.02)
        return "StopTrainingJob" if self.order in ("StopTrainingJob", "reset") else None

    def machines(self, attempt: int) -> list[Host]:
        self.move("Downloading", "Downloading input data")
        hosts = []
        for index in range(self.described["ResourceConfig"]["InstanceCount"]):
            name = f"algo-{index + 1}"
            stream = self.world.logs.open(self.name, name)
            box = self.folder / str(attempt) / name
            hosts.append(
                Host(
                    self.described, index, box, lambda line, stream=stream: self.write(stream, line)
                )
            )
            hosts[-1].prepare(self.world.s3, self.world.image)
        return hosts

    def train(self, hosts: list[Host]) -> str:
        """Run the entries to their end; returns what ended them: an order, a limit, or "exit"."""
        if self.order is None:
            self.move("Training", "Training image download completed. Training in progress.")
        with self.lock:
            self.described.setdefault("TrainingStartTime", time.time())
        began = time.monotonic()
        for host in hosts:
            host.start(self.world.role())
        while (why := self.reason_to_end(hosts, began)) is None:
            time.sleep(0.02)
        gone = (why == "Interrupted" and not self.spared) or why in ("InternalServerError", "reset")
        if why != "exit" or self.failed:
            grace = 0.0 if gone else self.world.script.grace
            stops = [threading.Thread(target=host.stop, args=(grace,)) for host in hosts]
            for thread in stops:
                thread.start()
            for thread in stops:
                thread.join()
        for host in hosts:
            host.finish(last=not gone)
        self.budget -= time.monotonic() - began
        with self.lock:
            if self.order in ("Interrupted", "InternalServerError"):
                self.order = None
        return "StopTrainingJob" if why == "reset" else why

    def reason_to_end(self, hosts: list[Host], began: float) -> str | None:
        codes = [host.code() for host in hosts]
        if any(codes) or None not in codes:
            # The others are stopped for it, and their codes say nothing.
            self.failed = next(
                (host for host, code in zip(hosts, codes, strict=True) if code), None
            )
            return "exit"
        if self.order:
            return self.order
        now = time.monotonic()
        if now - began > self.budget:
            return "MaxRuntimeExceeded"
        return "MaxWaitTimeExceeded" if now > self.latest else None

    def conclude(self, hosts: list[Host], why: str) -> tuple[str, ...]:
        self.move("Uploading", "Uploading generated training model")
        base = (
            f"{self.described['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"
        )
        upload_tar(
            self.world.s3, [host.ml / "output/data" for host in hosts], f"{base}/output.tar.gz"
        )
        if upload_tar(self.world.s3, [host.ml / "model" for host in hosts], f"{base}/model.tar.gz"):
            with self.lock:
                self.described["ModelArtifacts"] = {"S3ModelArtifacts": f"{base}/model.tar.gz"}
        if self.failed:
            reason = f"AlgorithmError: {self.failed.failure()}, exit code: {self.failed.code()}"
            return "Failed", "Failed", "Training job failed", reason
        return ENDINGS.get(why, ("Completed", "Completed", "Training job completed"))
