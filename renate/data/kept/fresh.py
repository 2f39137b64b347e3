"""Which rows no version of the state has trained on yet: those of files whose content is new."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from renate.data.kept.trained import Trained, in_words, nothing_new
from renate.data.table import File, Table
from renate.errors import DataError, NothingNewError

Mask = np.ndarray[Any, np.dtype[np.bool_]]


def fresh_rows(table: Table, trained: Trained | None) -> tuple[Mask | None, list[str]]:
    """Return which rows [N] of a training table are to be trained on, None for all, and what to
    say.

    Args:
        table: What was read; its files say which rows are whose.
        trained: What the state's versions have trained on; None takes all.

    Raises:
        NothingNewError: They have trained on all of the files.
        DataError: The table doesn't say of each row in which file it stands.
    """
    files = [*table.skipped, *table.files]
    if trained is None or not files:
        return None, []
    if not trained.parts:
        return None, [
            f"data: the state doesn't say which files it has trained on: {_all_of(len(files))} "
            "as new"
        ]

    versions = [trained.version_of(file.keys) for file in files]
    known = [version for version in versions if version is not None]
    if not known:
        return None, []
    if len(known) == len(files):
        raise NothingNewError(nothing_new(known))

    counts = [file.rows for file in table.files]
    if sum(counts) != len(table.targets):
        raise DataError(
            f"data.train: its files have {sum(counts)} rows, its table {len(table.targets)}: which "
            "are new can't be told; data.seen=again takes all"
        )

    new = [version is None for version in versions[len(table.skipped) :]]
    said = (
        f"data: {_counted(len(files) - len(known), 'new file')} of {len(files)}, "
        f"{len(known)} {_were(len(known))} trained on by {in_words(known)}"
    )

    return np.repeat(new, counts), [said]


def unread(
    contents: Mapping[str, str], trained: Trained | None, *, needed: bool
) -> dict[str, File]:
    """Return name -> file of those that needn't be read, as their content has been trained on.

    Args:
        contents: name -> content, see `File`.
        trained: What the state's versions have trained on; None takes all.
        needed: Whether rows of all files are: some are held out to test on.

    Raises:
        NothingNewError: All of them have been trained on.
    """
    if trained is None:
        return {}

    files = [File(name, 0, content) for name, content in contents.items()]
    versions = {file.name: trained.version_of(file.keys) for file in files}
    known = [version for version in versions.values() if version is not None]
    if len(known) == len(files):
        raise NothingNewError(nothing_new(known))
    if needed:
        return {}

    return {file.name: file for file in files if versions[file.name] is not None}


def check_unchanged(files: Sequence[File], before: Mapping[str, str]) -> None:
    """Return if files hold what they held before they were read: name -> content.

    Raises:
        DataError: One doesn't: what was read of it may be a part.
    """
    for file in files:
        if file.content != before[file.name]:
            raise DataError(f"{file.name}: it has changed while it was read: start again")


def _all_of(count: int) -> str:
    if count == 1:
        return "its one file counts"
    return f"all {count} count"


def _counted(count: int, noun: str) -> str:
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}s"


def _were(count: int) -> str:
    if count == 1:
        return "was"
    return "were"
