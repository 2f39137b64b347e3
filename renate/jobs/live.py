"""Objects of the calling process on their way into a job: `renate.run(model=…, data=…)`.

They travel as pickles inside the user's own run directory and never enter a state. A file is named
by what the object is, which makes it part of the job's identity, and by its own bytes, which are
verified before they are read.
"""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import cloudpickle
from torch import Tensor, nn
from torch.utils.data import Dataset

from renate.errors import ConfigError, JobError
from renate.jobs.identity.canonical import digest

FOLDER = "RENATE_LIVE"  # an environment variable: where the objects of a job on another machine lie
NAME = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.pkl")
ABANDONED = 3600.0  # seconds; a file that nobody holds and that is older has lost its caller

_folders: list[Path] = []


class Held:
    """The files of one call; each is removed when the last call that needs it is over.

    Args:
        folder: Where they lie, `<run_dir>/live`.
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
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConfigError(
                f"{key}: {type(thing).__name__} can't go into a job: {reason}"
            ) from error

        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        for path in sorted(self.folder.glob(f"{what}-*.pkl")):
            if self._hold(path):
                return path.absolute()

        path = self.folder / f"{what}-{hashlib.sha256(data).hexdigest()[:16]}.pkl"
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_bytes(data)
        temporary.replace(path)

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
                    path.suffix == ".tmp" or NAME.fullmatch(path.name)
                ):
                    _remove(path, path.open("rb"))


def _remove(path: Path, file: IO[bytes]) -> None:
    with file, suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def _is_whole(path: Path) -> bool:
    named = NAME.fullmatch(path.name)
    return named is not None and hashlib.sha256(path.read_bytes()).hexdigest()[:16] == named[2]


@contextmanager
def reading_from(run_dir: str) -> Iterator[None]:
    """Within the block, objects are read from this run directory's own folder, or where the
    launcher put them.
    """
    elsewhere = os.environ.get(FOLDER)
    before = [*_folders]
    _folders[:] = [
        Path(run_dir).resolve() / "live",
        *([Path(elsewhere).resolve()] if elsewhere else []),
    ]

    try:
        yield
    finally:
        _folders[:] = before


def _load(path: str) -> Any:
    """Read an object; a pickle is code, so only one that `save` wrote for this very run directory.

    Raises:
        ConfigError: Another file.
        JobError: It is gone, or has other bytes than were written.
    """
    file = Path(path).resolve()
    if file.parent not in _folders or NAME.fullmatch(file.name) is None:
        raise ConfigError(
            f"path={path}: no object of this run directory; renate.run(model=…, data=…) puts them "
            "there"
        )

    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise JobError(
            f"{path}: gone; give the object again, renate.run(model=…, data=…)"
        ) from None

    if hashlib.sha256(data).hexdigest()[:16] != file.stem.partition("-")[2]:
        raise JobError(
            f"{path}: its bytes aren't those that were written; remove it and give the object again"
        )

    return cloudpickle.loads(data)


class LiveModel(nn.Module):
    """A module that the caller had in memory.

    Args:
        path: Where `Held.save` put it.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.net: nn.Module = _load(path)

    def forward(self, inputs: Any) -> Tensor:
        """Return what the caller's module makes of inputs [B, ...], or of a mapping of such."""
        logits: Tensor = self.net(inputs)
        return logits


class LiveDataset(Dataset[Any]):
    """A data set that the caller had in memory; items are (input, target).

    Args:
        path: Where `Held.save` put it.
    """

    def __init__(self, path: str) -> None:
        self.items: Any = _load(path)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]
