"""The CreateTrainingJob request, built from the settings."""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from renate.jobs.directory import Json

from ..remote.machine import Machine
from . import bootstrap

NAME = 63  # characters of a training job's name
CHECKPOINTS = "/opt/ml/checkpoints"
# `exec`: the job's own program is the process that gets SIGTERM.
ENTRY = "exec $(command -v python3 || command -v python) -u /opt/ml/input/data/job/bootstrap.py"
TAG = "renate:job"


def machine_of(requirements: str | None) -> Machine:
    """What jobs find in a container of the service.

    Args:
        requirements: A file of packages to install besides, or None.
    """
    entry: dict[str, Path] = {}
    if requirements is not None:
        entry["requirements.txt"] = Path(requirements).expanduser()

    entry["bootstrap.py"] = Path(bootstrap.__file__)
    return Machine("sagemaker", str(bootstrap.CHANNEL), "S3", "s3://", entry)


def name_of(prefix: str) -> str:
    """A name for a training job; the prefix gives way, not what makes it unique."""
    unique = f"-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    return prefix[: NAME - len(unique)].rstrip("-") + unique


def channel(name: str, uri: str) -> Json:
    """A channel: what lies below a URL, copied to each machine before the job begins."""
    place = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": place}}


def build(
    settings: DictConfig, *, name: str, role: str, image: str, home: str, source: str, job: str
) -> Json:
    """The request for one job.

    Args:
        settings: The group backend.
        name: The training job's.
        role: An ARN.
        image: Its URI.
        home: URL of the job's own folder.
        source: URL of the folder that holds the code's archive.
        job: Our id of the job.
    """
    s: Any = OmegaConf.to_container(settings, resolve=True)
    tags = [{"Key": str(key), "Value": str(value)} for key, value in s["tags"].items()]
    request: Json = {
        "TrainingJobName": name,
        "RoleArn": role,
        "AlgorithmSpecification": {
            "TrainingImage": image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash", "-c", ENTRY],
        },
        "InputDataConfig": [channel("source", f"{source}/"), channel("job", f"{home}/job/")],
        "OutputDataConfig": {"S3OutputPath": f"{home}/out"},
        "ResourceConfig": {
            "InstanceType": s["instance_type"],
            "InstanceCount": s["instance_count"],
            "VolumeSizeInGB": s["volume_gb"],
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": int(s["max_run"])},
        # Also without spot: a stopped job, submitted again, goes on from there.
        "CheckpointConfig": {"S3Uri": f"{home}/checkpoints", "LocalPath": CHECKPOINTS},
        "Tags": [{"Key": TAG, "Value": job}, *tags],
    }
    _add_what_is_asked_for(request, s)

    return request


def _add_what_is_asked_for(request: Json, s: Json) -> None:
    """The parts that a request has only where a setting asks for them."""
    if s["spot"]:
        longest = int(s["max_wait"] or 2 * int(s["max_run"]))
        request["EnableManagedSpotTraining"] = True
        request["StoppingCondition"]["MaxWaitTimeInSeconds"] = longest

    if s["retries"]:
        request["RetryStrategy"] = {"MaximumRetryAttempts": s["retries"]}
    if s["subnets"] or s["security_groups"]:
        request["VpcConfig"] = {"SecurityGroupIds": s["security_groups"], "Subnets": s["subnets"]}
    if s["encrypt_traffic"]:
        request["EnableInterContainerTrafficEncryption"] = True
    if s["volume_kms_key"]:
        request["ResourceConfig"]["VolumeKmsKeyId"] = s["volume_kms_key"]
    if s["output_kms_key"]:
        request["OutputDataConfig"]["KmsKeyId"] = s["output_kms_key"]
    if s["environment"]:
        request["Environment"] = {str(k): str(v) for k, v in s["environment"].items()}
