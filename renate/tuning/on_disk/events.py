"""The event log of a sweep, `events.jsonl`: its only truth."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renate.errors import JobError
from renate.files import ANEW, complete_lines, json_lines
from renate.state.strict import (
    items,
    need,
    number,
    object_of,
    required,
    shown,
    string,
    truth,
    whole,
)
from renate.tuning.space import Config


@dataclass(frozen=True)
class Asked:
    """The proposer asked for a trial.

    Attributes:
        trial: Its number: so many were asked for before.
        config: What it tries.
        source: See `renate.tuning.base.Proposal`.
        time: Seconds that the sweep had run.
    """

    trial: int
    config: Config
    source: str
    time: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As a line of the log."""
        return {"ask": self.trial, "config": self.config, "source": self.source, "time": self.time}


@dataclass(frozen=True)
class Reported:
    """A trial has finished an epoch.

    Attributes:
        trial: Its number.
        step: The epoch.
        value: The objective, as measured.
        stop: Whether the trial was stopped because of it.
        secondary: The further objectives, as measured.
        time: Seconds that the sweep had run.
    """

    trial: int
    step: int
    value: float
    stop: bool = False
    secondary: tuple[float, ...] = ()
    time: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As a line of the log."""
        found = {"report": self.trial, "step": self.step, "value": self.value, "stop": self.stop}
        return found | _further(self.secondary) | {"time": self.time}


@dataclass(frozen=True)
class Ended:
    """A trial has ended.

    Attributes:
        trial: Its number.
        status: `completed`, `stopped` or `failed`.
        value: The objective, as measured; None where there is none.
        seconds: The trial's.
        error: Why it failed, or why it was stopped from outside.
        secondary: The further objectives, as measured.
        time: Seconds that the sweep had run.
    """

    trial: int
    status: str
    value: float | None
    seconds: float
    error: str | None = None
    secondary: tuple[float, ...] = ()
    time: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """As a line of the log."""
        found = {
            "end": self.trial,
            "status": self.status,
            "value": self.value,
            "seconds": self.seconds,
            "error": self.error,
        }
        return found | _further(self.secondary) | {"time": self.time}


TrialEvent = Asked | Reported | Ended


class EventLog:
    """One JSON object per line, each handed to the operating system before it is acted on.

    Args:
        path: The file; a line that a killed process left unfinished is cut off.

    Attributes:
        earlier: The events that the file held.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = b""
        if path.exists():
            text = path.read_bytes()

        whole_lines = complete_lines(text)
        if len(whole_lines) < len(text):
            with path.open("r+b") as file:
                file.truncate(len(whole_lines))

        self.earlier = read(path)
        self.file = path.open("ab", buffering=0)

    def write(self, event: TrialEvent) -> None:
        """Append an event, one line of JSON.

        Raises:
            ValueError: It holds a float that is no number.
            TypeError: It holds what JSON doesn't have.
        """
        self.file.write(json.dumps(event.to_json(), allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file; `write` can't be called afterwards."""
        self.file.close()


def read(path: Path) -> list[TrialEvent]:
    """The events of a log, which may still be written; none where there is no file.

    Raises:
        JobError: A line is no event, by its number and the key.
    """
    events: list[TrialEvent] = []
    trials = 0

    for line, found in enumerate(json_lines(path), start=1):
        try:
            event = _event(found, trials)
        except ValueError as error:
            raise JobError(f"{path}, line {line}: {error}; {ANEW}") from error

        events.append(event)
        trials += isinstance(event, Asked)

    return events


def _event(found: dict[str, Any], trials: int) -> TrialEvent:
    """An event that follows on so many trials. Raises ValueError."""
    if "ask" in found:
        return _asked(found, trials)

    kind = "end"
    if "report" in found:
        kind = "report"

    number_of_trial = required(found, kind, lambda value, key: value)
    need(trials > 0, f"{kind} is {shown(number_of_trial)}, and no trial was asked for")
    trial = whole(number_of_trial, kind, 0, trials)
    value = required(found, "value", _number_or_null)
    secondary: tuple[float, ...] = ()
    if "others" in found:
        secondary = tuple(items(found["others"], "others", number, 1000))

    if kind == "report":
        step = required(found, "step", whole)
        stop = truth(found.get("stop", False), "stop")
        return Reported(trial, step, number(value, "value"), stop, secondary, _time(found))

    status = required(found, "status", string)
    error = required(found, "error", _string_or_null)
    seconds = required(found, "seconds", number)

    return Ended(trial, status, value, seconds, error, secondary, _time(found))


def _asked(found: dict[str, Any], trials: int) -> Asked:
    need(found["ask"] == trials, f"ask is {shown(found['ask'])}, expected {trials}")
    config = required(found, "config", object_of)
    for key, value in config.items():
        string(value, f"config.{key}")

    return Asked(trials, config, required(found, "source", string), _time(found))


def _time(found: dict[str, Any]) -> float:
    """When it was written; logs of other programs may not say."""
    return number(found.get("time", 0.0), "time")


def _further(secondary: Sequence[float]) -> dict[str, Any]:
    if not secondary:
        return {}
    return {"others": list(secondary)}


def _number_or_null(value: Any, key: str) -> float | None:
    if value is None:
        return None
    return number(value, key)


def _string_or_null(value: Any, key: str) -> str | None:
    if value is None:
        return None
    return string(value, key)
