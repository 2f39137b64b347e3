"""A verdict of the gate, for a manifest and for people."""

from collections.abc import Iterator, Sequence
from typing import Any

from renate.state.aliases.standing import standing
from renate.state.aliases.verdict import HOLD, KEY, PROMOTE, Verdict
from renate.state.versions import State

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


def as_it_stands(gate: dict[str, Any], to: State, version: int | None) -> dict[str, Any]:
    """What a job says of its verdict once its version is published: a promotion doesn't hold where
    somebody has moved `current` since the comparison.
    """
    if version is None or not gate or gate[KEY]["outcome"] != PROMOTE:
        return gate

    used = standing(to).current
    if used is not None and used.version == version:
        return gate

    why = "current was moved, or another version published, while this one was trained"
    return {KEY: gate[KEY] | {"outcome": HOLD, "reasons": [why, *gate[KEY]["reasons"]]}}


def told(verdict: Verdict) -> Iterator[str]:
    """A verdict for a terminal: lines."""
    against = f", compared with version {verdict.against}" if verdict.against else ""
    yield f"gate: {verdict.outcome}{against}"
    for reason in verdict.reasons:
        yield f"gate: {reason}"
