"""Where a version comes from, in lines for people."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from renate.errors import and_more, shortened
from renate.state.manifest import Manifest, Parent

FILES = 5  # of a role that are named
LONGEST = 300  # characters of a value of no known form


def lines_of(manifest: Manifest, but: Sequence[str]) -> list[tuple[str, str]]:
    """Return (name, text) of what a version's lineage says; what is null says nothing.

    Args:
        manifest: May come from a stranger: what has another form than an update writes is shown as
            JSON.
        but: Names that are shown elsewhere.
    """
    found = []
    for name, value in manifest.lineage.items():
        if name in but or value is None:
            continue
        if name == "data" and _is_files(value):
            found += [("data", line) for line in _of_files(value)]
        else:
            found.append((name, _of_value(name, value)))

    return found


def of_parent(parent: Parent | None) -> str:
    """Return which version one was begun from: `version 3`, or `version 3 of s3://other`."""
    if parent is None:
        return "–"
    if parent.url is None:
        return f"version {parent.version}"
    return f"version {parent.version} of {parent.url}"


def _of_value(name: str, value: Any) -> str:
    are_texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
    if are_texts and name == "overrides":
        return shlex.join(value)
    if are_texts:
        return " ".join(value)
    if isinstance(value, dict) and all(isinstance(each, str) for each in value.values()):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    if isinstance(value, str | int | float):
        return str(value)

    text = json.dumps(value, ensure_ascii=False)
    return shortened(text, LONGEST)


def _is_files(value: Any) -> bool:
    """Whether this is role -> [name, content, rows] of each file."""
    if not isinstance(value, dict) or not all(isinstance(part, list) for part in value.values()):
        return False

    files = [file for part in value.values() for file in part]
    return all(
        isinstance(file, list) and len(file) == 3 and isinstance(file[2], int) for file in files
    )


def _of_files(value: Mapping[str, Sequence[Sequence[Any]]]) -> list[str]:
    lines = []
    for role, files in value.items():
        rows = sum(file[2] for file in files)
        counted = f"{len(files):,} files" if len(files) != 1 else "1 file"
        named = ", ".join(str(file[0]) for file in files[:FILES])
        more = and_more(len(files) - FILES)
        lines.append(f"{role}: {rows:,} rows of {counted}: {named}{more}")

    return lines
