"""What a table's columns are: their kinds, and which of them are only an index that their writer
kept.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from renate.data.tables.columns import is_image, is_text
from renate.errors import DataError, nearest

# What pandas calls an index of no name: in a parquet file, and in a CSV that was read and written
# once more.
UNNAMED = re.compile(r"__index_level_\d+__|Unnamed: 0(\.\d+)*")


class OtherKindError(DataError):
    """A column that is of another kind than expected.

    Attributes:
        name: Of the column.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


def kind_of(kind: Any) -> str:
    """The kind of an Arrow type: `number`, `boolean`, `image`, `text`, `date`, `instant` (a date
    with a time zone), or Arrow's own name of another.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_boolean(kind):
        return "boolean"
    if is_image(kind):
        return "image"
    if pa.types.is_date(kind):
        return "date"
    if pa.types.is_timestamp(kind):
        return "date" if kind.tz is None else "instant"

    return "text" if is_text(kind) else str(kind)


def target_kind_of(kind: Any) -> str | None:
    """The kind of a target's Arrow type: `integer` (of any number), `boolean`, `text` or `list`;
    None for another.
    """
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return "list"

    found = kind_of(kind)
    return {"number": "integer", "boolean": "boolean", "text": "text"}.get(found)


def index_columns(schema: Any) -> list[str]:
    """The columns of an Arrow schema that the table's writer calls an index: by pandas' metadata,
    or by a name that it gives.
    """
    names = schema.names
    found = [name for name in names if UNNAMED.fullmatch(name)]
    if names and names[0] == "":
        found.append("")

    metadata = schema.metadata or {}
    try:
        listed = json.loads(metadata.get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        listed = []

    if isinstance(listed, list):
        found += [name for name in listed if isinstance(name, str) and name in names]

    return list(dict.fromkeys(found))


def match_columns(
    file: str, kinds: Mapping[str, str], wanted: Mapping[str, str], *, origin: str, surplus: bool
) -> None:
    """Check a file's columns by name and kind.

    Args:
        file: For messages.
        kinds: name -> kind of the columns that could be inputs.
        wanted: name -> kind of the inputs, as `origin` has them.
        origin: `the state`, or the first file.
        surplus: Whether other columns may be there.

    Raises:
        DataError: A column that is missing or left over.
        OtherKindError: One that is of another kind.
    """
    left = [name for name in kinds if name not in wanted]
    for name in wanted:
        if name not in kinds:
            hint = nearest(name, left) or _only(left, [n for n in wanted if n not in kinds])
            hint = hint or f" (its columns: {', '.join(list(kinds)[:10])})"
            raise DataError(f"{file}: no column '{name}', which {origin} has{hint}")

    if left and not surplus:
        raise DataError(
            f"{file}: column '{left[0]}' is none of {origin}'s inputs: take it out, or name the "
            f"inputs, data.inputs=[{','.join(list(wanted)[:10])}]"
        )

    for name, kind in wanted.items():
        # A column without a single value is of any kind
        if kinds[name] not in (kind, "null"):
            raise OtherKindError(
                name,
                f"{file}: column '{name}' is {kinds[name]}, in {origin} it is {kind}: convert the "
                "file's column to that",
            )


def _only(left: Sequence[str], lacking: Sequence[str]) -> str:
    """What a single column may be called now, however unlike its name."""
    if len(left) == len(lacking) == 1:
        return f", did you mean '{left[0]}'?"
    return ""
