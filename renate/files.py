"""Files that others read while they are written: replaced whole, or read on as they grow."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

UNFINISHED = ".tmp"  # ends the name of a file that is being written


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield where to write what takes the place of a file once the block has ended.

    A reader finds the old file or the new one, never a part. Several may write at once: the last
    one's stays. Where the block raises, the old file stays and nothing is left beside it; only a
    process that is killed leaves `.<name>.<random>.tmp` there.

    Args:
        path: The file, which need not exist; its folder must.
    """
    temporary = path.with_name(f".{path.name}.{token_hex(8)}{UNFINISHED}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def complete_lines(data: bytes) -> bytes:
    """Return data up to its last line break: what follows may still be written."""
    return data[: data.rfind(b"\n") + 1]


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
