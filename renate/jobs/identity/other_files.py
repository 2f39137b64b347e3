"""Files of this machine that a config names besides its data's: they travel as these do, or are
refused before anything is sent.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from renate.data.fingerprint import Hashes, expand
from renate.data.tables.csv_files.dialect import Dialect
from renate.errors import ConfigError
from renate.jobs.identity.data_files import is_local, moved_to

IMAGE_TABLE = "renate.data.images.sources.table.ImageTable"
# May name a folder: what to give in its place
FOLDERS = {
    "data.name": "the Hub's name of the data set",
    "data.tokenizer": "its tokenizer.json",
    "data.tokens.tokenizer": "its tokenizer.json",
    "model.checkpoint": "the Hub's name of the checkpoint",
}
LEARNED = ("data.tokenizer", "data.tokens.tokenizer", "model.checkpoint")  # a version keeps them


def moved_weights(
    config: Mapping[str, Any], staging: str, known: Hashes, data: dict[str, Path]
) -> Any:
    """Return what `model.weights` is where a local file lies below a URL; None without such.

    Args:
        config: A job's, resolved.
        staging: The URL.
        known: Remembers contents.
        data: Gets the file, by its key below `staging`.

    Raises:
        DataError: There is no such file.
    """
    weights = config["model"].get("weights")
    if not isinstance(weights, str) or not is_local(weights):
        return None
    return moved_to(staging, weights, "model.weights", known, data)


def check_travels(config: Mapping[str, Any], *, is_first: bool) -> None:
    """Return if a job elsewhere finds what its config names.

    Args:
        config: The job's, resolved, before anything is moved.
        is_first: Whether no version is there, which keeps a tokenizer and a network.

    Raises:
        ConfigError: It names a folder of this machine, or a table that names images here.
        DataError: Such a table can't be read.
    """
    for key, instead in FOLDERS.items():
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if not isinstance(value, str) or (key in LEARNED and not is_first):
            continue
        if is_local(value) and Path(value).expanduser().is_dir():
            raise ConfigError(
                f"{key}={value} is a folder of this machine, which doesn't travel: give {instead}, "
                "or backend=local"
            )

    if config["data"].get("_target_") == IMAGE_TABLE:
        _check_images(config["data"])


def _check_images(node: Mapping[str, Any]) -> None:
    remedy = (
        "such don't travel: data=image_folder takes images along, or upload them and let "
        "data.folder say where, as s3://bucket/photos"
    )
    folder = node.get("folder")
    if folder is not None and is_local(folder):
        raise ConfigError(f"data.folder={folder} is a folder of this machine: {remedy}")

    for key in ("train", "test"):
        for file, path in _paths_in(node, key):
            if is_local(path) and (folder is None or path.startswith(("/", "~", "file:"))):
                raise ConfigError(
                    f"data.{key}: {file} names images of this machine ({path}): {remedy}"
                )


def _paths_in(node: Mapping[str, Any], key: str) -> Iterator[tuple[str, str]]:
    """Yield (table, path) of the images that local tables name."""
    from renate.data.tables.columns import is_text
    from renate.data.tables.read import read_files

    if node.get(key) is None:
        return

    local = [file for file in expand(node[key], f"data.{key}") if is_local(file)]
    name = str(node["image"])
    for file, read in read_files(local, Dialect.of(node.get("csv")), [name]).items():
        if name not in read.table.column_names or not is_text(read.table.column(name).type):
            continue
        for path in read.table.column(name).to_pylist():
            if path is not None:
                yield file, path
