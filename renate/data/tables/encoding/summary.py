"""What an encoder made of a table, in a few lines for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from renate.errors import and_more

PLURAL = {
    "number": "numbers",
    "boolean": "booleans",
    "category": "categories",
    "date": "dates",
    "text": "texts",
}
NAMED = 6  # columns of a kind that are named


def summary_of(columns: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return at most three lines: what there is, what is missing, and where categories are cut.

    Args:
        columns: As `TableEncoder.state` has them.
    """
    counted = []
    for kind, plural in PLURAL.items():
        found = [column for column in columns if column["kind"] == kind]
        if found:
            counted.append(f"{len(found)} {kind if len(found) == 1 else plural}{_details(found)}")

    lines = [f"inputs: {', '.join(counted)}"]
    flagged = [column["name"] for column in columns if column["flagged"]]
    if flagged:
        lines.append(f"inputs: missing values are flagged in {_listed(flagged)}")

    cut = [column["name"] for column in columns if column.get("others")]
    if cut:
        lines.append(f"inputs: rarer categories are 'other' in {_listed(cut)}")

    return lines


def _details(columns: Sequence[Mapping[str, Any]]) -> str:
    kind = columns[0]["kind"]
    gone = sum(column["flagged"] for column in columns)
    if kind == "category":
        known = sum(len(column["values"]) for column in columns)
        outputs = sum(column["parts"] for column in columns)
        if outputs:
            return f" ({outputs:,} one-hot columns)"
        return f" ({known:,} embedded values)"

    said = []
    if kind == "number" and any(column["std"] != 1 or column["mean"] for column in columns):
        said.append("standardised")
    if gone:
        said.append(f"{gone} with missing values")

    return f" ({', '.join(said)})" if said else ""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + and_more(len(names) - NAMED)
