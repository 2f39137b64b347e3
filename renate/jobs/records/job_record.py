"""What a job is told besides its config: the file `job.json`, which a launcher writes and a job's
processes read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from renate.state.parent import ParentVersion
from renate.state.strict import (
    need,
    number,
    object_of,
    objects,
    required,
    shown,
    string,
    strings,
    truth,
    whole,
)

Check = Callable[[Any, str], Any]  # of a value of JSON and its key; raises ValueError


@dataclass(frozen=True)
class JobRecord:
    """What a job is told besides its config: `job.json`, written by the launcher.

    Attributes:
        id: What the job is, as a hash; names its directory, and the version that it publishes.
        recipe: A hash of all that its result depends on, but for the version it starts from.
        overrides: The overrides that its config was composed of.
        cwd: The folder that paths and the user's own modules are relative to.
        created: When it was composed, in seconds since the epoch.
        parent: The version that it starts from; None where there is none.
        starts_from_newest: The file says nothing of a parent: it is the state's newest version.
        publish: Whether the outcome becomes the next version by itself.
        unread: Only reading the data tells what they hold, so no earlier result may count.
        already: The version that this very job has published before.
        nothing_new: Where `already` is there because the state has trained on all files: in words.
        trial: Of a tuner's trial: its number; nothing of it reaches the state by itself.
        candidate: Of a trial: the URL of its outcome; None: in the job's directory.
        clonable: Of a trial: others may go on from its checkpoints.
        backend: Which one looks after it, where that isn't this machine.
        home: Of a job elsewhere: the URL of its folder in the object store.
        sweep: Of a sweep that is one job: what its machine is told of it.
        back: Of such a sweep: how the outcome of each part comes back.
        tags: The user's words for it.
        notes: The user's line about it.
        further: What else the file holds, from another release or a launcher of its own.
    """

    id: str
    recipe: str
    overrides: Sequence[str]
    cwd: str
    created: float
    parent: ParentVersion | None = None
    starts_from_newest: bool = False
    publish: bool = False
    unread: bool = False
    already: int | None = None
    nothing_new: str | None = None
    trial: int | None = None
    candidate: str | None = None
    clonable: bool = False
    backend: str | None = None
    home: str | None = None
    sweep: dict[str, Any] | None = None
    back: Sequence[Mapping[str, Any]] | None = None
    tags: Sequence[str] | None = None
    notes: str | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Any) -> "JobRecord":
        """From what `to_json` gave, in this release or an earlier one.

        Raises:
            ValueError: A key is missing, or its value is of another kind; in one line.
        """
        need(isinstance(content, dict), f"it is {shown(content)}, expected a mapping")
        given = {key: required(content, key, check) for key, check in REQUIRED.items()}
        # Null is what an optional key is without.
        there = {key: content[key] for key in OPTIONAL if content.get(key) is not None}
        given |= {key: OPTIONAL[key](value, key) for key, value in there.items()}

        parent = content.get("parent")
        if parent is not None:
            parent = ParentVersion.from_json(parent)

        known = {*REQUIRED, *OPTIONAL, "parent"}
        return cls(
            **given,
            parent=parent,
            starts_from_newest="parent" not in content,
            further={key: value for key, value in content.items() if key not in known},
        )

    def to_json(self) -> dict[str, Any]:
        """As `job.json` holds it: of the optional keys, what there is."""
        found: dict[str, Any] = {"id": self.id, "recipe": self.recipe}
        if not self.starts_from_newest:
            found["parent"] = None
        if self.parent is not None:
            found["parent"] = self.parent.to_json()

        found |= {"overrides": list(self.overrides), "cwd": self.cwd, "created": self.created}
        found["publish"] = self.publish

        for key in (key for key in OPTIONAL if key not in found):
            value = getattr(self, key)
            if value is not None and value is not False and value != []:
                found[key] = value

        return found | dict(self.further)


# The keys of job.json, and what their values must be.
REQUIRED: dict[str, Check] = {
    "id": string,
    "recipe": string,
    "overrides": strings,
    "cwd": string,
    "created": number,
}
OPTIONAL: dict[str, Check] = {
    "publish": truth,
    "unread": truth,
    "already": whole,
    "nothing_new": string,
    "trial": whole,
    "candidate": string,
    "clonable": truth,
    "backend": string,
    "home": string,
    "sweep": object_of,
    "back": objects,
    "tags": strings,
    "notes": string,
}
