"""Which version a job starts from, as its launcher tells it."""

from dataclasses import dataclass
from typing import Any

from renate.state.strict import need, required, shown, string, whole


@dataclass(frozen=True)
class ParentVersion:
    """The version that a job, or a sweep, starts from.

    Attributes:
        url: The state that holds it, as the launcher saw it.
        version: Its number.
        sha256: Of its manifest.
        newest: The newest version there was then, where that is another one.
        move: The last move of the alias `current` that was known then; None where there was none.
    """

    url: str
    version: int
    sha256: str
    newest: int | None = None
    move: int | None = None

    @classmethod
    def from_json(cls, content: Any) -> "ParentVersion":
        """From what `to_json` gave. Raises ValueError, which names the key."""
        need(isinstance(content, dict), f"parent is {shown(content)}, expected a mapping or null")
        url = required(content, "url", string, "parent.url")
        version = required(content, "version", whole, "parent.version")
        sha256 = required(content, "sha256", string, "parent.sha256")
        told = {
            key: whole(content[key], f"parent.{key}")
            for key in ("newest", "move")
            if content.get(key) is not None
        }
        return cls(url, version, sha256, **told)

    def to_json(self) -> dict[str, Any]:
        """As `job.json` and `sweep.json` hold it."""
        found = {"url": self.url, "version": self.version, "sha256": self.sha256}
        told = {"newest": self.newest, "move": self.move}
        return found | {key: value for key, value in told.items() if value is not None}
