"""memory/meta.json, checked before anything is made of it: a state may come from a stranger."""

import re
from typing import Any

import torch

from renate.data.model_inputs import names_of
from renate.memory.store.columns import Kind
from renate.state.contents import checked
from renate.state.strict import items, mapping, named, need, number, parse, shown, text, whole
from renate.state.tensors import DTYPES, ROWS, Raw


def memory_from(raw: Raw, where: str) -> dict[str, Any]:
    """Read memory/meta.json; `segments` has whole numbers as keys, `schema` has a `Kind` of each
    column.

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
        names = found["schema"].keys()
        need(
            not size or ("targets" in names and bool(names_of(found["schema"]))),
            "schema lacks inputs or targets",
        )
        found["schema"] = {name: _kind(entry) for name, entry in found["schema"].items()}
        following = whole(found["next_segment"], "next_segment", 0, 10**9)
        found["segments"] = _segments(found["segments"], following)

        return found

    found: dict[str, Any] = checked(read, raw, where)
    return found


def _column(value: Any, key: str) -> None:
    need(
        isinstance(value, list) and len(value) in (2, 3),
        f"{key} is {shown(value)}, expected [dtype, shape] or [dtype, shape, padding]",
    )
    dtype, shape = value[:2]
    if len(value) == 3 and not isinstance(value[2], bool):
        number(value[2], f"{key}: padding")
    need(isinstance(dtype, str) and dtype in DTYPES, f"{key}: no column has dtype {shown(dtype)}")
    items(shape, key, lambda size, name: whole(size, name, 0, ROWS), 8)


def _kind(entry: list[Any]) -> Kind:
    padding = entry[2] if len(entry) == 3 else None
    return Kind(getattr(torch, entry[0]), tuple(entry[1]), padding)


def kind_to_json(kind: Kind) -> list[Any]:
    """Return [dtype, shape] of a column as JSON has it; of a ragged one also its padding."""
    plain = [str(kind.dtype).removeprefix("torch."), list(kind.shape)]
    return plain if kind.padding is None else [*plain, kind.padding]


def _segments(value: Any, following: int) -> dict[int, int]:
    rows = named(value, "segments", lambda part, key: whole(part, key, 1, ROWS), 100_000)
    for name in rows:
        fits = re.fullmatch(r"0|[1-9][0-9]{0,8}", name) is not None and int(name) < following
        need(fits, f"segments: '{shown(name)}' is no number of a segment below {following}")
    return {int(name): count for name, count in rows.items()}
