"""What a version consists of, as strict JSON; read with suspicion, since a state may come from a
stranger.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from renate.errors import CorruptError, StateError
from renate.state import strict

FORMAT = 1
# Of versions whose inputs need what format 1 doesn't know: an encoder, several tensors, or rows of
# different lengths. They have this file.
WITH_ENCODER = 2
ENCODER = "encoder.json"
KEY = re.compile(r"blobs/([0-9a-f]{64})-[0-9a-f]{8,32}")


@dataclass(frozen=True, slots=True)
class Blob:
    """Immutable bytes in the store.

    Attributes:
        key: blobs/<sha256>-<nonce>; the nonce tells an upload from an old orphan that gc is about
            to delete.
        sha256: Of the bytes, in hexadecimal.
        size: In bytes.
    """

    key: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        match = KEY.fullmatch(self.key)
        _need(
            match is not None and match[1] == self.sha256,
            f"'{self.key}' is no key of a blob {self.sha256}",
        )
        _need(_whole(self.size, 0), f"a blob of {self.size!r} bytes")


@dataclass(frozen=True, slots=True)
class Parent:
    """The version that an update started from.

    Attributes:
        url: Where it is; None for this very state, so that a state can be moved.
        version: Its number.
        sha256: Of its manifest.
    """

    url: str | None
    version: int
    sha256: str

    def __post_init__(self) -> None:
        if self.url is not None:
            _need(
                isinstance(self.url, str) and len(self.url) <= 4000,
                f"parent.url is {strict.shown(self.url)}",
            )
        _need(_whole(self.version, 1), f"parent.version is {self.version!r}")
        strict.text(self.sha256, "parent.sha256", 64)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What gc leaves of a version: its number stays taken.

    Attributes:
        version: Its number.
        sha256: Of the manifest that stood here.
        writer: Who published it.
        job: The job that it came from.
        removed: When, in ISO 8601, UTC.
    """

    version: int
    sha256: str
    writer: str
    job: str | None
    removed: str

    def __post_init__(self) -> None:
        _need(_whole(self.version, 1), f"version is {self.version!r}")
        strict.text(self.writer, "writer", 100)
        strict.text(self.sha256, "sha256", 64)
        strict.text(self.removed, "removed", 100)
        if self.job is not None:
            strict.text(self.job, "job", 200)

    def encode(self) -> bytes:
        """Return the bytes that stand in the manifest's place: JSON."""
        return strict_json({"format": FORMAT, "tombstone": True, **asdict(self)})


@dataclass(frozen=True, slots=True)
class Manifest:
    """A complete version, or a candidate: the same without a number.

    Attributes:
        version: Its number, from 1; None for a candidate.
        base: The newest version that it knows of; it can only become base + 1.
        parent: What its update started from; None for the first.
        writer: Unique for each candidate: tells a lost answer of the store from a lost race.
        created: When, in ISO 8601, UTC.
        job: The job that it came from.
        lineage: Further facts of its origin: recipe, data, packages, seed, seconds, rollback_to, …
        files: The blob of each file, by the file's name.
        sha256: Of the manifest's own bytes as stored; "" before it is stored.
    """

    version: int | None
    base: int
    parent: Parent | None
    writer: str
    created: str
    job: str | None
    lineage: dict[str, Any]
    files: dict[str, Blob]
    sha256: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        _need(self.version is None or _whole(self.version, 1), f"version is {self.version!r}")
        _need(_whole(self.base, 0), f"base is {self.base!r}")
        _need(self.version in (None, self.base + 1), f"version {self.version} has base {self.base}")
        strict.text(self.writer, "writer", 100)
        strict.text(self.created, "created", 100)
        if self.job is not None:
            strict.text(self.job, "job", 200)

        _check_lineage(self.lineage)
        for name in self.files:
            strict.text(name, "a file's name", 300)
            path = PurePosixPath(name)
            plain = (
                name == str(path)
                and not path.is_absolute()
                and ".." not in path.parts
                and "\\" not in name
            )
            _need(plain and name != ".", f"'{name}' is no plain file name")

    def encode(self) -> bytes:
        """Return the bytes to store: JSON with sorted keys, no NaN.

        Raises:
            StateError: `lineage` holds what JSON can't.
        """
        number = FORMAT
        if ENCODER in self.files:
            number = WITH_ENCODER

        content = {"format": number, **asdict(self)}
        del content["sha256"]
        return strict_json(content)

    def __str__(self) -> str:
        if self.version is None:
            return f"the candidate of job '{self.job}'"
        return f"version {self.version}"


def decode(raw: bytes | memoryview, where: str) -> Manifest | Tombstone:
    """Read a manifest's bytes; `where` (its URL and key) is for messages.

    Raises:
        CorruptError: They are no manifest.
        StateError: A newer renate made them.
    """
    content = parse(raw, where)
    try:
        if content.pop("tombstone", False):
            return Tombstone(**content)

        files = {name: Blob(**blob) for name, blob in content.pop("files").items()}
        parent = content.pop("parent")
        origin = None
        if parent is not None:
            origin = Parent(**parent)

        return Manifest(
            **content, files=files, parent=origin, sha256=hashlib.sha256(raw).hexdigest()
        )
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise _corrupt(where, str(error)) from error


def parse(raw: bytes | memoryview, where: str) -> dict[str, Any]:
    """Read one of our JSON files and take its format off.

    Raises:
        CorruptError: It isn't one.
        StateError: A newer renate made it.
    """
    try:
        content = strict.parse(raw)
    except ValueError as error:
        raise _corrupt(where, str(error)) from error

    if not isinstance(content, dict) or type(content.get("format")) is not int:
        raise _corrupt(where, "no 'format'")

    made = content.pop("format")
    if made not in (FORMAT, WITH_ENCODER):
        raise StateError(
            f"{where}: format {made}, this renate reads up to {WITH_ENCODER}: made by a newer "
            "renate, upgrade this one"
        )

    found: dict[str, Any] = content

    return found


def strict_json(content: dict[str, Any]) -> bytes:
    """Write what every JSON reader reads back.

    Raises:
        StateError: It holds something else: NaN, a tensor, a numpy number, ….
    """
    try:
        return (json.dumps(content, allow_nan=False, sort_keys=True, indent=1) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise StateError(
            f"a manifest holds plain JSON only: {error}; convert it to numbers, text, lists, dicts"
        ) from error


def now() -> str:
    """Return the time in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _whole(number: object, least: int) -> bool:
    return type(number) is int and least <= number < strict.WHOLE


def _check_lineage(lineage: object) -> None:
    """Facts of an origin are of any kind, but for those that are used again."""
    _need(isinstance(lineage, dict), "lineage is no mapping")
    assert isinstance(lineage, dict)
    for name in ("recipe", "stream"):
        if lineage.get(name) is not None:
            strict.text(lineage[name], f"lineage.{name}", 200)

    if lineage.get("seconds") is not None:
        strict.number(lineage["seconds"], "lineage.seconds")


def _corrupt(where: str, reason: str) -> CorruptError:
    return CorruptError(
        f"{where}: can't be read as a manifest ({reason}); bring the file back from a copy"
    )
