"""The one door to local folders, S3, GCS and Azure: durable writes, create-if-absent."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from renate.errors import StateError, nearest
from renate.state.store.folder import STAGING, Folder
from renate.state.store.objects import Entry, Store

__all__ = ["STAGING", "Entry", "Folder", "Store", "open_store"]

SCHEMES = ("file", "s3", "gs", "az")


def open_store(url: str) -> Store:
    """Open a folder (a path, or file:///path) or an object store (s3://bucket/path, gs://…,
    az://container/…).

    Nothing is created or contacted before the first read or write.

    Raises:
        StateError: The URL can't be one of a state.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        if not url or url.split(":")[0] in SCHEMES:
            raise StateError(f"'{url}': expected a folder or a URL such as s3://bucket/path")
        return Folder(Path(url))

    if scheme not in SCHEMES:
        allowed = ", ".join(f"{name}://" for name in SCHEMES)
        raise StateError(
            f"{url}: unknown scheme '{scheme}', expected a folder or "
            f"{allowed}{nearest(scheme, SCHEMES)}"
        )

    if scheme == "file":
        if not rest.startswith("/"):
            raise StateError(f"{url}: expected an absolute path, as in file:///folder")
        return Folder(Path(unquote(urlsplit(url).path)))

    if not rest.strip("/"):
        raise StateError(f"{url}: names no bucket, expected {scheme}://bucket/path")

    return Store(url.rstrip("/"))
