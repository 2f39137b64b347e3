"""The event log of a sweep: its only truth."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from renate.errors import JobError
from renate.files import ANEW, complete_lines, json_lines
from renate.state.strict import items, need, number, shown, whole

Event = dict[str, Any]


class EventLog:
    """One JSON object per line, each handed to the operating system before it is acted on.

    Args:
        path: The file; a line that a killed process left unfinished is cut off.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = b""
        if path.exists():
            text = path.read_bytes()

        whole = complete_lines(text)
        if len(whole) < len(text):
            with path.open("r+b") as file:
                file.truncate(len(whole))

        self.earlier: list[Event] = _checked(path)
        self.file = path.open("ab", buffering=0)

    def write(self, **event: Any) -> None:
        """Append an event, one line of JSON.

        Raises:
            ValueError: It holds a float that is no number.
            TypeError: It holds what JSON doesn't have.
        """
        self.file.write(json.dumps(event, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Close the file; `write` can't be called afterwards."""
        self.file.close()


def read(path: Path) -> Iterator[Event]:
    """The events of a log that may still be written.

    Raises:
        FileNotFoundError: There is no log.
        JobError: A line is no event.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    yield from _checked(path)


def _checked(path: Path) -> list[Event]:
    """The events of a log, each with the keys that its kind has.

    Raises:
        JobError: A line is no event, by its number and the key.
    """
    events = json_lines(path)
    trials = 0

    for line, event in enumerate(events, start=1):
        try:
            _check(event, trials)
        except ValueError as error:
            raise JobError(f"{path}, line {line}: {error}; {ANEW}") from error

        if "ask" in event:
            trials += 1

    return events


def _check(event: Event, trials: int) -> None:
    """Check an event that follows on so many trials. Raises ValueError."""
    if "ask" in event:
        _need_keys(event, "config", "source")
        need(event["ask"] == trials, f"ask is {shown(event['ask'])}, expected {trials}")
        config = event["config"]
        need(isinstance(config, dict), f"config is {shown(config)}, expected a mapping")
        _text(event, "source")
        return

    kind = "report" if "report" in event else "end"
    _need_keys(event, kind, "value")
    need(trials > 0, f"{kind} is {shown(event[kind])}, and no trial was asked for")
    whole(event[kind], kind, 0, trials)
    if "others" in event:
        items(event["others"], "others", _number_or_null, 1000)

    if kind == "report":
        _need_keys(event, "step")
        whole(event["step"], "step")
        number(event["value"], "value")
        return

    _need_keys(event, "status", "error", "seconds")
    _text(event, "status")
    _number_or_null(event["value"], "value")
    number(event["seconds"], "seconds")
    if event["error"] is not None:
        _text(event, "error")


def _need_keys(event: Event, *keys: str) -> None:
    for key in keys:
        need(key in event, f"it lacks the key '{key}'")


def _text(event: Event, key: str) -> None:
    need(isinstance(event[key], str), f"{key} is {shown(event[key])}, expected a text")


def _number_or_null(value: Any, key: str) -> None:
    if value is not None:
        number(value, key)
