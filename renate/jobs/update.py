"""One update: state version n + new data -> state version n+1. Start reading here."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

from torch import nn

from renate.data.base import Data
from renate.data.scenarios import Scenario
from renate.errors import StateError
from renate.fitting.trainer import check_precision, device_of
from renate.generators import seed_everything
from renate.jobs import content
from renate.jobs.already import goes_on
from renate.jobs.directory import strict
from renate.jobs.fit import batches_of, fit, share_of
from renate.jobs.parts import (
    Chunk,
    Job,
    cut,
    dtype_of,
    files_of,
    flat,
    load_data,
    measure_of,
    model_node,
    score,
    sizes,
    transform,
    updater_of,
)
from renate.jobs.probe import examples_of, materialise, probe
from renate.jobs.published import measure_as_published, trusted
from renate.jobs.restore import Saved, load_memory, load_model, load_updater, node_of
from renate.jobs.sound import check_finite, oddities
from renate.memory.store.memory import Memory
from renate.memory.store.shards import merge
from renate.seeds import derive
from renate.state.contents import metrics_from
from renate.state.manifest import Manifest
from renate.state.publish import publish, stage
from renate.state.versions import State
from renate.tuning.past import HISTORY
from renate.updaters.base import Updater

LISTED = 100  # files of each role that a lineage names

Scores = dict[str, dict[str, float]]


@dataclass
class Updated:
    """What an update leaves: scores before and after, counts and seconds, and its candidate.

    Of several processes only the first one has the candidate.
    """

    before: Scores
    after: Scores
    value: float | None
    counts: dict[str, float]
    candidate: Manifest | None
    version: int | None = None


def run(job: Job) -> dict[str, Any]:
    """The job `update`."""
    config = job.config["state"]
    at = job.state(config["url"] or str(job.directory.path / "state"))
    to = job.state(job.candidate or config["next_url"] or at.url)
    publishes = job.candidate is None and (config["url"] is None or bool(job.record.get("publish")))
    if publishes and (earlier := job.ranks.broadcast(lambda: _published(job, to))) is not None:
        return earlier

    parent = job.ranks.broadcast(lambda: _parent(job, at))
    saved = Saved.read(at, parent, job.ranks, trusted(job)) if parent else None
    data = load_data(job, saved.known if saved else None)
    content.note(job, data)

    if (
        publishes
        and (already := job.ranks.broadcast(lambda: _already(job, at, parent))) is not None
    ):
        return already

    scenario: Scenario = job.build("scenario")
    done = update(job, data, cut(job, scenario, data, job.config["job"]["chunk"]), at, to, saved)
    if job.ranks.first and publishes:
        done.version = publish(to, job.record["id"]).version

    return _result(
        done.value, done.after, done.before if parent else {}, done.counts, to, done.version
    )


def _parent(job: Job, at: State) -> Manifest | None:
    """The version that this job was composed for, also where others have been published since.

    Raises:
        StateError: It is gone, or is another one.
    """
    if "parent" not in job.record:
        return at.newest()

    asked = job.record["parent"]
    if asked is None:
        return None

    found = at.manifest(asked["version"])
    if asked["url"] == job.config["state"]["url"] and found.sha256 != asked["sha256"]:
        raise StateError(
            f"{at.url}: {found} isn't the one that this job was made for: give its command again"
        )

    return found


def _result(
    value: float | None,
    after: Scores,
    before: Scores,
    counts: dict[str, float],
    to: State,
    version: int | None,
) -> dict[str, Any]:
    return {
        "value": value,
        "metrics": flat(after),
        "counts": counts,
        "before": flat(before),
        "url": to.url,
        "version": version,
    }


def _published(job: Job, to: State) -> dict[str, Any] | None:
    """The result of this very job, if it was interrupted when all was staged: nothing is trained
    or published twice.
    """
    if job.record.get("unread") or not job.directory.reports():
        return None

    try:
        manifest = publish(to, job.record["id"])
    except StateError:
        return None

    return _of_version(to, manifest)


def _already(job: Job, at: State, parent: Manifest | None) -> dict[str, Any] | None:
    """The newest version's result, if it came from this recipe and the data just read, and may
    count.
    """
    if not job.record.get("unread") or not job.config["resume"]:
        return None
    if parent is None or not goes_on(job.config["state"]):
        return None
    if parent.lineage.get("stream") or not content.is_of(job, parent):
        return None

    return _of_version(at, parent) | {"already": parent.version}


def _of_version(to: State, manifest: Manifest) -> dict[str, Any]:
    found = metrics_from(
        to.read(manifest, "metrics.json"), f"{to.url}: 'metrics.json' of {manifest}"
    )
    before = found["before"] if manifest.parent else {}
    counts = found["counts"] | {"seconds": manifest.lineage.get("seconds", 0.0)}
    return _result(found["value"], found["after"], before, counts, to, manifest.version)


def update(
    job: Job, data: Data, chunk: Chunk, at: State, to: State, saved: Saved | None
) -> Updated:
    """Train on one chunk, starting from what `saved` holds, and stage the outcome as a candidate
    at `to`.
    """
    ranks = job.ranks
    began = time.monotonic()
    number = (saved.manifest.version or 0) + 1 if saved else 1
    check_precision(job.config["trainer"])
    seed_everything(derive(job.config["seed"], "training", number), job.config["trainer"])
    facts = sizes(data)
    device = device_of(job.config["trainer"])
    node = model_node(job, facts | (saved.sizes_for(facts) if saved else {}))
    memory = Memory(job.build("memory"), job.config["memory"].get("max_ram"))
    memory.bind(
        seed=derive(job.config["seed"], "memory"),
        transform=transform(job, "memory", device),
        scratch=str(job.directory.path),
        rank=ranks.rank,
        ranks=ranks.size,
    )
    updater = updater_of(job, memory, data.problem)
    example = examples_of(chunk.train, transform(job, "test", device))
    model: nn.Module = load_model(job, node, facts, saved, example.inputs)
    if (dtype := dtype_of(job.config["trainer"])) is not None:
        model.to(dtype)
        updater.to(dtype)

    updater.setup(model)
    if saved:
        load_memory(job, memory, model, updater, saved, data.problem)
        load_updater(job, updater, saved, model, data.problem.outputs)

    updater.rebuild = lambda: materialise(job.build_node(node, "model"), example.inputs)
    probe(model, updater, example, data.problem.outputs)
    measure = measure_of(job, device, data.problem, updater.criterion)
    as_published = measure_as_published(job, measure, saved) if saved else measure
    before = (
        saved.scores
        if saved and saved.scores
        else score(as_published, model, updater, chunk.tests, ranks)
    )
    parts = {"model": model, "updater": updater}
    odd = oddities(parts)
    share = share_of(chunk.train, ranks)
    own = updater.start(model, share)
    # Data that the updater leaves as it is, several processes deal out anew in each epoch.
    batches = batches_of(
        job, chunk.train if own is None else own, device, number, own=own is not None
    )
    outcome = fit(job, model, updater, batches, chunk.val, measure, number)
    updater.finish(model, share)
    check_finite(parts, odd)
    after = score(measure, model, updater, chunk.tests, ranks)
    merge(memory, ranks)
    seconds = time.monotonic() - began
    lineage = {
        "recipe": job.record["recipe"],
        **({"content": job.record["content"]} if "content" in job.record else {}),
        "stream": job.prefix or None,
        "overrides": job.record["overrides"],
        "seed": job.config["seed"],
        "seconds": round(seconds, 3),
        "packages": packages(),
        "data": files_seen(data),
    }
    metrics = {"before": before, "after": after, "counts": outcome.counts, "value": outcome.value}
    kept = {
        "model": node | {"num_classes": facts["num_classes"]} if "num_classes" in node else node
    }
    files = state_files(job, model, updater, memory, kept | facts_of(data), metrics)
    if saved and HISTORY in saved.manifest.files:
        files = chain(files, [(HISTORY, None)])

    source = (at, saved.manifest) if saved else None
    candidate = (
        stage(to, files, job=job.record["id"], parent=source, lineage=lineage)
        if ranks.first
        else None
    )
    counts = outcome.counts | {"seconds": seconds}

    return Updated(before, after, outcome.value, counts, candidate)


def state_files(
    job: Job,
    model: nn.Module,
    updater: Updater,
    memory: Memory,
    deploy: dict[str, Any],
    metrics: dict[str, Any],
) -> Iterator[tuple[str, bytes | None]]:
    """Yield every file of the next version; None where the parent's is unchanged."""
    test = {side: job.config["transform"][side]["test"] for side in ("inputs", "targets")}
    own = type(updater).predict is not Updater.predict
    deploy |= {"transform": test, "updater": job.config["updater"] if own else None}
    yield "model.json", json.dumps(deploy, indent=1, allow_nan=False).encode()
    yield "config.yaml", job.saved.encode()
    yield "metrics.json", json.dumps(strict(metrics), indent=1, allow_nan=False).encode()
    yield from files_of({"model": model, "updater": updater})
    yield from memory.save()


def facts_of(data: Data) -> dict[str, Any]:
    """What the next version keeps of its data, in model.json."""
    inputs = data.inputs.to_json() if data.inputs else None
    split = data.split.to_json() if data.split else None
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
