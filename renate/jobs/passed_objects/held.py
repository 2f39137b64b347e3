"""The caller's side: objects are written to files, which stay as long as a call needs them.

A file is named by what the object is, which makes it part of the job's identity, and by its own
bytes, which are verified before they are read.
"""

import fcntl
import hashlib
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import cloudpickle

from renate.errors import ConfigError, JobError
from renate.files import UNFINISHED, replacing
from renate.jobs.identity.canonical import digest
from renate.jobs.passed_objects import FILE

ABANDONED = 3600.0  # seconds; a file that nobody holds and that is older has lost its caller


class Held:
    """The files of one call; each is removed when the last call that needs it is over.

    Args:
        folder: Where they lie: `folder_of(run_dir)`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.locks: list[tuple[Path, IO[bytes]]] = []

    def save(self, thing: Any, key: str) -> Path:
        """Write an object, unless the folder has it; it stays until `release`.

        Args:
            thing: A model, or a data set.
            key: What it is to the job, for messages.

        Raises:
            ConfigError: It can't be taken to another process.
        """
        try:
            what = digest(thing)[:16]
            data = cloudpickle.dumps(thing)
        except Exception as error:  # whatever the object's own code raises
            if str(error):
                reason = str(error).splitlines()[0]
            else:
                reason = type(error).__name__

            raise ConfigError(
                f"{key}: {type(thing).__name__} can't go into a job: {reason}"
            ) from error

        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        for path in sorted(self.folder.glob(f"{what}-*.pkl")):
            if self._hold(path):
                return path.absolute()

        path = self.folder / f"{what}-{hashlib.sha256(data).hexdigest()[:16]}.pkl"
        with replacing(path) as temporary:
            temporary.write_bytes(data)

        if not self._hold(path):
            raise JobError(
                f"{path}: gone as soon as it was written: does something clean that folder?"
            )

        return path.absolute()

    def _hold(self, path: Path) -> bool:
        """Keep a file from removal; False where it isn't there, or isn't what its name says."""
        try:
            file = path.open("rb")
            fcntl.flock(file, fcntl.LOCK_SH)
        except FileNotFoundError:
            return False

        if not path.exists() or not _is_whole(path):
            file.close()
            return False

        self.locks.append((path, file))
        return True

    def release(self) -> None:
        """Remove the files that nobody else holds."""
        for path, file in self.locks:
            _remove(path, file)
        self.locks = []

    def _sweep(self) -> None:
        """Remove what callers left that were killed."""
        before = time.time() - ABANDONED
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < before and (
                    path.suffix == UNFINISHED or FILE.fullmatch(path.name)
                ):
                    _remove(path, path.open("rb"))


def _remove(path: Path, file: IO[bytes]) -> None:
    with file, suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def _is_whole(path: Path) -> bool:
    named = FILE.fullmatch(path.name)
    return named is not None and hashlib.sha256(path.read_bytes()).hexdigest()[:16] == named[2]
