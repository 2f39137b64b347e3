"""Files that others read while they are written: replaced whole, or read on as they grow."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

from renate.errors import JobError

UNFINISHED = ".tmp"  # ends the name of a file that is being written
ANEW = "resume=false begins anew"


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yield where to write what takes the place of a file once the block has ended.

    A reader finds the old file or the new one, never a part. Several may write at once: the last
    one's stays. Where the block raises, the old file stays and nothing is left beside it; only a
    process that is killed leaves `.<name>.<random>.tmp` there.

    Args:
        path: The file, which need not exist; its folder must.
        durable: Whether its bytes reach the disk before it has its name: else a machine that loses
            power may leave zeros in their place.
    """
    temporary = path.with_name(f".{path.name}.{token_hex(8)}{UNFINISHED}")
    try:
        yield temporary
        if durable:
            flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until the bytes of a file are on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def complete_lines(data: bytes) -> bytes:
    """Return data up to its last line break: what follows may still be written."""
    return data[: data.rfind(b"\n") + 1]


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file of JSON lines; a line still being written is left out.

    Args:
        path: The file; one that isn't there has no lines.

    Raises:
        JobError: A complete line is no JSON object, by its number.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []

    found: list[dict[str, Any]] = []
    for number, line in enumerate(complete_lines(data).splitlines(), start=1):
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise JobError(f"{path}, line {number}: no JSON ({error}); {ANEW}") from error

        if not isinstance(content, dict):
            kind = type(content).__name__
            raise JobError(f"{path}, line {number}: expected a JSON object, found {kind}; {ANEW}")

        found.append(content)

    return found


class Tail:
    """Reads on in a file that grows, from where the last call ended.

    A file that isn't there yet has nothing; one that is shorter than before has been begun anew,
    and is read from its beginning.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0  # in bytes

    def read(self) -> bytes:
        """Return what was written since the last call."""
        new = self._unread()
        self.position += len(new)
        return new

    def lines(self) -> list[str]:
        """Return the complete lines since the last call, without their ends.

        What isn't UTF-8 is replaced.
        """
        new = complete_lines(self._unread())
        self.position += len(new)
        return new.decode(errors="replace").splitlines()

    def _unread(self) -> bytes:
        try:
            with self.path.open("rb") as file:
                if self.path.stat().st_size < self.position:
                    self.position = 0
                file.seek(self.position)
                return file.read()
        except FileNotFoundError:
            return b""
