"""What a table's columns are: their kinds, and which of them are only an index that their writer
kept.
"""

import json
import re
from typing import Any

from renate.data.tables.columns import is_image, is_text

# What pandas calls an index of no name: in a parquet file, and in a CSV that was read and written
# once more.
UNNAMED = re.compile(r"__index_level_\d+__|Unnamed: 0(\.\d+)*")


def kind_of(kind: Any) -> str:
    """The kind of an Arrow type: `number`, `boolean`, `image`, `text`, or Arrow's own name of
    another.
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


def index_columns(table: Any) -> list[str]:
    """The columns that the table's writer calls an index: by pandas' metadata, or by a name that
    it gives.
    """
    names = table.column_names
    found = [name for name in names if UNNAMED.fullmatch(name)]
    if names and names[0] == "":
        found.append("")

    metadata = table.schema.metadata or {}
    try:
        listed = json.loads(metadata.get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        listed = []

    if isinstance(listed, list):
        found += [name for name in listed if isinstance(name, str) and name in names]

    return list(dict.fromkeys(found))
