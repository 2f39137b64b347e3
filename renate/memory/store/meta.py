"""memory/meta.json, checked before anything is made of it: a state may come from a stranger."""

import re
from typing import Any

from renate.state.contents import checked
from renate.state.strict import items, mapping, named, need, parse, shown, text, whole
from renate.state.tensors import DTYPES, ROWS, Raw


def memory_from(raw: Raw, where: str) -> dict[str, Any]:
    """Read memory/meta.json; `segments` has whole numbers as keys.

    Raises:
        CorruptError: It isn't what a memory writes.
    """
    keys = (
        "policy",
        "capacity",
        "size",
        "count",
        "draws",
        "seed",
        "schema",
        "segments",
        "next_segment",
    )

    def read(data: Raw) -> dict[str, Any]:
        found = mapping(parse(data), "it", keys)
        text(found["policy"], "policy", 100)
        size = whole(found["size"], "size", 0, ROWS)
        count = whole(found["count"], "count", 0, 2**62)
        need(size <= count, f"size is {size}, but only {count} examples were ever offered")
        if found["capacity"] is not None:
            capacity = whole(found["capacity"], "capacity", 1)
            need(size <= capacity, f"size is {size}, capacity {capacity}")

        whole(found["draws"], "draws", 0, 2**62)
        whole(found["seed"], "seed", -(2**63), 2**64)
        named(found["schema"], "schema", _column, 100)
        need(
            not size or {"inputs", "targets"} <= found["schema"].keys(),
            "schema lacks inputs or targets",
        )
        following = whole(found["next_segment"], "next_segment", 0, 10**9)
        found["segments"] = _segments(found["segments"], following)

        return found

    found: dict[str, Any] = checked(read, raw, where)
    return found


def _column(value: Any, key: str) -> None:
    need(
        isinstance(value, list) and len(value) == 2,
        f"{key} is {shown(value)}, expected [dtype, shape]",
    )
    dtype, shape = value
    need(isinstance(dtype, str) and dtype in DTYPES, f"{key}: no column has dtype {shown(dtype)}")
    items(shape, key, lambda size, name: whole(size, name, 0, ROWS), 8)


def _segments(value: Any, following: int) -> dict[int, int]:
    rows = named(value, "segments", lambda part, key: whole(part, key, 1, ROWS), 100_000)
    for name in rows:
        fits = re.fullmatch(r"0|[1-9][0-9]{0,8}", name) is not None and int(name) < following
        need(fits, f"segments: '{shown(name)}' is no number of a segment below {following}")
    return {int(name): count for name, count in rows.items()}
