"""Seeded mutations of a state's files: each might come from a stranger, behind right checksums."""

import json
import random
import struct
from collections.abc import Callable
from typing import Any

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**30,
    1e308,
    0.5,
    "",
    "\x1b[2J\x1b]0;title\x07",
    "../../outside",
    "\ud800",
    "x" * 200_000,
    [],
    {},
    [[]],
    [1] * 9,
    [10**9] * 3,
    {"_target_": "renate.jobs.passed_objects.loaded.PassedDataset", "path": "payload"},
    {"_target_": "os.system", "command": "touch ran"},
    {"_target_": "torch.nn.Linear", "in_features": 10**9, "out_features": 10**9},
    {"_partial_": True, "_target_": "torch.nn.ReLU"},
]


def mutate(name: str, data: bytes, chance: random.Random) -> bytes:
    """Return other bytes for a file of a version."""
    if name.endswith(".safetensors") and chance.random() < 0.7:
        return _header(data, chance)
    if name.endswith(".json") and chance.random() < 0.85:
        return json.dumps(_changed(json.loads(data), chance)).encode()
    return _bytes(data, chance)


def _header(data: bytes, chance: random.Random) -> bytes:
    length = struct.unpack("<Q", data[:8])[0]
    header = json.dumps(_changed(json.loads(data[8 : 8 + length]), chance)).encode()
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def _bytes(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) or 1)
    kinds: list[Callable[[], bytes]] = [
        lambda: data[:at],
        lambda: data + bytes(chance.randrange(1, 64)),
        lambda: data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :],
        lambda: data[:at] + chance.randbytes(8) + data[at + 8 :],
        lambda: b"",
        lambda: b"[" * 100_000,
        lambda: chance.randbytes(64),
    ]
    return chance.choice(kinds)()


def _changed(value: Any, chance: random.Random) -> Any:
    """The same JSON with one place changed."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        deed = chance.random()
        if deed < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if deed < 0.2:
            return value | {str(chance.choice(ODD))[:50]: chance.choice(ODD)}
        return value | {key: _changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        deed = chance.random()
        if deed < 0.2:
            return [*value[:at], *value[at + 1 :]]
        if deed < 0.3:
            return [*value, value[at]]
        return [*value[:at], _changed(value[at], chance), *value[at + 1 :]]
    if type(value) is int and chance.random() < 0.5:
        return value + chance.choice([-1, 1, 7])
    return chance.choice(ODD)
