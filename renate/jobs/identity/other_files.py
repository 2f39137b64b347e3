"""Files of this machine that a config names besides its data's: they travel as these do, or are
refused before anything is sent.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renate.data.fingerprint import Hashes
from renate.errors import ConfigError
from renate.jobs.identity.data_files import is_local, moved_to

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
    return moved_to(staging, weights, "model.weights", known.of, data)


def check_travels(config: Mapping[str, Any], *, is_first: bool) -> None:
    """Return if a job elsewhere finds what its config names.

    Args:
        config: The job's, resolved, before anything is moved.
        is_first: Whether no version is there, which keeps a tokenizer and a network.

    Raises:
        ConfigError: It names a folder of this machine.
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
