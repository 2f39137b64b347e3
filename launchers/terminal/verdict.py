"""What a command says of the gate, of drift, and of whether an update is due."""

from collections.abc import Iterator, Mapping
from typing import Any

from renate.jobs.records import JobResult

SHOWN = 10  # columns that have moved


def gated(result: JobResult) -> str:
    """What the gate said of a version, behind it; nothing where none was asked."""
    if result.gate is None:
        return ""
    if result.gate.get("outcome") == "promote":
        return ", promoted by its gate"

    said = {"hold": "held", "reject": "rejected"}.get(str(result.gate.get("outcome")), "unknown")
    against = result.gate.get("against")
    used = f"version {against} stays in use" if against else "no version is in use"
    return f", {said} by its gate: {used}"


def decided(result: JobResult) -> Iterator[str]:
    """Whether new data have drifted, and whether an update is due: lines."""
    if result.drift is not None:
        yield from _of_drift(result.drift)
    if result.decision is None:
        return

    yield f"decision    {result.decision['decision']}"
    for reason in result.decision["reasons"]:
        yield f"            {reason}"


def _of_drift(drift: Mapping[str, Any]) -> Iterator[str]:
    before, now = drift["examples"]
    found = "none found"
    if drift["moved"]:
        found = f"found, effect {drift['effect']:.3f}"
    yield (
        f"drift       {found}; p {drift['p_value']:.3g} of {len(drift['tests'])} tests together, "
        f"level {drift['level']:g}; {now} new examples, {before} of the reference"
    )
    for test in drift["tests"][:SHOWN]:
        if test["corrected"] < drift["level"]:
            yield (
                f"            {test['about']}: effect {test['effect']:.3f}, "
                f"p {test['corrected']:.3g} ({test['test']})"
            )
    for note in [*drift["notes"], *drift["skipped"]]:
        yield f"            {note}"
