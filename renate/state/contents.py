"""What the files of a version may hold. A state may come from a stranger: all of it is data, and odd data are refused.

Everything that is read from a state passes through here before anything is made of it: JSON by strict schemas, the
memory's index against its segments. Tensors are read by safetensors, which checks its header against the file.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from renate.errors import StateError

TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
IDENTIFIER = re.compile(r"[A-Za-z_]\w{0,99}")
DTYPES = ("uint8", "int8", "int16", "int32", "int64", "bool", "float16", "bfloat16", "float32", "float64")
# What the model's config may have been left to the data to say, and the state remembers.
SIZES = ("input_shape", "in_channels", "in_features", "num_classes")
LARGEST = 64 << 20  # bytes of a JSON file
DEEPEST, MOST, LONGEST = 12, 1_000_000, 100_000  # levels, entries of a list or mapping, characters of a text
WORD = 1 << 63

Json = dict[str, Any]


def parse(raw: bytes | memoryview, where: str) -> Any:
    """Read JSON that every reader would read alike: no NaN, no number beyond a float's range, nothing endless.

    Raises:
        StateError: It is something else.
    """
    if len(raw) > LARGEST:
        raise StateError(f"{where} has {len(raw):,} bytes, more than an update writes")
    try:
        found = json.loads(bytes(raw), parse_constant=_refuse, parse_float=_number)
    except (ValueError, RecursionError) as error:
        raise StateError(f"{where} is no JSON: {_line(error)}") from error
    return found


def model_json(raw: bytes | memoryview, where: str) -> Json:
    """Read model.json: `model`, `labels`, `transform`, `updater`, and what later versions add, `inputs` and `split`.

    Raises:
        StateError: It isn't what an update writes.
    """
    found: Json = parse(raw, where)
    known = ("model", "labels", "transform", "updater")
    if not isinstance(found, dict) or not set(known) <= found.keys():
        raise StateError(f"{where} lacks what a model is built from: was this state made by renate?")
    with _told(where):
        _need(found.keys() <= {*known, "inputs", "split"}, f"it has an entry {sorted(found)[0]!r:.60} too many")
        _labels(found["labels"])
        _model(found["model"], len(found["labels"]))
        _mapping(found["transform"], ("inputs", "targets"), "transform")
        for side in ("inputs", "targets"):
            for node in _list(found["transform"][side], f"transform.{side}"):
                _node(node, f"transform.{side}")
        if found["updater"] is not None:
            _node(found["updater"], "updater")
        for name in ("inputs", "split"):
            _need(found.get(name) is None or isinstance(found[name], dict), f"{name} is no mapping")
    return found


def metrics_json(raw: bytes | memoryview, where: str) -> Json:
    """Read metrics.json: scores `before` and `after` by test and metric, `counts`, and the objective's `value`.

    Raises:
        StateError: It isn't what an update writes.
    """
    found: Json = parse(raw, where)
    with _told(where):
        _need(isinstance(found, dict), "it is no mapping")
        _need(found.keys() <= {"before", "after", "counts", "value"} and "after" in found, "its entries are others")
        for part in ("before", "after"):
            for name, scores in _items(found.get(part, {}), part):
                for metric, value in _items(scores, f"{part}.{name}"):
                    _need(_is_number(value), f"{part}: {metric!r:.60} of {name!r:.60} is {value!r:.60}, no number")
        for name, value in _items(found.get("counts", {}), "counts"):
            _need(_is_number(value), f"counts: {name!r:.60} is {value!r:.60}, no number")
        _need(found.get("value") is None or _is_number(found["value"]), "value is no number")
    return {"before": {}, "counts": {}, "value": None} | found


def memory_json(raw: bytes | memoryview, where: str) -> Json:
    """Read memory/meta.json.

    Raises:
        StateError: It isn't what a memory writes.
    """
    found: Json = parse(raw, where)
    keys = ("policy", "capacity", "size", "count", "draws", "seed", "schema", "segments", "next_segment")
    with _told(where):
        _mapping(found, keys, "the file")
        policy = found["policy"]
        _need(isinstance(policy, str) and IDENTIFIER.fullmatch(policy), f"policy is {policy!r:.60}")
        for key in ("size", "count", "draws", "seed", "next_segment"):
            _need(_is_whole(found[key]), f"{key} is {found[key]!r:.60}")
        capacity, size = found["capacity"], found["size"]
        _need(capacity is None or (_is_whole(capacity) and capacity >= max(1, size)), f"capacity is {capacity!r:.60}")
        _need(size <= found["count"], f"it keeps {size} of {found['count']} examples")
        for name, column in _items(found["schema"], "schema"):
            _need(name.isprintable() and len(name) <= 200, f"a column is called {name!r:.60}")
            _need(isinstance(column, list) and len(column) == 2, f"schema.{name} is {column!r:.60}")
            _need(column[0] in DTYPES, f"schema.{name} is of {column[0]!r:.60}")
            _shape(column[1], f"schema.{name}")
        _need(not size or {"inputs", "targets"} <= found["schema"].keys(), "its schema has no inputs or no targets")
        if size:
            _need(found["schema"]["targets"] == ["int64", []], "its targets are no class indices")
        for number, rows in _items(found["segments"], "segments"):
            known = number.isascii() and number.isdecimal() and int(number) < found["next_segment"]
            _need(known and str(int(number)) == number and _is_whole(rows) and rows > 0, f"segment {number!r:.60}")
    return found


def memory_index(meta: Json, segment: Any, row: Any, key: Any, where: str) -> None:
    """Check which slot holds which row of which segment: every slot one that is there.

    Args:
        meta: What `memory_json` has read.
        segment: NumPy array, one number per slot.
        row: The same.
        key: The same, or None.
        where: For messages.

    Raises:
        StateError: A slot without a row, or numbers that aren't those of a memory.
    """
    rows = {int(number): count for number, count in meta["segments"].items()}
    with _told(where):
        for name, values, kind in (("segment", segment, "int32"), ("row", row, "int32"), ("key", key, "float64")):
            if values is None and name == "key":
                continue
            fits = values is not None and str(values.dtype) == kind and values.shape == (meta["size"],)
            _need(fits, f"{name} isn't one {kind} for each of {meta['size']} slots")
        for number in {int(n) for n in segment.tolist()}:
            _need(number in rows, f"segment {number} isn't there")
            own = row[segment == number]
            _need(int(own.min()) >= 0 and int(own.max()) < rows[number], f"a slot lies outside of segment {number}")
        _need(key is None or bool(((key > 0) & (key < 1)).all()), "a key isn't between 0 and 1")


def plain(value: Any, name: str, depth: int = 0) -> None:
    """Check that a value is null, a truth value, a number, text, or a list or mapping of such.

    Raises:
        ValueError: It isn't, or is too large or too deep.
    """
    _need(depth < DEEPEST, f"{name} is nested too deeply")
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int | float):
        _need(_is_number(value), f"{name} is {value!r:.60}")
    elif isinstance(value, str):
        _need(len(value) <= LONGEST, f"{name} is a text of {len(value)} characters")
    elif isinstance(value, list):
        for item in _list(value, name):
            plain(item, name, depth + 1)
    else:
        for key, item in _items(value, name):
            plain(item, f"{name}.{key}"[:200], depth + 1)


def _model(node: Any, labels: int) -> None:
    _node(node, "model")
    for key in SIZES:
        value = node.get(key)
        if value is None:
            continue
        if key == "input_shape":
            _shape(value, "model.input_shape")
        else:
            _need(_is_whole(value) and 0 < value < WORD, f"model.{key} is {value!r:.60}")
    if node.get("num_classes") is not None:
        _need(node["num_classes"] == labels, f"model.num_classes is {node['num_classes']}, there are {labels} labels")


def _labels(labels: Any) -> None:
    _list(labels, "labels")
    _need(labels, "there are no labels")
    kinds = {type(label) for label in labels}
    _need(kinds in ({int}, {str}), "labels are neither all integers nor all text")
    _need(len(set(labels)) == len(labels), "two labels are the same")
    for label in labels:
        _need(len(label) <= LONGEST if isinstance(label, str) else abs(label) <= WORD, "a label is too long")


def _node(node: Any, name: str) -> None:
    """An object of the config: its class, and values for its constructor."""
    _need(isinstance(node, dict), f"{name} is no mapping")
    target = node.get("_target_")
    _need(isinstance(target, str) and TARGET.fullmatch(target), f"{name}._target_ is {target!r:.60}")
    plain(node, name)
    for key in node:
        _need(IDENTIFIER.fullmatch(key), f"{name} has an argument {key!r:.60}")


def _shape(value: Any, name: str) -> None:
    fits = isinstance(value, list) and len(value) <= 8 and all(_is_whole(n) and n < 2**31 for n in value)
    _need(fits, f"{name} is {value!r:.60}, no shape")


def _mapping(found: Any, keys: Iterable[str], name: str) -> None:
    _need(isinstance(found, dict) and found.keys() == set(keys), f"{name} has other entries than an update writes")


def _items(found: Any, name: str) -> list[tuple[str, Any]]:
    _need(isinstance(found, Mapping) and len(found) <= MOST, f"{name:.60} is no mapping")
    for key in found:
        _need(isinstance(key, str) and len(key) <= LONGEST, f"{name:.60} has an entry that is no text")
    return list(found.items())


def _list(found: Any, name: str) -> list[Any]:
    _need(isinstance(found, list) and len(found) <= MOST, f"{name:.60} is no list")
    return list(found)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return type(value) is int and 0 <= value < WORD


def _need(holds: object, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


class _told:  # noqa: N801 (reads as a word of the sentence in which it stands)
    """Turns what is odd into a line that names the file."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        if isinstance(error, ValueError | TypeError | KeyError | AttributeError | OverflowError):
            raise StateError(f"{self.where}: {_line(error)}: not what renate writes, or a damaged copy") from error


def _line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is beyond what a float can hold")
    return number
