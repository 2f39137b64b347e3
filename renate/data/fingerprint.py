"""Which files a pattern means, and whether their contents have changed; knows neither torch nor pyarrow."""

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from renate.errors import DataError

Patterns = str | Iterable[Any] | Mapping[str, Any] | None


def expand(patterns: Patterns, key: str) -> list[str]:
    """Return the files that paths and globs (one, a list, or name -> either) mean, sorted within each pattern.

    Raises:
        DataError: A pattern that matches nothing.
    """
    if patterns is None:
        return []
    if isinstance(patterns, Mapping):
        return [file for part in patterns.values() for file in expand(part, key)]
    if not isinstance(patterns, str):
        return [file for part in patterns for file in expand(part, key)]
    if "://" in patterns and not patterns.startswith("file://"):
        return _remote(patterns, key)
    path = str(Path(patterns.removeprefix("file://")).expanduser())
    matches = [path] if Path(path).is_file() else glob.glob(path, recursive=True)  # noqa: PTH207 (absolute ones too)
    found = sorted(match for match in matches if Path(match).is_file())
    if not found:
        raise DataError(f"{key}={patterns}: no such file, and no file matches (from {Path.cwd()})")
    return found


def _remote(url: str, key: str) -> list[str]:
    from fnmatch import fnmatch

    return [found for found, _ in _listed(url, key) if fnmatch(found, url) or found == url]


def _listed(url: str, key: str) -> list[tuple[str, str]]:
    """(URL, etag and size) of the objects that a URL, perhaps a glob, may mean."""
    import obstore
    from obstore.store import from_url

    scheme, _, rest = url.partition("://")
    bucket, _, path = rest.partition("/")
    stem = path[: min((path.find(c) for c in "*?[" if c in path), default=len(path))]
    store: Any = from_url(f"{scheme}://{bucket}")
    pages = obstore.list(store, prefix=stem.rpartition("/")[0] or None)
    found = [(f"{scheme}://{bucket}/{o['path']}", f"{o['e_tag']} {o['size']}") for page in pages for o in page]
    if not any(f == url or glob.has_magic(url) for f, _ in found):
        raise DataError(f"{key}={url}: no such object")
    return sorted(found)


def fingerprint(patterns: list[Any], cache: Path | None) -> str:
    """Return a hash of the names and contents of all files that patterns mean.

    Args:
        patterns: See `expand`.
        cache: A folder that remembers content hashes by path, size and time of change; None is ~/.cache/renate.

    Raises:
        DataError: A pattern that matches nothing.
    """
    folder = cache or Path.home() / ".cache" / "renate"
    known = _read(folder / "hashes.json")
    digest, changed = hashlib.sha256(), False
    for pattern in patterns:
        for file in expand(pattern, "data.train"):
            if "://" in file:
                tag = dict(_listed(file, "data.train")).get(file, "")
            else:
                stat = Path(file).stat()
                at = f"{Path(file).absolute()} {stat.st_size} {stat.st_mtime_ns}"
                if at not in known:
                    with Path(file).open("rb") as stream:
                        known[at], changed = hashlib.file_digest(stream, "sha256").hexdigest(), True
                tag = known[at]
            digest.update(f"{Path(file).name}\0{tag}\0".encode())
        digest.update(b"\1")
    if changed:
        _write(folder / "hashes.json", known)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, str]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError):  # a cache: what can't be read is made anew
        return {}


def _write(path: Path, content: dict[str, str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(content))
        temporary.replace(path)
    except OSError:  # a read-only home costs time, not the run
        return
