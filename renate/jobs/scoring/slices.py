"""Named slices of new data: the examples that have a value in a column of categories."""

from collections.abc import Mapping, Sequence
from typing import Any

from renate.data.batch import Columns
from renate.data.kept.encoders import Encoder, KeptEncoder
from renate.data.tables.encoding.categories import KNOWN
from renate.errors import ConfigError, nearest
from renate.gate.answers import Flags
from renate.shift.views import CATEGORY, categories_of, encoded_columns

SLICES = "slices"  # the group's key
SHOWN = 10  # columns or values that a message names


def asked_slices(node: Any) -> dict[str, list[str]]:
    """Return column -> values, as the config says. Raises ConfigError."""
    fits = isinstance(node, Mapping) and all(
        isinstance(values, Sequence) and not isinstance(values, str) and len(values)
        for values in node.values()
    )
    if not fits:
        raise ConfigError(f"gate.{SLICES}={node}: expected column -> values, {{carrier: [AA, UA]}}")
    return {str(column): [str(value) for value in values] for column, values in node.items()}


def slices_of(
    asked: Mapping[str, Sequence[str]], columns: Columns, encoder: Encoder | None
) -> dict[str, Flags]:
    """Return which examples each slice has, by its name: `carrier=AA`.

    Args:
        asked: Column -> values.
        columns: Of N encoded examples.
        encoder: What has encoded them.

    Raises:
        ConfigError: A column isn't one of categories, or has no such value.
    """
    if not asked:
        return {}

    kept = KeptEncoder.of(encoder) if encoder is not None else None
    encoded = encoded_columns(kept)
    known = {each["name"]: each["values"] for each in encoded if each["kind"] == CATEGORY}
    codes = categories_of(columns, encoded) if known else {}
    found = {}
    for column, values in asked.items():
        if column not in known:
            named = ", ".join(list(known)[:SHOWN]) or "none"
            raise ConfigError(
                f"gate.{SLICES}.{column}: expected a column of categories among the "
                f"inputs{nearest(column, list(known))} ({named})"
            )
        for value in values:
            if value not in known[column]:
                named = ", ".join(known[column][:SHOWN])
                raise ConfigError(
                    f"gate.{SLICES}.{column}: the state knows no {value!r}"
                    f"{nearest(value, known[column])} ({named})"
                )
            found[f"{column}={value}"] = codes[column] == KNOWN + known[column].index(value)

    return found
