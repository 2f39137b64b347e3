"""The very same job: what was done before counts only if the data that it read are those that are
read now.

Where files say what the data are, a job's identity has their content. What a data set of the user's
holds is known only once it is read, so the job itself compares.
"""

import hashlib
from typing import Any

import torch

from renate.data.base import Data
from renate.data.batch import Columns
from renate.data.items.served import Served
from renate.data.kept.encoders import KeptEncoder
from renate.data.ragged import Ragged
from renate.jobs.context import Job
from renate.jobs.directory import read_json, write_json
from renate.state.manifest import Manifest

RECORD = "content.json"  # in a job's directory: what it has read


def note(job: Job, data: Data) -> None:
    """Keep with the job what its data hold; drop what an interrupted run of it did on
    others.
    """
    if not job.record.unread:
        return

    job.content = content_of(data)
    if job.ranks.first:
        _drop_other(job, job.content)

    job.ranks.broadcast(lambda: None)  # nobody looks for a checkpoint before


def _drop_other(job: Job, digest: str) -> None:
    path = job.directory.path / RECORD
    earlier = read_json(path)
    if earlier is not None and earlier.get("content") != digest:
        for name in ("checkpoint*.pt", "best.pt", "metrics.jsonl"):
            for file in job.directory.path.glob(name):
                file.unlink(missing_ok=True)
    write_json(path, {"content": digest})


def is_of(job: Job, manifest: Manifest) -> bool:
    """Whether a version, or a candidate, came from this job's recipe and data."""
    lineage = manifest.lineage
    same = lineage.get("recipe") == job.record.recipe
    return same and lineage.get("content") == job.content


def content_of(data: Data) -> str:
    """Return a hash of everything that was read: columns and labels, in their order."""
    found = hashlib.sha256(repr(data.problem.labels).encode())
    if data.encoder is not None:
        kept = KeptEncoder.of(data.encoder)
        found.update(repr((kept.node, kept.plain)).encode())
        for name, tensor in kept.tensors.items():
            _take(found, f"encoder/{name}", tensor)

    parts: dict[str, Columns] = {
        "train": data.train,
        **({"val": data.val} if data.val is not None else {}),
    }
    parts |= {f"test {name}": columns for name, columns in data.test.items()}

    for part, columns in parts.items():
        for name, column in sorted(columns.items()):
            if isinstance(column, Served):
                found.update(f"{part}/{name}/{column.content}".encode())
                column = column.rows
            if isinstance(column, Ragged):
                packed = column.pack()
                _take(found, f"{part}/{name}/lengths/{column.padding}", packed.lengths)
                column = packed.values
            _take(found, f"{part}/{name}", column)

    return found.hexdigest()[:32]


def _take(found: Any, name: str, column: torch.Tensor) -> None:
    found.update(f"{name}/{column.dtype}/{tuple(column.shape)}".encode())
    found.update(_bytes_of(column))


def _bytes_of(column: torch.Tensor) -> Any:
    return column.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
