"""Objects in S3, GCS and Azure as data: which ones a URL means, and their bytes; knows neither
torch nor pyarrow.
"""

import glob
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import obstore
from obstore.exceptions import BaseError

from renate.errors import DataError
from renate.object_store.connect import connect
from renate.object_store.credentials import NoAccessError
from renate.object_store.explain import explain
from renate.object_store.multipart import download


def find(url: str, key: str) -> list[tuple[str, str]]:
    """Return the objects that a URL or a glob means, sorted: (URL, etag and size).

    As with local files `*` stays within a folder and `**/` stands for any number of them.

    Raises:
        DataError: There is no such object, or the store can't be asked.
    """
    base, path = _split(url)
    with _explained(f"{key}={url}", base, path, "list" if glob.has_magic(path) else "read"):
        if glob.has_magic(path):
            folder = path[: min(path.find(c) for c in "*?[" if c in path)].rpartition("/")[0]
            listed: list[Any] = [
                o for page in obstore.list(connect(base), prefix=folder or None) for o in page
            ]
            metas = [o for o in listed if o["path"] == path or _matches(o["path"], path)]
        else:
            metas = [_head(base, path)]

    if not metas:
        raise DataError(f"{key}={url}: no object matches")

    return sorted((f"{base}/{o['path']}", f"{o['e_tag']} {o['size']}") for o in metas)


def read(url: str) -> Any:
    """Return an object's bytes, as a buffer.

    Raises:
        DataError: It can't be read.
    """
    base, path = _split(url)
    with _explained(url, base, path, "read"):
        size = _head(base, path)["size"]
        return download(lambda request: request(connect(base)), path, size)


def _split(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    bucket, _, path = rest.partition("/")
    return f"{scheme}://{bucket}", path


def _head(base: str, path: str) -> Any:
    try:
        return obstore.head(connect(base), path)
    except (BaseError, OSError):
        # A refused HEAD doesn't say why, a listing does
        next(iter(obstore.list(connect(base), prefix=path)), None)
        raise


def _matches(path: str, pattern: str) -> bool:
    if "**" in pattern:
        return fnmatchcase(path, pattern) or fnmatchcase(path, pattern.replace("**/", ""))
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)


@contextmanager
def _explained(what: str, base: str, path: str, verb: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError, NoAccessError) as error:
        if isinstance(error, FileNotFoundError) and "NoSuchBucket" not in str(error):
            raise DataError(f"{what}: no such object") from error
        raise DataError(f"{what}: {explain(error, base, verb, path)}") from error
