"""Which files a pattern means, and whether their contents have changed; knows neither torch nor
pyarrow.
"""

import glob
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from renate.data.tables import remote
from renate.errors import ConfigError, DataError
from renate.files import replacing

Patterns = str | Iterable[Any] | Mapping[str, Any] | None

# Of more hashes those of files that are gone are forgotten, and they aren't kept in memory
MANY = 10_000
# What was read last of each file of hashes, and of which inode, size and time: whoever reads data
# asks two or three times, and 10,000 hashes take 5 ms
_last_read: dict[Path, tuple[tuple[int, int, int], dict[str, Any]]] = {}


def is_patterns(value: object) -> bool:
    """Whether a value names files: a text, a list of such, or name -> either, and no object."""
    if isinstance(value, str):
        return True
    if isinstance(value, Mapping):
        return "_target_" not in value and all(is_patterns(part) for part in value.values())
    return isinstance(value, list | tuple) and all(is_patterns(part) for part in value)


def check_named(patterns: object, key: str) -> None:
    """Return if a key of the config names files.

    Args:
        patterns: What it says, see `expand`.
        key: The key, for messages.

    Raises:
        ConfigError: It says something else, or nothing.
    """
    said = f"{key}={patterns}: expected a path, glob or URL, a list of such, or name -> either"
    if isinstance(patterns, int | float):
        if key == "data.test":
            share = "…"
            if 0 < patterns < 1:
                share = str(patterns)
            said += f"; data.test_size={share} with data.test=null holds a share of data.train out"
        raise ConfigError(said)

    if not is_patterns(patterns) or not patterns:
        raise ConfigError(said)
    if isinstance(patterns, Mapping):
        for name, part in patterns.items():
            check_named(part, f"{key}.{name}")


def open_file(file: str) -> BinaryIO:
    """Open a local file, or an object's bytes, for reading.

    Raises:
        DataError: It isn't there, or can't be read.
    """
    if "://" in file and not file.startswith("file://"):
        return io.BytesIO(bytes(remote.read(file)))

    path = Path(file.removeprefix("file://")).expanduser()
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error} (from {Path.cwd()})") from error


def expand(patterns: Patterns, key: str) -> list[str]:
    """Return the files that paths and globs (one, a list, or name -> either) mean, sorted within
    each pattern.

    Args:
        patterns: Local paths, or URLs of objects such as s3://bucket/new/*.parquet.
        key: The config key they come from, for messages.

    Raises:
        DataError: A pattern that matches nothing.
    """
    return [file for file, _ in _matches(patterns, key)]


def _matches(patterns: Patterns, key: str) -> list[tuple[str, str | None]]:
    """(file, etag and size of an object; None for a local file)."""
    if patterns is None:
        return []
    if isinstance(patterns, Mapping):
        return [match for part in patterns.values() for match in _matches(part, key)]
    if not isinstance(patterns, str):
        return [match for part in patterns for match in _matches(part, key)]
    if "://" in patterns and not patterns.startswith("file://"):
        return [(file, tag) for file, tag in remote.find(patterns, key)]

    path = str(Path(patterns.removeprefix("file://")).expanduser())
    matches = [path]
    if not Path(path).is_file():
        matches = glob.glob(path, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute ones)

    # A Path takes five times as long, of thousands of files
    found = sorted(filter(os.path.isfile, matches))

    if not found and Path(path).is_dir():
        raise DataError(
            f"{key}={patterns} is a folder: name its files, as in "
            f"'{patterns.rstrip('/')}/*.parquet'"
        )

    if not found:
        raise DataError(f"{key}={patterns}: no such file, and no file matches (from {Path.cwd()})")

    return [(file, None) for file in found]


def fingerprint(patterns: Iterable[Any] | Mapping[str, Any], cache: Path | None) -> str:
    """Return a hash of the names and contents of all files that patterns mean.

    Args:
        patterns: See `expand`. A mapping's keys are the config keys that messages name, a list's
            are data.train.
        cache: A folder that remembers content hashes by path, size and times of change; None is
            ~/.cache/renate.

    Raises:
        DataError: A pattern that matches nothing.
    """
    known = Hashes((cache or Path("~/.cache/renate")).expanduser() / "hashes.json")
    named = (
        patterns.items()
        if isinstance(patterns, Mapping)
        else [("data.train", part) for part in patterns]
    )
    digest = hashlib.sha256()

    for key, part in named:
        for file, tag in _matches(part, key):
            digest.update(
                f"{Path(file).name}\0{known.of(Path(file)) if tag is None else tag}\0".encode()
            )
        digest.update(b"\1")

    known.save()

    return digest.hexdigest()


def contents(files: Iterable[str], cache: Path | None) -> list[str]:
    """Return the SHA-256 of each file's content; of an object, its etag and size.

    Args:
        files: Paths and URLs, as `expand` gives them.
        cache: See `fingerprint`.
    """
    known = Hashes((cache or Path("~/.cache/renate")).expanduser() / "hashes.json")
    found = []
    for file in files:
        remote_file = "://" in file
        found.append(str(_matches(file, "data")[0][1]) if remote_file else known.of(Path(file)))

    known.save()

    return found


class Hashes:
    """Contents' SHA-256, remembered so that an unchanged file isn't read again.

    Args:
        path: The file that remembers: absolute path -> [size and times, hash].
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known = _read(path)
        self.fresh: dict[str, Any] = {}

    def of(self, file: Path) -> str:
        """Return the SHA-256 of a file's content in hexadecimal; the file is read only where its
        size or its times aren't those that are remembered.

        Raises:
            OSError: The file is absent, or can't be read.
        """
        # ctime besides mtime: a copy may bring its old mtime along, nobody can set a ctime
        stat = file.stat()
        name = str(file.absolute())
        stamp = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
        entry = self.known.get(name)

        if not (isinstance(entry, list) and len(entry) == 2 and entry[0] == stamp):
            with file.open("rb") as stream:
                entry = [stamp, hashlib.file_digest(stream, "sha256").hexdigest()]
            self.known[name] = self.fresh[name] = entry

        return str(entry[1])

    def save(self) -> None:
        """Add what is new to what others have written meanwhile."""
        if not self.fresh:
            return

        known = _read(self.path) | self.fresh
        if len(known) > MANY:
            known = {name: entry for name, entry in known.items() if Path(name).exists()}

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as temporary:
                temporary.write_text(json.dumps(known))
        except OSError:  # a read-only home costs time, not the run
            return


def _read(path: Path) -> dict[str, Any]:
    """What a file remembers, for the caller to change; nothing where it can't be read, since it
    can be made anew.
    """
    try:
        stat = path.stat()
        stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if path in _last_read and _last_read[path][0] == stamp:
            return dict(_last_read[path][1])

        found = dict(json.loads(path.read_text()))
        if len(found) <= MANY:
            _last_read[path] = (stamp, found)
        return dict(found)
    except (OSError, ValueError, TypeError):
        return {}
