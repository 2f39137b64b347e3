"""Refusals of the service: its own, and those that a test orders beforehand."""

import threading
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


class Refusal(Exception):  # noqa: N818  the service's word for it is "exception" anyway
    """An error answer: its code, text and HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class LostReply(Exception):  # noqa: N818
    """The operation is done and its caller must not hear of it."""


@dataclass
class Script:
    """What a test wants to go wrong, and how fast things are. Set by `POST /_emu/config`.

    Attributes:
        errors: Answers of an operation: {"operation", "code", "message", "times": 1, "status":
            400}, or {"operation", "lose_reply": true} to act and close the connection. Negative
            `times` never end.
        failures: Jobs that fail before they run: {"name": prefix, "reason": FailureReason, "times":
            1}.
        capacity: Prefixes of names of jobs for which there is no machine, ever.
        image_missing: Parts of image names that are not found when a job is created.
        grace: Seconds between SIGTERM and SIGKILL.
        capacity_delay: Seconds until a machine is found.
        s3_endpoint: Where the containers find S3; None is the server's own.
    """

    errors: list[Json] = field(default_factory=list)
    failures: list[Json] = field(default_factory=list)
    capacity: list[str] = field(default_factory=list)
    image_missing: list[str] = field(default_factory=list)
    grace: float = 120.0
    capacity_delay: float = 0.0
    s3_endpoint: str | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def update(self, values: Json) -> None:
        for name, value in values.items():
            if name not in self.__dataclass_fields__:
                raise Refusal(
                    "UnknownSetting",
                    f"{name}: expected one of {', '.join(self.__dataclass_fields__)}",
                )
            setattr(self, name, value)

    def _take(self, rules: list[Json], key: str, matches: Any) -> Json | None:
        with self._lock:
            rule = next(
                (rule for rule in rules if rule.get("times", 1) and matches(rule[key])), None
            )
            if rule is not None:
                rule["times"] = rule.get("times", 1) - 1
            return rule

    def refuse(self, operation: str) -> bool:
        """Raise what was ordered for an operation; True orders that its reply be lost."""
        rule = self._take(self.errors, "operation", lambda name: name == operation)
        if rule is None or rule.get("lose_reply"):
            return rule is not None
        raise Refusal(rule["code"], rule["message"], rule.get("status", 400))

    def failure(self, job: str) -> str | None:
        """The reason for which a job must fail before it runs."""
        if any(job.startswith(prefix) for prefix in self.capacity):
            return (
                "CapacityError: Unable to provision requested ML compute capacity. "
                "Please retry using a different ML instance type."
            )
        rule = self._take(self.failures, "name", job.startswith)
        return None if rule is None else str(rule["reason"])
