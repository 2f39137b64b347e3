"""The event log of a sweep: its only truth."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from renate.files import complete_lines, json_lines

Event = dict[str, Any]


class EventLog:
    """One JSON object per line, each handed to the operating system before it is acted on.

    Args:
        path: The file; a line that a killed process left unfinished is cut off.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_bytes() if path.exists() else b""
        whole = complete_lines(text)
        if len(whole) < len(text):
            with path.open("r+b") as file:
                file.truncate(len(whole))

        self.earlier: list[Event] = json_lines(path)
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
        JobError: A line is no JSON object.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    yield from json_lines(path)
