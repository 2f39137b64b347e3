"""CreateTrainingJob as it is sent: pinned, checked against botocore's model and the documented
limits.
"""

import re
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError
from renate.launchers.composing.conf import CONF
from renate.launchers.sagemaker.check import check_request, check_settings
from renate.launchers.sagemaker.request import build, name_of

botocore = pytest.importorskip("botocore")
from botocore.validate import ParamValidator  # noqa: E402

from tests.backends.services.validate import MODELS, problems  # noqa: E402

ROLE = "arn:aws:iam::123456789012:role/RenateJobs"
IMAGE = "763104351884.dkr.ecr.us-west-2.amazonaws.com/pytorch-training:2.10.0-cpu-py313"
HOME = "s3://b/state/jobs/0123456789"
SHAPE = MODELS["sagemaker"].operation_model("CreateTrainingJob").input_shape
KEY = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
Json = dict[str, Any]


def settings(**changes: Any) -> DictConfig:
    given = OmegaConf.load(CONF / "backend" / "sagemaker.yaml")
    assert isinstance(given, DictConfig)
    return OmegaConf.merge(given, {"role": ROLE, "instance_type": "ml.m5.xlarge"}, changes)  # type: ignore[return-value]


def made(
    name: str = "renate-20261123-101500-a1b2c3",
    home: str = HOME,
    job: str = "0123456789",
    **changes: Any,
) -> Json:
    given = settings(**changes)
    check_settings(given)
    source = "s3://b/state/sources/abc"
    return build(given, name=name, role=given.role, image=IMAGE, home=home, source=source, job=job)


def channel(name: str, uri: str) -> Json:
    place = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": place}}


PLAIN: Json = {
    "TrainingJobName": "renate-20261123-101500-a1b2c3",
    "RoleArn": ROLE,
    "AlgorithmSpecification": {
        "TrainingImage": IMAGE,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": [
            "/bin/bash",
            "-c",
            "exec $(command -v python3 || command -v python) -u "
            "/opt/ml/input/data/job/bootstrap.py",
        ],
    },
    "InputDataConfig": [
        channel("source", "s3://b/state/sources/abc/"),
        channel("job", f"{HOME}/job/"),
    ],
    "OutputDataConfig": {"S3OutputPath": f"{HOME}/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 50},
    "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
    "CheckpointConfig": {"S3Uri": f"{HOME}/checkpoints", "LocalPath": "/opt/ml/checkpoints"},
    "Tags": [{"Key": "renate:job", "Value": "0123456789"}],
}
FORMS: dict[str, tuple[Json, Json]] = {
    "plain": ({}, {}),
    "spot": (
        {"spot": True, "max_run": 3600, "retries": 2},
        {
            "EnableManagedSpotTraining": True,
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200},
            "RetryStrategy": {"MaximumRetryAttempts": 2},
        },
    ),
    "VPC and KMS": (
        {
            "subnets": ["subnet-0a1b2c3d4e5f60718"],
            "security_groups": ["sg-0a1b2c3d4e5f60718"],
            "encrypt_traffic": True,
            "volume_kms_key": KEY,
            "output_kms_key": KEY,
        },
        {
            "VpcConfig": {
                "SecurityGroupIds": ["sg-0a1b2c3d4e5f60718"],
                "Subnets": ["subnet-0a1b2c3d4e5f60718"],
            },
            "EnableInterContainerTrafficEncryption": True,
            "OutputDataConfig": PLAIN["OutputDataConfig"] | {"KmsKeyId": KEY},
            "ResourceConfig": PLAIN["ResourceConfig"] | {"VolumeKmsKeyId": KEY},
        },
    ),
    "several machines": (
        {"instance_type": "ml.g5.xlarge", "instance_count": 2, "volume_gb": 100},
        {
            "ResourceConfig": {
                "InstanceType": "ml.g5.xlarge",
                "InstanceCount": 2,
                "VolumeSizeInGB": 100,
            }
        },
    ),
    "a sweep": (
        {"home": f"{HOME[:-10]}sweep-0a1b2c3d4e", "job": "sweep-0a1b2c3d4e"},
        {
            "InputDataConfig": [
                PLAIN["InputDataConfig"][0],
                channel("job", "s3://b/state/jobs/sweep-0a1b2c3d4e/job/"),
            ],
            "OutputDataConfig": {"S3OutputPath": "s3://b/state/jobs/sweep-0a1b2c3d4e/out"},
            "CheckpointConfig": {
                "S3Uri": "s3://b/state/jobs/sweep-0a1b2c3d4e/checkpoints",
                "LocalPath": "/opt/ml/checkpoints",
            },
            "Tags": [{"Key": "renate:job", "Value": "sweep-0a1b2c3d4e"}],
        },
    ),
    "tags and environment": (
        {"tags": {"team": "ranking"}, "environment": {"RENATE_LOG": "debug", "N": 3}},
        {
            "Tags": [*PLAIN["Tags"], {"Key": "team", "Value": "ranking"}],
            "Environment": {"RENATE_LOG": "debug", "N": "3"},
        },
    ),
}


@pytest.mark.parametrize(("changes", "expected"), FORMS.values(), ids=list(FORMS))
def test_the_request(changes: Json, expected: Json) -> None:
    request = made(**changes)
    assert request == PLAIN | expected
    check_request(request, SHAPE)
    assert ParamValidator().validate(request, SHAPE).generate_report() == ""
    assert problems("CreateTrainingJob", request) == []


LONG = "s3://b/" + "x" * 1020
REFUSED: dict[str, tuple[Json, str]] = {
    "role": (
        {"role": "RenateJobs"},
        r"backend.role=RenateJobs: expected arn:aws:iam::<account>:role/<name>",
    ),
    "instance": (
        {"instance_type": "ml.m5.huge"},
        r"backend.instance_type=ml.m5.huge: .*, did you mean 'ml.m5.large'",
    ),
    "retries": ({"retries": 31}, r"backend.retries=31: expected 1 to 30"),
    "tags": (
        {"tags": {f"k{n}": "" for n in range(50)}},
        r"backend.tags=.*: expected at most 50 entries",
    ),
    "tag": ({"tags": {"a": "b!"}}, r"backend.tags=b!: expected text that matches"),
    "variable": (
        {"environment": {"1A": "x"}},
        r"backend.environment=1A: expected text that matches",
    ),
    "value": (
        {"environment": {"A": "x" * 513}},
        r"backend.environment=x{60}…: expected at most 512 characters",
    ),
    "subnet": (
        {"subnets": ["a b"], "security_groups": ["sg-1"]},
        r"backend.subnets=a b: expected subnet-…",
    ),
    "key": (
        {"volume_kms_key": "x" * 2049},
        r"backend.volume_kms_key=x{60}…: expected at most 2048 characters",
    ),
    "home": (
        {"home": LONG},
        r"state.url or backend.staging=s3://b/x+…: expected s3://bucket/prefix of at most",
    ),
    "name": (
        {"name": "a" * 64},
        r"backend.job_name=a{60}…: expected letters, digits and single '-'",
    ),
}


@pytest.mark.parametrize(("changes", "text"), REFUSED.values(), ids=list(REFUSED))
def test_what_breaks_a_limit_is_refused_here(changes: Json, text: str) -> None:
    request = made(**changes)
    with pytest.raises(ConfigError, match=text):
        check_request(request, SHAPE)
    whole = ParamValidator().validate(request, SHAPE).generate_report() == ""
    assert not whole or problems("CreateTrainingJob", request), "the service would refuse it too"


SETTINGS: dict[str, tuple[Json, str]] = {
    "count": (
        {"instance_count": 0},
        r"backend.instance_count=0: expected a whole number of 1 or more",
    ),
    "28 days": (
        {"max_run": 29 * 86400},
        r"backend.max_run=2505600: expected at most 2419200 seconds, 28 days",
    ),
    "wait": ({"max_wait": 9}, r"backend.max_wait=9: only for spare machines, backend.spot=true"),
    "short wait": (
        {"max_wait": 9, "spot": True},
        r"backend.max_wait=9: .* at least backend.max_run=86400",
    ),
    "no group": (
        {"subnets": ["subnet-1"]},
        r"backend.subnets=\['subnet-1'\]: a VPC needs backend.security_groups",
    ),
    "staging": ({"staging": "./here"}, r"backend.staging=./here: expected s3://bucket/prefix"),
    "file": ({"requirements": "none.txt"}, r"backend.requirements=none.txt: no such file"),
    "part": ({"volume_gb": 0.5}, r"backend.volume_gb=0.5: expected a whole number"),
    "machine": (
        {"instance_type": "m5"},
        r"backend.instance_type=m5: expected a kind of machine, as ml.m5.xlarge",
    ),
    "prefix": (
        {"job_name": "my_job"},
        r"backend.job_name=my_job: expected letters, digits and single '-'",
    ),
}


@pytest.mark.parametrize(("changes", "text"), SETTINGS.values(), ids=list(SETTINGS))
def test_settings_that_cannot_be_right(changes: Json, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_settings(settings(**changes))


def test_a_name_keeps_what_makes_it_unique() -> None:
    names = {name_of("a-long-prefix-" * 6) for _ in range(20)}
    assert len(names) == 20
    assert all(re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", name) for name in names)
    assert name_of("short").startswith("short-20")
