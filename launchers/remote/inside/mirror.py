"""A job's directory, kept in an object store as well: what the next node goes on from."""

import sys
import threading
from contextlib import suppress
from pathlib import Path

from renate.errors import StateError
from renate.files import UNFINISHED
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
            try:
                self.look()
            except StateError as error:  # the job goes on, and the next look may succeed
                print(f"renate: copies wait: {error}", file=sys.stderr, flush=True)

    def look(self) -> None:
        """Copy what has changed since the last look; then remove copies of what is gone, which a
        later node would download for nothing.
        """
        present = self._files()
        for path in present:
            inner = path.relative_to(self.directory)
            with suppress(FileNotFoundError):  # renamed, or gone, at this moment
                stamp = _stamp(path)
                if self.seen.get(path) != stamp:
                    self.store.replace(f"{PREFIX}/{inner.as_posix()}", path.read_bytes())
                    self.seen[path] = stamp

        gone = sorted(self.seen.keys() - set(present))
        self.store.delete(
            [f"{PREFIX}/{path.relative_to(self.directory).as_posix()}" for path in gone]
        )
        for path in gone:
            del self.seen[path]

    def _files(self) -> list[Path]:
        """What is copied: whole files of the job."""
        found = []
        for path in sorted(self.directory.rglob("*")):
            part = path.relative_to(self.directory).parts[0]
            if part in LEFT_OUT or path.suffix == UNFINISHED:
                continue
            if path.is_file() and not path.is_symlink():
                found.append(path)
        return found

    def close(self) -> None:
        """Copy what is left; nothing is copied any more."""
        self.closing.set()
        self.thread.join()
        self.look()


def _stamp(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_mtime_ns, about.st_size
