"""What the service says when it can't, and what we say then: one line, with the key that can
mend it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from renate.errors import ConfigError, JobError, RenateError
from renate.jobs.directory import Json

EXPIRED = "AWS credentials expired; log in and rerun, it continues"


@contextmanager
def explained() -> Iterator[None]:
    """Word what boto raises before, instead of, or as an answer.

    Raises:
        JobError: In one line.
    """
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except NoCredentialsError as error:
        raise JobError(
            "no AWS credentials: log in, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret"
        ) from error
    except BotoCoreError as error:
        raise JobError(f"AWS: {' '.join(str(error).split())}") from error
    except ClientError as error:
        raise answer(error) from error


def untrusted(role: str) -> str:
    """What is said of a role that the service can't take."""
    return f"backend.role={role}: SageMaker can't assume it; trust sagemaker.amazonaws.com"


def answer(error: Exception) -> RenateError:
    """Any operation's error answer."""
    found: Json = error.response["Error"]  # type: ignore[attr-defined]
    code = found["Code"]
    text = " ".join(found["Message"].split())
    if code.startswith("ExpiredToken"):
        return JobError(EXPIRED)

    denied = re.search(
        r"User: (\S+) is not authorized to perform: (\S+)(?: on resource: (\S+))?", text
    )
    if denied:
        return JobError(
            f"not allowed: {denied[2]} on {denied[3] or 'this resource'}, as {denied[1]}"
        )

    return JobError(f"SageMaker: {code}: {text}")


def refusal(error: Exception, request: Json) -> RenateError:
    """CreateTrainingJob's error answer."""
    found: Json = error.response["Error"]  # type: ignore[attr-defined]
    code = found["Code"]
    text = " ".join(found["Message"].split())
    image = request["AlgorithmSpecification"]["TrainingImage"]
    instance = request["ResourceConfig"]["InstanceType"]
    if "Could not assume role" in text or "assume the role" in text:
        return ConfigError(untrusted(request["RoleArn"]))
    if code == "ResourceLimitExceeded":
        numbers = re.search(r"is (\d+) Instances.*utilization of (\d+).*delta of (\d+)", text)
        if numbers:
            return ConfigError(
                f"backend.instance_type={instance}: quota {numbers[1]}, used {numbers[2]}, asked "
                f"{numbers[3]}"
            )
        return ConfigError(f"backend.instance_type={instance}: over the account's quota: {text}")

    if re.search(
        r"Cannot find the requested image|Cannot find repository|Access denied for repository", text
    ):
        return ConfigError(f"backend.image={image}: not found, or the role may not pull it")

    return answer(error)


def lacks_machine(reason: str) -> bool:
    """Whether a job failed because there was none for it."""
    return reason.startswith("CapacityError")


def failure(reason: str, facts: Json) -> str:
    """A failed job's FailureReason, in one line."""
    text = " ".join(reason.split())
    if lacks_machine(text):
        return f"no {facts['instance_type']} free: another backend.instance_type, or later"
    if "unable to assume the role" in text.lower() or "Could not assume role" in text:
        return untrusted(facts["role"])
    if "Cannot pull algorithm container" in text:
        return f"backend.image={facts['image']}: not found, or the role may not pull it"

    bucket = re.search(r"NoSuchBucket.*bucket:? (\S+)", text)
    if bucket:
        return f"state.url={facts['home']}: no bucket {bucket[1]} in region {facts['region']}"

    found = re.fullmatch(r"AlgorithmError: (?:renate: )?(.*), exit code: (\d+)", text)

    if found:
        return found[1] or f"the job's entry ended with exit code {found[2]}"
    return text
