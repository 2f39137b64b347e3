"""A job's directory, kept in an object store as well: what the next node goes on from."""

import threading
from contextlib import suppress
from pathlib import Path

from renate.state.store import Store

PREFIX = "checkpoints"  # within the job's folder
PERIOD = 5.0  # seconds between two looks at what has changed
LEFT_OUT = ("state", "stop")  # the outcome has places of its own


class Mirror:
    """Brings a directory to what its copy holds, then keeps the copy up to date.

    Files are written in one piece by those who write them, so that each copy of a file is whole;
    the files of two moments may lie beside each other, as after a crash of the machine.

    Args:
        directory: On this machine.
        store: Of the job's folder.
    """

    def __init__(self, directory: Path, store: Store) -> None:
        self.directory = directory
        self.store = store
        self.seen: dict[Path, tuple[int, int]] = {}
        self.closing = threading.Event()
        self._restore()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _restore(self) -> None:
        for entry in self.store.list(PREFIX):
            path = self.directory / entry.key.removeprefix(f"{PREFIX}/")
            if not path.resolve().is_relative_to(self.directory.resolve()):
                continue  # the store is anybody's
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(self.store.get(entry.key)))
            self.seen[path] = _stamp(path)

    def _work(self) -> None:
        while not self.closing.wait(PERIOD):
            self.look()

    def look(self) -> None:
        """Copy what has changed since the last look."""
        for path in sorted(self.directory.rglob("*")):
            inner = path.relative_to(self.directory)
            if inner.parts[0] in LEFT_OUT or path.is_symlink() or not path.is_file():
                continue
            with suppress(FileNotFoundError):  # renamed, or gone, at this moment
                stamp = _stamp(path)
                if self.seen.get(path) != stamp:
                    self.store.replace(f"{PREFIX}/{inner.as_posix()}", path.read_bytes())
                    self.seen[path] = stamp

    def close(self) -> None:
        """Copy what is left; nothing is copied any more."""
        self.closing.set()
        self.thread.join()
        self.look()


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_mtime_ns, about.st_size
