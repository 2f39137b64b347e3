"""What settings and request can be wrong in, said before an upload: botocore itself checks next
to nothing.
"""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from renate.errors import ConfigError, nearest, within
from renate.jobs.directory import Json
from renate.object_store.credentials import NoAccessError, options

from ..composing.checks.backend import check_entries, check_list
from ..composing.checks.kinds import (
    AMOUNT,
    COUNT,
    COUNT_OR_NONE,
    Flag,
    Number,
    Setting,
    Text,
    check_kinds,
)

LONGEST_SHOWN = 60  # characters of a wrong value
INSTANCE = r"ml\.[a-z0-9-]+\.[a-z0-9-]+"
LONGEST_RUN = 28 * 24 * 3600  # seconds; documented, in no shape of the API
# Java's classes of characters, in the patterns of the API's model
CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s"}
ROLE = "arn:aws:iam::<account>:role/<name>"
PLACE = "s3://bucket/prefix of at most some 900 characters"
SETTINGS: dict[str, Setting] = {
    "role": Text(optional=True),
    "region": Text(optional=True),
    "instance_type": Text(),
    "instance_count": COUNT,
    "volume_gb": COUNT,
    "image": Text(optional=True),
    "requirements": Text(optional=True),
    "max_code_mb": AMOUNT,
    "max_run": AMOUNT,
    "spot": Flag(),
    "max_wait": Number(above=True, optional=True),
    "retries": COUNT_OR_NONE,
    "capacity_retries": COUNT_OR_NONE,
    "encrypt_traffic": Flag(),
    "volume_kms_key": Text(optional=True),
    "output_kms_key": Text(optional=True),
    "staging": Text(optional=True),
    "job_name": Text(),
}
# Part of the request -> the key that it comes from, and what is expected where the model's own
# words don't help.
KEYS = {
    "TrainingJobName": (
        "backend.job_name",
        "letters, digits and single '-', a letter or digit first",
    ),
    "RoleArn": ("backend.role", ROLE),
    "AlgorithmSpecification.TrainingImage": ("backend.image", ""),
    "InputDataConfig": ("state.url or backend.staging", PLACE),
    "OutputDataConfig.S3OutputPath": ("state.url or backend.staging", PLACE),
    "CheckpointConfig.S3Uri": ("state.url or backend.staging", PLACE),
    "OutputDataConfig.KmsKeyId": ("backend.output_kms_key", ""),
    "ResourceConfig.VolumeKmsKeyId": ("backend.volume_kms_key", ""),
    "ResourceConfig.InstanceType": ("backend.instance_type", ""),
    "ResourceConfig.InstanceCount": ("backend.instance_count", ""),
    "ResourceConfig.VolumeSizeInGB": ("backend.volume_gb", ""),
    "StoppingCondition.MaxRuntimeInSeconds": ("backend.max_run", ""),
    "StoppingCondition.MaxWaitTimeInSeconds": ("backend.max_wait", ""),
    "RetryStrategy": ("backend.retries", ""),
    "VpcConfig.Subnets": ("backend.subnets", "subnet-…"),
    "VpcConfig.SecurityGroupIds": ("backend.security_groups", "sg-…"),
    "Tags": ("backend.tags", ""),
    "Environment": ("backend.environment", ""),
}


def check_role(role: str | None) -> None:
    """Where nobody is logged in, say first that a role is needed too: the store would ask for
    credentials alone.

    Raises:
        ConfigError: Neither a role is given nor credentials, of which one could be asked for.
    """
    if role is not None:
        return

    try:
        options()
    except NoAccessError as error:
        raise ConfigError(
            f"backend.role=null: no role that a job could run as: give backend.role={ROLE}; and "
            f"{error}"
        ) from error


def check_settings(s: DictConfig) -> None:
    """What needs no service to know.

    Raises:
        ConfigError: Naming key, value, and what was expected.
    """
    check_kinds(s, SETTINGS)
    check_entries(s, "tags")
    for key in ("source_dirs", "subnets", "security_groups"):
        check_list(s, key)

    if not re.fullmatch(INSTANCE, str(s.instance_type)):
        raise ConfigError(
            f"backend.instance_type={s.instance_type}: expected a kind of machine, as ml.m5.xlarge"
        )

    if s.max_run > LONGEST_RUN:
        raise ConfigError(
            f"backend.max_run={s.max_run}: expected at most {LONGEST_RUN} seconds, 28 days"
        )

    if s.max_wait is not None and not s.spot:
        raise ConfigError(
            f"backend.max_wait={s.max_wait}: only for spare machines, backend.spot=true"
        )

    if s.max_wait is not None and s.max_wait < s.max_run:
        raise ConfigError(
            f"backend.max_wait={s.max_wait}: it spans waiting and running, expected at least "
            f"backend.max_run={s.max_run}"
        )

    if bool(s.subnets) != bool(s.security_groups):
        there, lacks = (
            ("subnets", "security_groups") if s.subnets else ("security_groups", "subnets")
        )
        raise ConfigError(f"backend.{there}={list(s[there])}: a VPC needs backend.{lacks}=[…] too")

    if s.staging is not None and not str(s.staging).startswith("s3://"):
        raise ConfigError(f"backend.staging={s.staging}: expected s3://bucket/prefix")
    if s.requirements is not None and not Path(str(s.requirements)).expanduser().is_file():
        raise ConfigError(
            f"backend.requirements={s.requirements}: no such file (from {Path.cwd()})"
        )

    if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", str(s.job_name)):
        raise ConfigError(f"backend.job_name={s.job_name}: expected {KEYS['TrainingJobName'][1]}")


def check_request(request: Json, shape: Any) -> None:
    """Compare a request with the limits of its shape in the API's model, which botocore has.

    Raises:
        ConfigError: Naming the key that the wrong part comes from.
    """
    for path, value, expected in wrong(shape, request, ""):
        known = next((key for part, key in KEYS.items() if path.startswith(part)), (path, ""))
        if len(str(value)) <= LONGEST_SHOWN:
            shown = str(value)
        else:
            shown = f"{str(value)[:LONGEST_SHOWN]}…"

        raise ConfigError(f"{known[0]}={shown}: expected {known[1] or expected}")


def wrong(shape: Any, value: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    """Yield (path, value, what was expected) for what breaks a limit."""
    kind = shape.type_name
    if kind == "structure":
        for name, item in value.items():
            yield from wrong(shape.members[name], item, within(path, name))
    elif kind == "list":
        yield from _bounds(shape, len(value), value, path, "entries")
        for item in value:
            yield from wrong(shape.member, item, path)
    elif kind == "map":
        yield from _bounds(shape, len(value), value, path, "entries")
        for name, item in value.items():
            yield from wrong(shape.key, name, path)
            yield from wrong(shape.value, item, path)
    elif kind == "string":
        yield from _text(shape, value, path) if isinstance(value, str) else [(path, value, "text")]
    elif kind in ("integer", "long"):
        whole = isinstance(value, int) and not isinstance(value, bool)
        yield from (
            _bounds(shape, value, value, path, "") if whole else [(path, value, "a whole number")]
        )


def _text(shape: Any, value: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    if shape.enum and value not in shape.enum:
        yield path, value, f"one that SageMaker knows{nearest(value, shape.enum)}"

    yield from _bounds(shape, len(value), value, path, "characters")
    pattern = shape.metadata.get("pattern", ".*")
    for java, python in CLASSES.items():
        pattern = pattern.replace(java, python)

    if not re.fullmatch(pattern, value, re.DOTALL if pattern == ".*" else 0):
        yield path, value, f"text that matches {pattern}"


def _bounds(
    shape: Any, number: int, value: Any, path: str, unit: str
) -> Iterator[tuple[str, Any, str]]:
    low = shape.metadata.get("min")
    high = shape.metadata.get("max")
    if (low is None or number >= low) and (high is None or number <= high):
        return

    span = f"{low} to {high}"
    if high is None:
        span = f"at least {low}"
    elif not low:
        span = f"at most {high}"

    yield path, value, f"{span} {unit}".strip()


def check_extra() -> None:
    """Nothing is imported yet.

    Raises:
        ConfigError: The SDK is missing.
    """
    if not all(map(importlib.util.find_spec, ("boto3", "sagemaker", "botocore"))):
        raise ConfigError("backend=sagemaker needs its extra: pip install 'renate-cl[sagemaker]'")
