"""What an update leaves behind, file by file."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from torch import nn

from renate.data.base import Data
from renate.data.contract.text import FILE as CONTRACT
from renate.data.contract.text import to_json
from renate.data.kept.encoders import KeptEncoder
from renate.data.kept.trained import Trained
from renate.jobs.context import Job
from renate.jobs.directory import strict
from renate.jobs.saved.from_state import encoder_files, node_of
from renate.jobs.saved.restore import Saved
from renate.state.versions import State
from renate.tuning.on_disk.trial_history import HISTORY
from renate.updaters.base import Updater

LISTED = 100  # files of each role that a lineage names


def files_of(modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, bytes]]:
    """Serialise modules, one safetensors file each. Tensors that share memory are saved once per
    name.
    """
    from safetensors.torch import save

    for name, module in modules.items():
        if isinstance(module, Updater):
            state = module.own_state()
        else:
            state = module.state_dict()

        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.items()}
        yield f"{name}.safetensors", save(tensors)


def state_files(
    job: Job,
    node: dict[str, Any],
    data: Data,
    model: nn.Module,
    updater: Updater,
    metrics: dict[str, Any],
) -> Iterator[tuple[str, bytes | None]]:
    """Yield every file of the next version; None where the parent's is unchanged.

    Args:
        job: Its config is kept.
        node: The model's config with its sizes.
        data: What it was trained on.
        model: Trained.
        updater: What trained it, with its memory.
        metrics: Before and after.
    """
    deploy = {"model": node} | facts_of(data) | _serving(job, updater)
    yield "model.json", json.dumps(deploy, indent=1, allow_nan=False).encode()
    yield "config.yaml", job.saved.encode()
    yield "metrics.json", json.dumps(strict(metrics), allow_nan=False).encode()
    if data.encoder is not None or (data.inputs is not None and data.inputs.fields):
        kept = None
        if data.encoder is not None:
            kept = KeptEncoder.of(data.encoder)

        yield from encoder_files(kept)
    yield from files_of({"model": model, "updater": updater})
    yield from updater.memory.save()


def _serving(job: Job, updater: Updater) -> dict[str, Any]:
    """The test transform, and the updater where it has a way of its own to predict."""
    test = {side: job.config["transform"][side]["test"] for side in ("inputs", "targets")}
    own = type(updater).predict is not Updater.predict
    return {"transform": test, "updater": job.config["updater"] if own else None}


def files_carried_on(
    job: Job, data: Data, saved: Saved | None, to: State, *, whole: bool
) -> Iterator[tuple[str, bytes | None]]:
    """Yield the files of the next version that go on from the parent's: the history of trials, and
    which files were trained on; None where they are the parent's.

    Args:
        job: Says where the version goes.
        data: What was read.
        saved: The parent; None at a first update.
        to: Where the version is staged.
        whole: Whether all rows of the new files were trained on, or are held out.
    """
    trained = Trained()
    number = 1
    if saved is not None:
        trained = saved.trained
        number = saved.next
        if HISTORY in saved.manifest.files:
            yield HISTORY, None

    config = job.config["state"]
    if saved is not None and config["next_url"] not in (None, config["url"]):
        trained = trained.moved()
        number = 1 + max(to.numbers(), default=0)

    if whole:
        files = data.files.get("train", ())
        trained = trained.extended((key for file in files for key in file.keys), number)

    yield from trained.files()
    yield from _contract_files(data, saved)


def _contract_files(data: Data, saved: Saved | None) -> Iterator[tuple[str, bytes | None]]:
    """Yield what later data are held against; that of the parent where nothing has changed, also
    where this update didn't look at it.
    """
    before = saved.manifest.files.get(CONTRACT) if saved is not None else None
    if data.contract is None:
        if before is not None:
            yield CONTRACT, None
        return

    raw = to_json(data.contract)
    is_same = before is not None and before.sha256 == hashlib.sha256(raw).hexdigest()
    yield CONTRACT, None if is_same else raw


def lineage_of(job: Job, data: Data, seconds: float) -> dict[str, Any]:
    """Where a version comes from."""
    content = {}
    if job.content is not None:
        content = {"content": job.content}

    said = {"tags": list(job.config.get("tags") or []), "notes": job.config.get("notes")}
    return {
        "recipe": job.record.recipe,
        **content,
        **{key: value for key, value in said.items() if value},
        "stream": job.prefix or None,
        "overrides": list(job.record.overrides),
        "seed": job.config["seed"],
        "seconds": round(seconds, 3),
        "packages": packages(),
        "data": files_seen(data),
    }


def facts_of(data: Data) -> dict[str, Any]:
    """What the next version keeps of its data, in model.json."""
    inputs = None
    if data.inputs:
        inputs = data.inputs.to_json()

    split = None
    if data.split:
        split = data.split.to_json()

    return {
        "labels": data.problem.labels,
        "problem": node_of(data.problem),
        "inputs": inputs,
        "split": split,
    }


def files_seen(data: Data) -> dict[str, Any]:
    """What was read: role -> the files by name, content and rows, at most `LISTED` of each."""
    seen: dict[str, Any] = {}
    for role, files in data.files.items():
        rows = [[file.name, file.content, file.rows] for file in files[:LISTED]]
        more = len(files) - len(rows)
        seen[role] = [*rows, f"and {more} more"] if more else rows or "no files"
    return seen


@cache
def packages() -> dict[str, str]:
    """Versions of what decides a result."""
    from importlib.metadata import version

    return {name: version(name) for name in ("renate-cl", "torch", "pytorch-lightning", "numpy")}
