"""What an update trains: model, memory and updater, built and loaded."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from renate.data.base import Data
from renate.data.batch import Batch
from renate.fitting.sharding.strategy import check_strategy
from renate.fitting.trainer import check_compile, check_precision, device_of
from renate.generators import seed_everything
from renate.jobs.builders import dtype_of, memory_of, transform, try_optimizer, updater_of
from renate.jobs.building.beginning import begin, made_anew
from renate.jobs.building.heads import HEADS, check_heads, check_trains_heads, heads_for, heads_of
from renate.jobs.building.masking import note_classes
from renate.jobs.building.network import model_node, sizes
from renate.jobs.building.weighting import check_weights
from renate.jobs.checks.probe import check_alike, examples_of, probe
from renate.jobs.chunks import Chunk
from renate.jobs.context import Job
from renate.jobs.saved.restore import Saved, load_model, load_updater
from renate.jobs.saved.restore_memory import drop_fields, load_memory
from renate.memory.store.memory import Memory
from renate.seeds import derive
from renate.updaters.base import Updater


@dataclass(frozen=True)
class Learning:
    """What takes part in an update.

    Attributes:
        number: The update's, from 1.
        device: Where it trains.
        node: The model's config with its sizes, as the version keeps it.
        model: The network, as the state has it; grown where new labels came.
        updater: The same of the updater, with its memory, loss and problem.
        memory: The updater's.
        example: A few examples, by the test transform.
    """

    number: int
    device: torch.device
    node: dict[str, Any]
    model: nn.Module
    updater: Updater
    memory: Memory
    example: Batch


def prepared(job: Job, data: Data, chunk: Chunk, saved: Saved | None) -> Learning:
    """Build model, memory and updater, load them, and see that they fit one another."""
    number = 1
    if saved:
        number = (saved.manifest.version or 0) + 1

    settings = job.config["trainer"]
    check_precision(settings)
    check_compile(settings)
    try_optimizer(job)
    seed_everything(derive(job.config["seed"], "training", number), settings)
    device = device_of(settings)

    facts = sizes(data) | _heads(job, chunk, saved)
    node = model_node(job, facts | (saved.sizes_for(facts) if saved else {}))
    check_heads(job.config, node, facts)
    memory = memory_of(job, device, data.problem)
    updater = updater_of(job, memory, data.problem, chunk.train)
    memory.policy.check(data.problem.classes)
    check_trains_heads(job.config, updater)
    example = examples_of(chunk.train, transform(job, "test", device))
    parts = {part: transform(job, part, device) for part in ("stream", "memory")}
    check_alike(chunk.train, parts, example)
    model = load_model(job, node, facts, saved, example.inputs)
    begin(job, node, model, example.inputs, is_first=saved is None)
    if (dtype := dtype_of(settings)) is not None:
        model.to(dtype)
        updater.to(dtype)

    updater.setup(model)
    if saved:
        load_memory(job, memory, model, updater, saved, data.problem)
        drop_fields(job, updater, saved, chunk.train)
        load_updater(job, updater, saved, model, node)

    check_strategy(settings, updater, job.ranks, device)
    note_classes(updater, chunk.train["targets"])
    check_weights(updater, memory, chunk.train, job.config["transform"].get("mix"))
    updater.test_transform = transform(job, "test", device)
    updater.rebuild = lambda: made_anew(job, node, example.inputs)
    probe(model, updater, example, data.problem.output_shape)
    # A model that was built by another's files says how to build it without them
    kept = node | getattr(model, "kept", {})
    return Learning(number, device, kept, model, updater, memory, example)


def _heads(job: Job, chunk: Chunk, saved: Saved | None) -> dict[str, int]:
    """How many heads the model needs, as a fact of the data; nothing where it has one."""
    if HEADS not in job.config["model"]:
        return {}

    known = 0
    if saved:
        known = heads_of(saved.deploy["model"])

    new_data = [chunk.train]
    if chunk.val is not None:
        new_data.append(chunk.val)

    tests = {name: test.columns for name, test in chunk.tests.items()}
    return heads_for(job.config, job.build("scenario"), new_data, tests, known)
