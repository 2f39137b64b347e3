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
    """

    url: str
    version: int
    sha256: str

    @classmethod
    def from_json(cls, content: Any) -> "ParentVersion":
        """From what `to_json` gave. Raises ValueError, which names the key."""
        need(isinstance(content, dict), f"parent is {shown(content)}, expected a mapping or null")
        url = required(content, "url", string, "parent.url")
        version = required(content, "version", whole, "parent.version")
        return cls(url, version, required(content, "sha256", string, "parent.sha256"))

    def to_json(self) -> dict[str, Any]:
        """As `job.json` and `sweep.json` hold it."""
        return {"url": self.url, "version": self.version, "sha256": self.sha256}
