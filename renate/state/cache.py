"""Blobs that were downloaded, kept on the local disk by their content; several processes may
share a folder.
"""

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from renate.errors import ConfigError
from renate.files import replacing
from renate.state.manifest import Blob

UNFINISHED = 3600.0  # seconds; a file in writing that is older has lost its writer


class Cache:
    """Keeps at most `limit` bytes; what was not used for longest goes first.

    An entry is written under another name first, so it is whole or absent; what a disk has damaged
    since is found by its SHA-256 and removed. No error of the disk reaches the caller: a cache that
    can't be used costs time only.

    Args:
        folder: Where; None is ~/.cache/renate/blobs.
        limit: In bytes; 0 keeps nothing.
    """

    def __init__(self, folder: str | None, limit: float) -> None:
        if limit < 0:
            raise ConfigError(
                f"state.cache_gb={limit / 1e9:g}: expected 0, which keeps nothing, or more"
            )

        self.folder = (
            Path(folder) / "blobs" if folder else Path("~/.cache/renate/blobs")
        ).expanduser()
        self.limit = limit

    def get(self, blob: Blob) -> memoryview | None:
        """Return a blob's bytes, verified, if they are here."""
        path = self.folder / blob.sha256
        try:
            data = path.read_bytes()
            os.utime(path)  # it is the last to go now
        except OSError:
            return None

        if hashlib.sha256(data).hexdigest() != blob.sha256:
            with suppress(OSError):
                path.unlink()
            return None

        return memoryview(data)

    def put(self, blob: Blob, data: memoryview) -> None:
        """Keep a blob's bytes, which the caller has verified."""
        if blob.size > self.limit:
            return

        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(blob.size)
            with replacing(self.folder / blob.sha256) as temporary:
                temporary.write_bytes(data)

    def _make_room(self, size: int) -> None:
        """Remove what was not used for longest, and what killed writers left, until `size` bytes
        more fit.
        """
        entries = []
        now = time.time()

        for file in os.scandir(self.folder):
            with suppress(FileNotFoundError):  # another process was first, here and below
                known = file.stat()
                entries.append((known.st_mtime, known.st_size, Path(file.path)))

        held = sum(entry[1] for entry in entries)
        for used, bytes_, path in sorted(entries):
            writing = path.name.startswith(".")
            if writing and now - used < UNFINISHED:
                continue
            if writing or held + size > self.limit:
                with suppress(FileNotFoundError):
                    path.unlink()
                held -= bytes_
