"""Renate's memory of past examples as ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from renate.build import build, shipped
from renate.compat.states.pickles import Say, read_file
from renate.data.batch import Columns
from renate.errors import StateError
from renate.memory.store.memory import Memory
from renate.memory.store.segments import Segments
from renate.seeds import derive

FOLDER = "memory_buffer"
RESERVOIR = "ReservoirBuffer"
# Renate's class -> our option of conf/memory, and how it calls the most examples to keep.
POLICIES = {
    RESERVOIR: ("reservoir", {}),
    "GreedyClassBalancingBuffer": ("class_balanced", {"greedy": True}),
    "InfiniteBuffer": ("infinite", {}),
}
# Learners whose memory keeps logits beside the examples, here as there.
KEEP_LOGITS = ("DarkExperienceReplayLearner", "SuperExperienceReplayLearner")


def memory_of(folder: Path, learner: Mapping[str, Any], say: Say) -> tuple[Memory, str]:
    """Return the memory of an old state, and the name of our option.

    Args:
        folder: The state.
        learner: What learner.ckpt holds.
        say: See `read_file`.

    Raises:
        StateError: Examples are missing or damaged, or of a kind that can't be columns.
    """
    buffer = learner.get("memory_buffer")
    if not isinstance(buffer, Mapping):
        return _empty("none", None, 0), "none"

    kind = str(buffer.get("buffer_class_name"))
    if kind not in POLICIES:
        raise StateError(
            f"{folder / 'learner.ckpt'}: a memory of class {kind}, expected one of "
            f"{', '.join(POLICIES)}"
        )

    columns = _columns(folder, buffer, say)
    if learner.get("learner_class_name") in KEEP_LOGITS:
        columns["logits"] = _logits(folder, buffer, len(columns["targets"]))

    option, _ = POLICIES[kind]
    capacity = None
    if kind != "InfiniteBuffer":
        capacity = int(buffer["max_size"])

    memory = _empty(option, capacity, int(buffer.get("seed") or 0))
    if not len(columns["targets"]):
        return memory, option
    if kind == RESERVOIR:
        _take_over(memory, columns, int(buffer["count"]), folder)
    else:
        memory.add_columns(columns)

    return memory, option


def _empty(option: str, capacity: int | None, seed: int) -> Memory:
    node = shipped("memory", option)
    max_ram = node.pop("max_ram", None)
    node.pop("backfill", None)
    if capacity is not None:
        node["capacity"] = capacity
    if option == "class_balanced":
        node |= POLICIES["GreedyClassBalancingBuffer"][1]

    memory = Memory(build(node, "memory"), max_ram)
    memory.bind(seed=derive(seed, "memory"))

    return memory


def _columns(folder: Path, buffer: Mapping[str, Any], say: Say) -> Columns:
    """Inputs and targets, in the order of the slots."""
    indices = buffer.get("indices") or {}
    inputs: list[Tensor] = []
    targets: list[int] = []
    for slot in sorted(indices):
        path = folder / FOLDER / f"{indices[slot][1]}.pt"
        item = read_file(path, say)
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise StateError(f"{path}: expected (input, target), it holds a {type(item).__name__}")
        if not isinstance(item[0], Tensor):
            raise StateError(
                f"{path}: its input is a {type(item[0]).__name__}: only tensors can be taken over"
            )
        if not bool(item[0].isfinite().all()):
            raise StateError(f"{path}: its input holds nan or infinity, expected numbers")
        if inputs and (item[0].shape, item[0].dtype) != (inputs[0].shape, inputs[0].dtype):
            raise StateError(
                f"{path}: its input is {item[0].dtype} {list(item[0].shape)}, those before are "
                f"{inputs[0].dtype} {list(inputs[0].shape)}: all must be alike"
            )

        inputs.append(item[0])
        targets.append(_target(item[1], path))

    if not inputs:
        return {"inputs": torch.empty(0), "targets": torch.empty(0, dtype=torch.int64)}
    return {"inputs": torch.stack(inputs), "targets": torch.tensor(targets)}


def _target(found: Any, path: Path) -> int:
    """The number of a class, a plain one or a tensor of one."""
    whole = isinstance(found, int | np.integer) and not isinstance(found, bool)
    if isinstance(found, Tensor | np.ndarray):
        tensor = torch.as_tensor(found)
        whole = tensor.numel() == 1 and not tensor.is_floating_point()

    if not whole:
        raise StateError(f"{path}: its target is {found!r}, expected the number of a class")
    return int(found)


def _logits(folder: Path, buffer: Mapping[str, Any], rows: int) -> Tensor:
    metadata = buffer.get("metadata") or {}
    logits = metadata.get("outputs")
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) < rows:
        raise StateError(f"{folder / 'learner.ckpt'}: its memory has no logits for each example")
    return logits[:rows].float()


def _take_over(memory: Memory, columns: Columns, count: int, folder: Path) -> None:
    """Fill a reservoir as if it had been offered `count` examples and had kept these.

    Which ones it kept was drawn without looking at them. So they get the keys that ours keeps of
    as many, and what is offered later has the chance that it always has.
    """
    size = len(columns["targets"])
    if not size <= count or (size < count and size != memory.capacity):
        raise StateError(
            f"{folder / 'learner.ckpt'}: its memory holds {size} of {count} examples offered, with "
            f"room for {memory.capacity}: that can't be"
        )

    policy: Any = memory.policy
    keys = policy.keys_of(memory.seed, range(count))
    kept = np.sort(np.argsort(-keys)[:size])
    segments = Segments()
    segments.touch(np.arange(size), size)
    memory.revert(
        {
            "counters": [size, count, 0, memory.seed],
            "columns": columns,
            "values": {"key": torch.from_numpy(keys[kept].copy())},
            "segments": segments.snapshot(size),
        }
    )
