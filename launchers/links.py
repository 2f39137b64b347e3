"""Links in a run directory: the latest job, and jobs under names of the user's."""

import os
from pathlib import Path

from renate.errors import ConfigError
from renate.files import replacing


def link_latest(folder: Path) -> None:
    """Point `latest` in the run directory at a job's or a sweep's folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _replace_link(folder.parent / "latest", Path(folder.name))


def link(place: Path, target: Path) -> None:
    """Let a name lead to a job's directory.

    Raises:
        ConfigError: Something else has the name.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() and not place.is_symlink():
        raise ConfigError(
            f"hydra.sweep.subdir: {place} is there already, and isn't a link to a job"
        )
    _replace_link(place, Path(os.path.relpath(target, place.parent.resolve())))


def _replace_link(place: Path, target: Path) -> None:
    """Another command may do the same at this moment; whoever looks finds a link."""
    with replacing(place) as temporary:
        temporary.symlink_to(target, target_is_directory=True)
