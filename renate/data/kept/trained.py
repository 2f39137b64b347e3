"""Which files the versions of a state have trained on, by content: a log that each update extends.

A version keeps it as files `trained/<number>.json`, each at least twice as large as the next: an
update adds one and merges those that have become alike, so that a state of a thousand updates has
some ten of them, and what is old is shared rather than written again. Nothing here imports torch.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from renate.state.contents import checked
from renate.state.manifest import Manifest
from renate.state.strict import items, mapping, need, shown, whole

FOLDER = "trained/"
NAME = re.compile(r"trained/([0-9]{8})\.json")
KEY = re.compile(r"[0-9a-f]{64}")
MOST = 10_000_000  # keys of a part
ELSEWHERE = 0  # stands for versions of the states that this one was begun from


SEEN = NEW, AGAIN = ("new", "again")  # what `data.seen` may say


class Readable(Protocol):
    """A state, as one process reads it or several do together."""

    @property
    def url(self) -> str:
        """Where it is."""

    def read(self, manifest: Manifest, name: str) -> Any:
        """Return a file's bytes."""


def key_of(content: str) -> str:
    """Return the key by which a file's content is known: its SHA-256 in hexadecimal; of anything
    else that stands for a content (an object's etag and size) that of the text.
    """
    if KEY.fullmatch(content):
        return content
    return hashlib.sha256(b"stands for\0" + content.encode()).hexdigest()


def nothing_new(versions: Sequence[int]) -> str:
    """What to say where all files have been trained on.

    Args:
        versions: Which version trained on each of the files.
    """
    count = len(versions)
    all_of = f"all {count} files of data.train were"
    if count == 1:
        all_of = "the one file of data.train was"

    return f"nothing is new: {all_of} trained on by {in_words(versions)}"


def in_words(versions: Sequence[int]) -> str:
    """Versions for a message: `version 3`, `versions 1 to 4`."""
    own = sorted({version for version in versions if version != ELSEWHERE})
    found = []
    if len(own) == 1:
        found.append(f"version {own[0]}")
    elif own:
        found.append(f"versions {own[0]} to {own[-1]}")

    if ELSEWHERE in versions:
        found.append("a state that this one was begun from")

    return " and ".join(found)


@dataclass(frozen=True)
class Part:
    """Some of the log.

    Attributes:
        number: Its file's.
        versions: Key of a file's content -> the version that trained on it first.
        is_stored: Whether the parent has it as it is.
    """

    number: int
    versions: Mapping[str, int]
    is_stored: bool = False

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{FOLDER}{self.number:08d}.json"

    def encode(self) -> bytes:
        """Return its file's bytes: JSON, the keys of each version sorted."""
        by_version: dict[int, list[str]] = {}
        for key, version in sorted(self.versions.items()):
            by_version.setdefault(version, []).append(key)

        return json.dumps({"versions": sorted(by_version.items())}, indent=0).encode()


@dataclass(frozen=True)
class Trained:
    """The files that the versions of a state have trained on.

    Attributes:
        parts: From the oldest to the newest.
    """

    parts: tuple[Part, ...] = ()

    @classmethod
    def read(cls, state: Readable, manifest: Manifest) -> "Trained":
        """Return what a version knows; nothing where it was written before that was kept.

        Raises:
            CorruptError: It isn't what an update writes.
        """
        parts = []
        for name in sorted(manifest.files):
            match = NAME.fullmatch(name)
            if match is None:
                continue
            where = f"{state.url}: '{name}' of {manifest}"
            versions = checked(_versions, state.read(manifest, name), where)
            parts.append(Part(int(match[1]), versions, is_stored=True))

        return cls(tuple(parts))

    def version_of(self, keys: Iterable[str]) -> int | None:
        """Return the version that trained on a content first; None where none has.

        Args:
            keys: What the content is known by.
        """
        found = [part.versions[key] for key in keys for part in self.parts if key in part.versions]
        return min(found, default=None)

    def extended(self, keys: Iterable[str], version: int) -> "Trained":
        """Return it with what another version has trained on."""
        new = {key: version for key in keys if self.version_of([key]) is None}
        if not new:
            return self

        number = 1 + max((part.number for part in self.parts), default=0)
        parts = [*self.parts, Part(number, new)]
        while len(parts) > 1 and len(parts[-2].versions) < 2 * len(parts[-1].versions):
            newer = parts.pop()
            older = parts.pop()
            parts.append(Part(newer.number, {**older.versions, **newer.versions}))

        return Trained(tuple(parts))

    def moved(self) -> "Trained":
        """Return it as a state elsewhere keeps it, whose versions have other numbers."""
        keys = [key for part in self.parts for key in part.versions]
        return Trained().extended(keys, ELSEWHERE)

    def files(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the files of the next version; None where the parent's is unchanged."""
        for part in self.parts:
            yield part.name, None if part.is_stored else part.encode()


def _versions(raw: Any) -> dict[str, int]:
    """Read a part. Raises ValueError."""
    try:
        # Not by `strict.parse`, which looks at each character of what may be many keys
        found = json.loads(bytes(raw))
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from error

    mapping(found, "it", ("versions",))
    versions: dict[str, int] = {}
    for entry in items(found["versions"], "versions", lambda each, key: each, MOST):
        need(isinstance(entry, list) and len(entry) == 2, f"versions holds {shown(entry)}")
        number = whole(entry[0], "a version's number")
        for key in items(entry[1], f"versions.{number}", lambda each, key: each, MOST):
            fits = isinstance(key, str) and KEY.fullmatch(key) is not None
            need(fits, f"versions.{number} holds {shown(key)}, expected a SHA-256")
            need(key not in versions, f"versions holds {key} twice")
            versions[key] = number

    need(len(versions) <= MOST, f"versions holds {len(versions)} contents")
    return versions
