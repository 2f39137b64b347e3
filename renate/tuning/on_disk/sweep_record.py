"""What a tuner's sweep is about: the file `sweep.json`, written before its first trial."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from renate.errors import JobError
from renate.files import ANEW
from renate.state.parent import ParentVersion
from renate.state.strict import (
    WHOLE,
    need,
    number,
    object_of,
    required,
    shown,
    string,
    strings,
    whole,
)
from renate.tuning.space import Space

RECORD = "sweep.json"
MODES = ("max", "min")


@dataclass(frozen=True)
class SweepRecord:
    """What a sweep is about.

    Attributes:
        id: What it is, as a hash; names its folder and its trials.
        recipe: A hash of all that its winner depends on, but for the version it starts from.
        parent: The version that its trials start from; None where there is none.
        to: URL of the state that its winner becomes a version of.
        metric: The objective.
        mode: Which way that is better, `max` or `min`.
        secondary: Further objectives -> their modes.
        seed: Of the tuner, and of the trials.
        overrides: What all trials share.
        space: What is tuned.
        created: When it was composed, in seconds since the epoch.
        cwd: The folder that paths are relative to.
        added: Overrides that come from where the sweep runs, not from who asked for it.
        further: What else the file holds, from another release.
    """

    id: str
    recipe: str
    parent: ParentVersion | None
    to: str
    metric: str
    mode: str
    secondary: Mapping[str, str]
    seed: int
    overrides: Sequence[str]
    space: Space
    created: float
    cwd: str
    added: Sequence[str] = ()
    further: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, found: Any) -> "SweepRecord":
        """From what `to_json` gave, in this release or an earlier one.

        Raises:
            ValueError: A key is missing, or its value is of another kind; in one line.
        """
        need(isinstance(found, dict), f"it is {shown(found)}, expected a mapping")
        need("parent" in found, "it lacks the key 'parent'")
        given = {name: required(found, key, check) for key, (name, check) in KEYS.items()}
        given["parent"] = _parent(found["parent"])
        if "added" in found:
            given["added"] = strings(found["added"], "added")

        known = {*KEYS, "parent", "added"}
        further = {key: value for key, value in found.items() if key not in known}
        return cls(**given, further=further)

    @classmethod
    def read(cls, folder: Path) -> "SweepRecord":
        """Read a sweep's folder.

        Raises:
            JobError: It is no sweep's, or the file is damaged, by the key.
        """
        path = folder / RECORD
        try:
            return cls.from_json(json.loads(path.read_text()))
        except FileNotFoundError:
            raise JobError(f"{folder}: no sweep's folder (it has no {RECORD})") from None
        except (ValueError, RecursionError) as error:
            raise JobError(f"{path}: {error}; {ANEW}") from error

    def to_json(self) -> dict[str, Any]:
        """As `sweep.json` holds it."""
        found: dict[str, Any] = {
            "id": self.id,
            "recipe": self.recipe,
            "parent": None,
            "to": self.to,
            "metric": self.metric,
            "mode": self.mode,
            "others": dict(self.secondary),
            "seed": self.seed,
            "overrides": list(self.overrides),
            "space": self.space.to_json(),
            "created": self.created,
            "cwd": self.cwd,
        }
        if self.parent is not None:
            found["parent"] = self.parent.to_json()
        if self.added:
            found["added"] = list(self.added)

        return found | dict(self.further)


@dataclass(frozen=True)
class PinnedSweep:
    """What of a sweep's record is the same on every machine: that of the one that asked for it.

    Attributes:
        id: See `SweepRecord`, as the next three.
        recipe: The same.
        parent: The same.
        to: The same.
        added: Overrides of the machine that runs the sweep.
    """

    id: str
    recipe: str
    parent: ParentVersion | None
    to: str
    added: Sequence[str] = ()

    @classmethod
    def of(cls, record: SweepRecord) -> "PinnedSweep":
        """Return those parts of a record."""
        return cls(record.id, record.recipe, record.parent, record.to)

    @classmethod
    def from_json(cls, found: Any) -> "PinnedSweep":
        """From what `to_json` gave. Raises ValueError, which names the key."""
        need(isinstance(found, dict), f"record is {shown(found)}, expected a mapping")
        need("parent" in found, "it lacks the key 'parent'")
        texts = {key: required(found, key, string) for key in ("id", "recipe", "to")}
        return cls(parent=_parent(found["parent"]), **texts)

    def to_json(self) -> dict[str, Any]:
        """As a job's record holds it for another machine."""
        parent = None
        if self.parent is not None:
            parent = self.parent.to_json()

        return {"id": self.id, "recipe": self.recipe, "parent": parent, "to": self.to}


def _parent(found: Any) -> ParentVersion | None:
    if found is None:
        return None
    return ParentVersion.from_json(found)


def _mode(value: Any, key: str) -> str:
    need(value in MODES, f"{key} is {shown(value)}, expected max or min")
    return str(value)


def _modes(value: Any, key: str) -> dict[str, str]:
    return {name: _mode(mode, f"{key}.{name}") for name, mode in object_of(value, key).items()}


def _integer(value: Any, key: str) -> int:
    return whole(value, key, -WHOLE)


def _space(value: Any, key: str) -> Space:
    return Space.from_json(value)


# The keys of sweep.json -> the record's fields, and what their values must be.
KEYS: dict[str, tuple[str, Any]] = {
    "id": ("id", string),
    "recipe": ("recipe", string),
    "to": ("to", string),
    "metric": ("metric", string),
    "mode": ("mode", _mode),
    "others": ("secondary", _modes),
    "seed": ("seed", _integer),
    "overrides": ("overrides", strings),
    "space": ("space", _space),
    "created": ("created", number),
    "cwd": ("cwd", string),
}
