"""Each file is read once, however often it is named; knows neither torch nor pyarrow."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from renate.data.kept.trained import key_of
from renate.errors import listed

SHOWN = 3  # names that a note gives


def read_once(files: Sequence[str], key: str) -> tuple[list[str], list[str]]:
    """Return the files without those that were named before, and what to say.

    A file is the same under each of its names: `./a.csv` and `a.csv`, and a link to it; an object
    is by its URL.

    Args:
        files: Paths and URLs, as `expand` gives them.
        key: The config key that names them.
    """
    names: dict[str, str] = {}
    again: dict[str, None] = {}
    folders: dict[str, str] = {}
    for file in files:
        place = _place_in(folders, file)
        if place in names:
            again[names[place]] = None
        else:
            names[place] = file

    kept = list(names.values())
    if not again:
        return kept, []
    if len(again) == 1:
        return kept, [f"{key}: {_listed(again)} is named more than once: read once"]

    return kept, [
        f"{key}: {len(again)} files are named more than once ({_listed(again)}): each is read once"
    ]


def without_copies(
    files: Sequence[str], contents: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Return training files without those that hold what another holds, and what to say.

    So does `data.seen=new`: what an earlier update has trained on under another name isn't new.

    Args:
        files: Each named once.
        contents: name -> content, see `renate.data.table.File`.
    """
    copies = copies_among(files, contents)
    return [file for file in files if file not in copies], told_of(copies)


def copies_among(files: Iterable[str], contents: Mapping[str, str]) -> dict[str, str]:
    """Return each file that holds what one before it holds -> the first such.

    Args:
        files: Each named once.
        contents: name -> content, see `renate.data.table.File`.
    """
    firsts: dict[str, str] = {}
    copies: dict[str, str] = {}
    for file in files:
        first = firsts.setdefault(key_of(contents[file]), file)
        if first != file:
            copies[file] = first

    return copies


def told_of(copies: Mapping[str, str]) -> list[str]:
    """Say which training files aren't read, as others hold the same: copy -> the other."""
    if not copies:
        return []

    remedy = "data.seen=again takes them all"
    copy, first = next(iter(copies.items()))
    if len(copies) == 1:
        return [f"data.train: {copy} holds the same as {first}: read once; {remedy}"]

    return [
        f"data.train: {len(copies)} files hold the same as others ({copy} as {first}, …): each is "
        f"read once; {remedy}"
    ]


def place_of(file: str) -> str:
    """Return what is the same for all names of a file: of a path, where its links lead to."""
    if "://" in file:
        return file
    return os.path.realpath(Path(file).expanduser())


def _place_in(folders: dict[str, str], file: str) -> str:
    """The same, where many files lie in few folders; each folder's place is kept for the next."""
    folder, name = os.path.split(file)
    is_link = os.path.islink(file)  # noqa: PTH114 (as below)
    if "://" in file or name in ("", ".", "..") or is_link:
        return place_of(file)
    if folder not in folders:
        folders[folder] = place_of(folder or ".")

    return os.path.join(folders[folder], name)  # noqa: PTH118 (a Path takes ten times as long)


def _listed(names: Mapping[str, None]) -> str:
    return listed(names, SHOWN)
