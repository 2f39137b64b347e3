"""Between S3 and a container's folders: channels, checkpoints, outputs."""

import tarfile
import tempfile
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

IN_FLIGHT = (".sagemaker-uploading", ".sagemaker-uploaded")


class DownloadError(Exception):
    """A channel has nothing to download."""


def split(uri: str) -> tuple[str, str]:
    parts = urlsplit(uri)
    return parts.netloc, parts.path.lstrip("/")


def download(s3: Any, uri: str, folder: Path) -> int:
    """Every object whose key starts with the prefix, also a neighbour's if it doesn't end with a
    slash.

    Raises:
        DownloadError: With the service's text.
    """
    bucket, prefix = split(uri)
    count = 0
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for key in (
                item["Key"] for item in page.get("Contents", []) if not item["Key"].endswith("/")
            ):
                path = folder / (key[len(prefix) :].lstrip("/") or Path(key).name)
                path.parent.mkdir(parents=True, exist_ok=True)
                s3.download_file(bucket, key, str(path))
                count += 1
    except ClientError as error:
        answer = error.response["Error"]
        raise DownloadError(
            f"ClientError: Data download failed: {answer['Code']}: {answer['Message']}, bucket "
            f"{bucket}"
        ) from error
    return count


def download_channel(s3: Any, uri: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    if not download(s3, uri, folder):
        raise DownloadError(
            f'ClientError: Data download failed: No S3 objects found under S3 URL "{uri}" given in input data source. '
            "Please ensure that the bucket exists in the selected region and the objects exist "
            "under that S3 prefix."
        )


def upload_tar(s3: Any, folders: list[Path], uri: str) -> bool:
    """The hosts' folders as one archive; nothing if all are empty."""
    files = {
        path.relative_to(folder).as_posix(): path
        for folder in folders
        for path in sorted(folder.rglob("*"))
    }
    if not files:
        return False
    with tempfile.TemporaryFile() as archive:
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            for name, path in files.items():
                tar.add(path, arcname=name, recursive=False)
        archive.seek(0)
        bucket, key = split(uri)
        s3.upload_fileobj(archive, bucket, key)
    return True


class Mirror(threading.Thread):
    """Keeps a folder of checkpoints the same on S3 while a container runs, half a second behind."""

    def __init__(self, s3: Any, folder: Path, uri: str, period: float = 0.5) -> None:
        super().__init__(daemon=True)
        self.s3 = s3
        self.folder = folder
        self.period = period
        self.bucket, prefix = split(uri)
        self.prefix = prefix.rstrip("/")
        self.ended = threading.Event()
        folder.mkdir(parents=True)
        download(s3, f"{uri.rstrip('/')}/", folder)
        self.known = self.files()

    def files(self) -> dict[str, tuple[int, int]]:
        found = {}
        for path in self.folder.rglob("*"):
            try:
                if path.is_file() and not path.name.endswith(IN_FLIGHT):
                    stat = path.stat()
                    found[path.relative_to(self.folder).as_posix()] = (
                        stat.st_mtime_ns,
                        stat.st_size,
                    )
            except FileNotFoundError:  # renamed or removed meanwhile
                continue
        return found

    def copy(self) -> None:
        now = self.files()
        for name in sorted(name for name, stat in now.items() if self.known.get(name) != stat):
            try:
                self.s3.upload_file(str(self.folder / name), self.bucket, f"{self.prefix}/{name}")
            except FileNotFoundError:
                del now[name]
        for name in self.known.keys() - now.keys():
            self.s3.delete_object(Bucket=self.bucket, Key=f"{self.prefix}/{name}")
        self.known = now

    def run(self) -> None:
        while not self.ended.wait(self.period):
            self.copy()

    def finish(self, *, last: bool) -> None:
        """End; `last` copies what is there now, which a machine that is taken away at once does
        not.
        """
        self.ended.set()
        if self.is_alive():
            self.join()
        if last:
            self.copy()
