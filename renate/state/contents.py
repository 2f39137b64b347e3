"""The files of a version, checked before anything is made of them: a state may come from a
stranger.

Each function takes a file's bytes, and for messages its name and where it is; it returns plain
values of the kinds that an update writes, or raises. Nothing here imports torch.
"""

import csv
import io
import math
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from renate.errors import CorruptError
from renate.state.strict import (
    items,
    mapping,
    named,
    need,
    node,
    number,
    parse,
    shown,
    text,
    whole,
)

Raw = bytes | memoryview
Shapes = dict[str, tuple[str, list[int]]]

LABELS = 1_000_000
ROWS = 2**31  # of a memory or of a segment: the index holds int32
SIZES = ("input_shape", "in_channels", "in_features")  # of a model; what the data answers
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
FIXED = (
    "update",
    "sweep",
    "trial",
    "source",
    "status",
    "step",
    "metric",
    "mode",
    "value",
    "seconds",
    "seed",
    "error",
)
HEADER = 50_000_000  # bytes
# How constructors call the number of a model's outputs.
OUTPUTS = ("num_classes", "num_labels", "num_outputs")


def _checked(read: Callable[[Raw], Any], raw: Raw, where: str) -> Any:
    try:
        return read(raw)
    except (ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or ["too deep"])[0]
        about = reason.removeprefix("it") if reason.startswith("it ") else f": {reason}"
        raise CorruptError(
            f"{where}{about}; use a state that renate wrote, or bring it back from a copy"
        ) from error


def deploy_from(raw: Raw, where: str) -> dict[str, Any]:
    """Read model.json: model, labels, transform and updater; `inputs` and `split` as they stand,
    for their readers.

    Raises:
        CorruptError: It isn't what an update writes.
    """

    def read(data: Raw) -> dict[str, Any]:
        found = mapping(
            parse(data),
            "it",
            ("model", "labels", "transform", "updater"),
            ("inputs", "split", "problem"),
        )
        node(found["model"], "model")
        labels = labels_from(found["labels"])

        for name in OUTPUTS:
            if found["model"].get(name) is not None:
                count = whole(found["model"][name], f"model.{name}")
                need(
                    count == len(labels),
                    f"model.{name} is {count}, but there are {len(labels)} labels",
                )

        if "problem" in found:
            node(found["problem"], "problem")
            need(isinstance(found["problem"].get("fitted"), dict), "problem.fitted is no mapping")

        for side in ("inputs", "targets"):
            sides = mapping(found["transform"], "transform", ("inputs", "targets"))
            items(sides[side], f"transform.{side}", node, 100)

        if found["updater"] is not None:
            node(found["updater"], "updater")

        for name in ("inputs", "split"):
            need(
                found.get(name) is None or isinstance(found[name], dict),
                f"{name} is {shown(found.get(name))}, expected a mapping",
            )

        return found

    found: dict[str, Any] = _checked(read, raw, where)
    return found


def labels_from(value: Any) -> list[Any]:
    """Return labels: texts or whole numbers, one kind, each once. Raises ValueError."""
    labels: list[Any] = items(value, "labels", lambda label, key: label, LABELS)
    kinds = {type(label) for label in labels}
    need(
        kinds <= {int} or kinds <= {str},
        "labels are of several kinds, expected texts or whole numbers alone",
    )
    need(len(set(labels)) == len(labels), "labels hold one twice")

    for index, label in enumerate(labels):
        if isinstance(label, str):
            need(
                len(label) <= 10_000,
                f"labels[{index}] has {len(label)} characters, expected at most 10000",
            )
        else:
            whole(label, f"labels[{index}]", -(2**63))

    return labels


def sizes_from(model: dict[str, Any]) -> dict[str, Any]:
    """The sizes of the inputs in a saved model's config, which a model of the same kind is to be
    built with again.

    Nothing else of it may reach a job's own config, whose objects are built without a list of what
    is allowed.

    Raises:
        ValueError: One is no size.
    """
    found: dict[str, Any] = {}
    for name in SIZES:
        value = model.get(name)
        if isinstance(value, list):
            found[name] = items(
                value, f"model.{name}", lambda size, key: whole(size, key, 0, ROWS), 8
            )
        elif value is not None:
            found[name] = whole(value, f"model.{name}", 0, ROWS)

    return found


def metrics_from(raw: Raw, where: str) -> dict[str, Any]:
    """Read metrics.json: before and after (test -> metric -> number), counts, value.

    Raises:
        CorruptError: It isn't what an update writes.
    """

    def scores(value: Any, key: str) -> dict[str, Any]:
        return named(value, key, lambda part, name: named(part, name, number, 1000), 100_000)

    def read(data: Raw) -> dict[str, Any]:
        found = mapping(parse(data), "it", ("after",), ("before", "counts", "value"))
        value = found.get("value")
        return {
            "before": scores(found.get("before", {}), "before"),
            "after": scores(found["after"], "after"),
            "counts": named(found.get("counts", {}), "counts", number, 100),
            "value": None if value is None else number(value, "value"),
        }

    found: dict[str, Any] = _checked(read, raw, where)
    return found


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

    found: dict[str, Any] = _checked(read, raw, where)
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


def history_from(raw: Raw, where: str) -> list[dict[str, str]]:
    """Read hpo.csv: one row per trial, by column.

    Raises:
        CorruptError: It isn't what a tuner writes.
    """

    def read(data: Raw) -> list[dict[str, str]]:
        try:
            lines = list(csv.reader(io.StringIO(bytes(data).decode(), newline="")))
        except csv.Error as error:
            raise ValueError(f"it is no CSV ({error})") from error

        need(
            bool(lines) and set(FIXED) <= set(lines[0]), f"its first line isn't {','.join(FIXED)},…"
        )
        names = [text(name, "a column's name", 300) for name in lines[0]]
        need(len(set(names)) == len(names), "two columns have one name")
        return [
            _trial(dict(zip(names, line, strict=False)), line, names, n)
            for n, line in enumerate(lines[1:], 2)
        ]

    found: list[dict[str, str]] = _checked(read, raw, where)
    return found


def _trial(row: dict[str, str], line: list[str], names: list[str], at: int) -> dict[str, str]:
    need(len(line) == len(names), f"line {at} has {len(line)} fields, expected {len(names)}")
    for name in ("update", "trial", "step"):
        need(
            re.fullmatch(r"[0-9]{1,12}", row[name]) is not None,
            f"line {at}: {name} is '{shown(row[name])}'",
        )

    for name in ("value", "seconds"):
        if row[name]:
            try:
                float(row[name])
            except ValueError:
                raise ValueError(
                    f"line {at}: {name} is '{shown(row[name])}', expected a number"
                ) from None

    return row


def check_text(raw: Raw, where: str) -> None:
    """Check that a file which is kept for people to read, config.yaml, is text; it is never
    evaluated again.

    Raises:
        CorruptError: It is no UTF-8.
    """
    _checked(lambda data: bytes(data).decode(), raw, where)


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
