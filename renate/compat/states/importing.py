"""An old state -> the first version of a new one."""

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from renate.build import build
from renate.compat.models.renate_module import EXTRA
from renate.compat.states.buffer import memory_of
from renate.compat.states.history import FILE as OLD_HISTORY
from renate.compat.states.history import history_of
from renate.compat.states.pickles import Say, read_bytes, read_file
from renate.data.table import Table, described
from renate.errors import ConflictError, StateError
from renate.jobs.saved.from_state import node_of
from renate.memory.store.memory import Memory
from renate.problems.base import Problem
from renate.state.manifest import Manifest
from renate.state.publish import publish, stage
from renate.state.store import open_store
from renate.state.versions import State
from renate.tuning.on_disk.trial_history import HISTORY, encode

MODEL = "model.ckpt"
LEARNER = "learner.ckpt"
NET = "net."
CLASSIFICATION = {"_target_": "renate.problems.classification.Classification"}
MODEL_FN = {"_target_": "renate.compat.files.parts.ModelFn", "config_file": None}
# Renate's learners -> our updaters, where both keep the same between updates: the memory.
UPDATERS = {
    "ExperienceReplayLearner": "renate.updaters.weighted_er.WeightedER",
    "DarkExperienceReplayLearner": "renate.updaters.weighted_derpp.WeightedDERpp",
    "JointLearner": "renate.updaters.joint.Joint",
    "Learner": "renate.updaters.fine_tuning.FineTuning",
}
JOB = "imported"


def import_state(folder: Path, url: str, outputs: int | None, say: Say) -> Manifest:
    """Publish what Renate 0.5 left in a folder as the first version of a state.

    Args:
        folder: With model.ckpt and learner.ckpt.
        url: Of the new state, which holds no version.
        outputs: How many the model has; None reads it off the memory's logits, else off the last
            layer.
        say: Is told what there was, and where a pickle had to be run as code.

    Raises:
        StateError: The folder is no state of Renate's, or a damaged one.
        ConflictError: The new state has versions.
    """
    to = State(url)
    if to.versions():
        raise ConflictError(f"{url}: holds version {to.versions()[-1]}: import into a new place")

    weights, task_id = _weights(folder, say)
    learner = read_file(folder / LEARNER, say)
    if not isinstance(learner, Mapping) or "learner_class_name" not in learner:
        raise StateError(f"{folder / LEARNER}: no learner that Renate 0.5 wrote")

    try:
        memory, option = memory_of(folder, learner, say)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise StateError(
            f"{folder / LEARNER}: its memory isn't as Renate 0.5 wrote it: "
            f"{type(error).__name__}: {error}"
        ) from error
    count = _outputs(folder, weights, learner) if outputs is None else outputs
    _check_targets(folder, memory, count)
    history = history_of(folder)

    files = _files(weights, memory, count, learner, task_id, history)
    stage(to, files, job=JOB, parent=None, lineage={"imported": "Renate 0.5"})
    manifest = publish(to, JOB)
    _beside(folder, url, weights)

    name = learner["learner_class_name"]
    say(f"{name}: {len(weights)} tensors, {count} labels, {len(memory)} examples ({option})")
    say(f"{len(history)} trials of {len({row['update'] for row in history})} updates")
    if (folder / "val_memory_buffer").is_dir():
        say("val_memory_buffer: left behind, validation data are read anew by each update")

    return manifest


def _weights(folder: Path, say: Say) -> tuple[dict[str, Tensor], str]:
    """The model's tensors, what makes it again as JSON among them, and its task's name."""
    path = folder / MODEL
    if (folder / "avalanche.ckpt").is_file():
        raise StateError(f"{folder}: a state of Avalanche's, which is a pickle of its own classes")

    found = read_file(path, say)
    if not isinstance(found, Mapping):
        raise StateError(f"{path}: expected tensors by name, it holds a {type(found).__name__}")

    weights = {str(name): value for name, value in found.items() if name != EXTRA}
    odd = [name for name, value in weights.items() if not isinstance(value, Tensor)]
    diverged = [
        name
        for name, value in weights.items()
        if isinstance(value, Tensor) and bool(value.isnan().any())
    ]
    if diverged:
        raise StateError(
            f"{path}: '{diverged[0]}' holds nan: this model has diverged, and answers nothing; "
            "take a state of before"
        )
    if not weights or odd:
        what = f"'{odd[0]}' is no tensor" if odd else "it holds no tensors"
        raise StateError(f"{path}: {what}: expected a model's state_dict")

    if EXTRA not in found:
        return weights, "default_task"

    extra = found[EXTRA]
    if not isinstance(extra, Tensor):
        raise StateError(f"{path}: {EXTRA} is a {type(extra).__name__}, expected a tensor of bytes")
    said = read_bytes(bytes(extra.to(torch.uint8).tolist()), f"{path}: {EXTRA}", say)
    try:
        task_ids = sorted(str(task_id) for task_id in said["tasks_params_ids"])
        arguments = dict(said["constructor_arguments"])
        text = json.dumps(
            {"constructor_arguments": arguments, "task_ids": task_ids}, allow_nan=False
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"{path}: {EXTRA}: {error}: expected constructor_arguments") from error

    weights[EXTRA] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).clone()
    return weights, task_ids[0] if task_ids else "default_task"


def _outputs(folder: Path, weights: Mapping[str, Tensor], learner: Mapping[str, Any]) -> int:
    """How many outputs the model has.

    Raises:
        StateError: Nothing says so.
    """
    buffer = learner.get("memory_buffer")
    metadata = buffer.get("metadata") if isinstance(buffer, Mapping) else None
    logits = metadata.get("outputs") if isinstance(metadata, Mapping) else None
    if isinstance(logits, Tensor) and logits.ndim == 2:
        return int(logits.shape[1])

    matrices = [tensor for name, tensor in weights.items() if name != EXTRA and tensor.ndim == 2]
    if not matrices:
        raise StateError(f"{folder / MODEL}: nothing says how many outputs it has: --outputs N")
    return len(matrices[-1])


def _check_targets(folder: Path, memory: Memory, outputs: int) -> None:
    if outputs < 2:
        raise StateError(f"--outputs {outputs}: expected 2 or more")
    if not len(memory):
        return

    targets = memory.columns()["targets"]
    if int(targets.min()) < 0 or int(targets.max()) >= outputs:
        raise StateError(
            f"{folder}: targets from {int(targets.min())} to {int(targets.max())}, the model has "
            f"{outputs} outputs: give their number, --outputs {int(targets.max()) + 1}"
        )


def _files(
    weights: dict[str, Tensor],
    memory: Memory,
    outputs: int,
    learner: Mapping[str, Any],
    task_id: str,
    history: list[dict[str, str]],
) -> Iterator[tuple[str, bytes | None]]:
    """What an update leaves, file by file."""
    problem: Problem = build(CLASSIFICATION, "problem")
    problem.labels = list(range(outputs))
    inputs = None
    if len(memory):
        columns = memory.columns()
        inputs = described(Table(columns["inputs"], columns["targets"].numpy())).to_json()

    deploy: dict[str, Any] = {
        "model": MODEL_FN | {"task_id": task_id},
        "labels": problem.labels,
        "problem": node_of(problem),
        "inputs": inputs,
        "split": None,
        "transform": {"inputs": [], "targets": []},
        "updater": None,
    }
    settings = learner.get("hyper_parameters")
    if not isinstance(settings, Mapping):
        settings = {}
    updater = UPDATERS.get(str(learner["learner_class_name"]))
    config = {
        "updater": {"_target_": updater},
        "imported": {str(key): str(value) for key, value in settings.items()},
    }
    yield "model.json", json.dumps(deploy, indent=1, allow_nan=False).encode()
    yield "config.yaml", json.dumps(config, indent=1).encode()  # JSON is YAML
    yield "metrics.json", json.dumps({"before": {}, "after": {}, "counts": {}}).encode()
    named = {f"{NET}{name}": tensor.contiguous().clone() for name, tensor in weights.items()}
    yield "model.safetensors", save(named)
    yield "updater.safetensors", save({})
    yield from memory.save()
    if history:
        yield HISTORY, encode(history)


def _beside(folder: Path, url: str, weights: dict[str, Tensor]) -> None:
    """What calls of Renate's look for beside a state: weights that `model_fn` loads, and trials."""
    held = io.BytesIO()
    torch.save(weights, held)
    store = open_store(url)
    store.replace(MODEL, held.getvalue())
    trials = folder / OLD_HISTORY
    if trials.is_file():
        store.replace(OLD_HISTORY, trials.read_bytes())
