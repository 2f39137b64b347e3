"""Objects in S3, GCS and Azure as data: which ones a URL means, and their bytes; knows neither torch nor pyarrow."""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from renate.errors import DataError


def find(url: str, key: str) -> list[tuple[str, str]]:
    """Return the objects that a URL or a glob means, sorted: (URL, etag and size).

    As with local files `*` stays within a folder and `**/` stands for any number of them.

    Raises:
        DataError: There is no such object, or the store can't be asked.
    """
    import obstore

    base, path = _split(url)
    with _explained(f"{key}={url}"):
        if glob.has_magic(path):
            folder = path[: min(path.find(c) for c in "*?[" if c in path)].rpartition("/")[0]
            listed: list[Any] = [o for page in obstore.list(_store(base), prefix=folder or None) for o in page]
            metas = [o for o in listed if o["path"] == path or _matches(o["path"], path)]
        else:
            metas = [obstore.head(_store(base), path)]
    if not metas:
        raise DataError(f"{key}={url}: no object matches")
    return sorted((f"{base}/{o['path']}", f"{o['e_tag']} {o['size']}") for o in metas)


def read(url: str) -> Any:
    """Return an object's bytes, as a buffer.

    Raises:
        DataError: It can't be read.
    """
    import obstore

    base, path = _split(url)
    with _explained(url):
        return obstore.get(_store(base), path).bytes()


def _split(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    bucket, _, path = rest.partition("/")
    return f"{scheme}://{bucket}", path


def _store(base: str) -> Any:
    from obstore.store import from_url

    return from_url(base)


def _matches(path: str, pattern: str) -> bool:
    if "**" in pattern:
        return fnmatchcase(path, pattern) or fnmatchcase(path, pattern.replace("**/", ""))
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise DataError(f"{what}: no such object") from error
        reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
        raise DataError(f"{what}: {reason}; check the URL, the credentials and the region") from error
