"""A verdict of the gate, for a manifest and for people."""

from collections.abc import Iterator, Sequence
from typing import Any

from renate.state.aliases.verdict import KEY, Verdict

LONGEST = 300  # characters of a reason, or of what was measured
SHOWN = 20  # reasons


def one_line(text: str) -> str:
    """A text that a manifest keeps: labels in it may be anything."""
    printable = "".join(letter if letter.isprintable() else "�" for letter in text)
    return printable if len(printable) <= LONGEST else f"{printable[: LONGEST - 1]}…"


def lines_of(reasons: Sequence[str]) -> tuple[str, ...]:
    """Reasons as a manifest keeps them, not too many."""
    reasons = [one_line(reason) for reason in reasons]
    if len(reasons) <= SHOWN:
        return tuple(reasons)
    return (*reasons[:SHOWN], f"and {len(reasons) - SHOWN} more")


def gate_of(verdict: Verdict | None) -> dict[str, Any]:
    """What a lineage, and a job's result, hold of a verdict."""
    return {} if verdict is None else {KEY: verdict.to_json()}


def told(verdict: Verdict) -> Iterator[str]:
    """A verdict for a terminal: lines."""
    against = f", compared with version {verdict.against}" if verdict.against else ""
    yield f"gate: {verdict.outcome}{against}"
    for reason in verdict.reasons:
        yield f"gate: {reason}"
