"""Headers of safetensors files, checked before anything is made of them."""

import math
from itertools import pairwise
from typing import Any

from renate.errors import CorruptError
from renate.state.strict import items, mapping, named, need, parse, shown, text, whole

Raw = bytes | memoryview
Shapes = dict[str, tuple[str, list[int]]]

ROWS = 2**31  # of a memory or of a segment: the index holds int32
HEADER = 50_000_000  # bytes
BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
}
DTYPES = {  # of a memory's columns: torch's name -> safetensors' name
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
}


def shapes_from(raw: Raw, where: str) -> Shapes:
    """Read the header of a safetensors file: name -> (dtype, shape); its data are as long as that
    takes.

    Raises:
        CorruptError: The header lies, or it is another kind of file.
    """
    try:
        return _header(raw)
    except (ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise CorruptError(f"{where} is no safetensors file: {reason}") from error


def _header(raw: Raw) -> Shapes:
    need(len(raw) >= 8, f"it has {len(raw)} bytes")
    length = int.from_bytes(raw[:8], "little")
    need(length <= min(HEADER, len(raw) - 8), f"a header of {length} bytes in a file of {len(raw)}")
    header = parse(raw[8 : 8 + length])
    need(isinstance(header, dict), "its header is no mapping")
    named(header.pop("__metadata__", None) or {}, "__metadata__", text, 1000)
    found: Shapes = {}
    spans: list[tuple[int, int]] = []

    for name, entry in header.items():
        text(name, "a tensor's name", 1000)
        mapping(entry, f"tensor '{name}'", ("dtype", "shape", "data_offsets"))
        dtype = entry["dtype"]
        need(isinstance(dtype, str) and dtype in BITS, f"tensor '{name}' has dtype {shown(dtype)}")
        shape = items(entry["shape"], f"tensor '{name}'", lambda size, key: whole(size, key), 16)
        begin, end = _offsets(entry["data_offsets"], name)
        need(
            (end - begin) * 8 == math.prod(shape) * BITS[dtype],
            f"tensor '{name}' isn't as long as its shape",
        )
        found[name] = dtype, shape
        spans.append((begin, end))

    spans.sort()
    joined = all(end == begin for (_, end), (begin, _) in pairwise(spans))
    begins, ends = (spans[0][0], spans[-1][1]) if spans else (0, 0)
    need(
        joined and begins == 0 and ends == len(raw) - 8 - length,
        "its tensors don't fill it without gaps",
    )

    return found


def _offsets(value: Any, name: str) -> tuple[int, int]:
    need(isinstance(value, list) and len(value) == 2, f"tensor '{name}' has no data_offsets")
    begin, end = (whole(offset, f"tensor '{name}'") for offset in value)
    need(begin <= end, f"tensor '{name}' ends before it begins")
    return begin, end


def check_shapes(raw: Raw, where: str, expected: Shapes) -> None:
    """Check that a safetensors file holds exactly these tensors.

    Raises:
        CorruptError: One is missing, left over, or of another dtype or shape.
    """
    found = shapes_from(raw, where)
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            has = found.get(name, "absent")
            wants = expected.get(name, "none")
            raise CorruptError(
                f"{where}: tensor '{name}' is {has}, expected {wants}; bring it back from a copy"
            )
