"""A request against the service's model and its documented rules; botocore checks only types and
lower bounds.
"""

import re
from typing import Any

import botocore.session
from botocore.model import Shape

from .errors import Json, Refusal

SESSION = botocore.session.Session()
MODELS = {name: SESSION.get_service_model(name) for name in ("sagemaker", "logs")}
DAY = 24 * 3600
# Java's classes of characters, near enough
CLASSES = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\p{Alnum}": "a-zA-Z0-9"}


def fits(pattern: str, value: str) -> bool:
    for java, python in CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.fullmatch(pattern, value) is not None


class Checker:
    """Collects what is wrong with a value of a shape."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def wrong(self, path: str, value: Any, constraint: str) -> None:
        shown = "null" if value is None else f"'{str(value)[:80]}'"
        self.errors.append(
            f"Value {shown} at '{path}' failed to satisfy constraint: Member must {constraint}"
        )

    def check(self, shape: Any, value: Any, path: str) -> None:
        match shape.type_name:
            case "structure" if isinstance(value, dict):
                self.structure(shape, value, path)
            case "list" if isinstance(value, list):
                self.size(shape, value, path)
                for number, item in enumerate(value, 1):
                    self.check(shape.member, item, f"{path}.{number}.member")
            case "map" if isinstance(value, dict):
                self.size(shape, value, path)
                for key, item in value.items():
                    self.check(shape.key, key, f"{path}.key")
                    self.check(shape.value, item, f"{path}.{key}")
            case "string" if isinstance(value, str):
                self.size(shape, value, path)
                if shape.enum and value not in shape.enum:
                    self.wrong(
                        path, value, f"satisfy enum value set: [{', '.join(shape.enum)}]"[:400]
                    )
                pattern = shape.metadata.get("pattern")
                if pattern and not fits(pattern, value):
                    self.wrong(path, value, f"satisfy regular expression pattern: {pattern}")
            case "integer" | "long" if isinstance(value, int) and not isinstance(value, bool):
                self.bounds(shape, value, value, path, "value")
            case "boolean" if isinstance(value, bool):
                pass
            case "timestamp" | "double" | "float" if isinstance(value, int | float):
                pass
            case name:
                self.wrong(path, value, f"be a {name}")

    def structure(self, shape: Any, value: Json, path: str) -> None:
        dot = path and f"{path}."
        for name in shape.required_members:
            if value.get(name) is None:
                self.wrong(dot + lower(name), None, "not be null")
        for name, item in value.items():
            if name not in shape.members:
                self.errors.append(f"Unknown parameter in input: '{dot}{name}'")
            elif item is not None:
                self.check(shape.members[name], item, dot + lower(name))

    def size(self, shape: Shape, value: Any, path: str) -> None:
        self.bounds(shape, value, len(value), path, "length")

    def bounds(self, shape: Shape, value: Any, number: int, path: str, what: str) -> None:
        if number > shape.metadata.get("max", float("inf")):
            self.wrong(path, value, f"have {what} less than or equal to {shape.metadata['max']}")
        if number < shape.metadata.get("min", float("-inf")):
            self.wrong(path, value, f"have {what} greater than or equal to {shape.metadata['min']}")


def lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def problems(operation: str, request: Json, service: str = "sagemaker") -> list[str]:
    """What the model forbids in a request; empty if it may be sent."""
    checker = Checker()
    checker.check(MODELS[service].operation_model(operation).input_shape, request, "")
    if not checker.errors and operation == "CreateTrainingJob":
        checker.errors = rules(request)
    return checker.errors


def validate(operation: str, request: Json, service: str = "sagemaker") -> None:
    """Refuse a request as the service would.

    Raises:
        Refusal: A ValidationException with every problem in it.
    """
    if found := problems(operation, request, service):
        code = "ValidationException" if service == "sagemaker" else "InvalidParameterException"
        counted = f"{len(found)} validation error{'s' * (len(found) > 1)} detected: "
        # The documented rules come in the service's own words, without a count.
        raise Refusal(code, ("" if found[0].startswith("Invalid") else counted) + "; ".join(found))


def rules(request: Json) -> list[str]:
    """The documented rules that no shape expresses."""
    algorithm = request["AlgorithmSpecification"]
    resources = request.get("ResourceConfig") or {}
    stopping = request.get("StoppingCondition") or {}
    spot = request.get("EnableManagedSpotTraining", False)
    runtime = stopping.get("MaxRuntimeInSeconds", DAY)
    wait = stopping.get("MaxWaitTimeInSeconds")
    channels = [channel["ChannelName"] for channel in request.get("InputDataConfig") or []]
    path = (request.get("CheckpointConfig") or {}).get("LocalPath", "/opt/ml/checkpoints")
    broken = {
        "Invalid StoppingCondition: it is required": not stopping,
        "Invalid ResourceConfig: InstanceType, InstanceCount and VolumeSizeInGB are required": not (
            {"InstanceType", "InstanceCount", "VolumeSizeInGB"} <= resources.keys()
        ),
        "Invalid AlgorithmSpecification: either TrainingImage or AlgorithmName must be given, not both": bool(
            algorithm.get("TrainingImage")
        )
        == bool(algorithm.get("AlgorithmName")),
        f"Invalid MaxRuntimeInSeconds. It must not exceed {28 * DAY}": runtime > 28 * DAY,
        "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds": spot
        and (wait is None or wait < runtime),
        "Invalid MaxWaitTimeInSeconds. It is supported for managed spot training only": not spot
        and wait is not None,
        "Invalid KeepAlivePeriodInSeconds. It is not supported with managed spot training": spot
        and "KeepAlivePeriodInSeconds" in resources,
        "Invalid InputDataConfig. Channel names must be unique": len(channels)
        != len(set(channels)),
        # From here on: what this emulator, not the service, can't do.
        "Invalid ContainerEntrypoint: this emulator has no image whose own entry it could run": not algorithm.get(
            "ContainerEntrypoint"
        ),
        "Invalid TrainingInputMode: this emulator knows File only": algorithm["TrainingInputMode"]
        != "File",
        "Invalid LocalPath: this emulator keeps checkpoints below /opt/ml": not path.startswith(
            "/opt/ml/"
        ),
    }
    return [message for message, is_broken in broken.items() if is_broken]
