"""What a gate said of a version, as its manifest has it."""

from dataclasses import asdict, dataclass, field
from typing import Any

from renate.errors import CorruptError
from renate.state.manifest import Manifest
from renate.state.strict import items, mapping, named, need, number, shown, text, whole

PROMOTE = "promote"
HOLD = "hold"
REJECT = "reject"
OUTCOMES = (PROMOTE, HOLD, REJECT)
KEY = "gate"  # of a lineage
MOST = 200  # reasons, and numbers


@dataclass(frozen=True)
class Verdict:
    """Whether a version may be used.

    Attributes:
        outcome: `promote`, `hold` or `reject`.
        against: The version that it was compared with; None where there was none.
        move: The last move of the alias `current` that was known then, 0 for none: a promotion
            holds only where nobody has moved it since.
        reasons: In words, a line each.
        measured: What was compared: name -> number.
    """

    outcome: str
    against: int | None
    move: int
    reasons: tuple[str, ...] = ()
    measured: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a lineage holds it."""
        return {**asdict(self), "reasons": list(self.reasons)}


def verdict_of(manifest: Manifest, url: str) -> Verdict | None:
    """What the gate said of a version; None where none was asked.

    Raises:
        CorruptError: It isn't what an update writes.
    """
    found = manifest.lineage.get(KEY)
    if found is None:
        return None

    try:
        mapping(found, KEY, ("outcome", "against", "move"), ("reasons", "measured"))
        outcome = found["outcome"]
        need(outcome in OUTCOMES, f"{KEY}.outcome is {shown(outcome)}")
        against = found["against"]
        if against is not None:
            against = whole(against, f"{KEY}.against", 1)

        return Verdict(
            outcome,
            against,
            whole(found["move"], f"{KEY}.move"),
            tuple(items(found.get("reasons", []), f"{KEY}.reasons", text, MOST)),
            named(found.get("measured", {}), f"{KEY}.measured", number, MOST),
        )
    except ValueError as error:
        raise CorruptError(
            f"{url}: {manifest}: lineage.{error}; bring its manifest back from a copy"
        ) from error
