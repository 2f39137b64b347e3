"""What a job is assembled from: each function turns one group of the config into objects."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from renate.build import build, infer, locate, shipped
from renate.data.base import Data
from renate.data.batch import BatchTransform
from renate.data.kept.encoders import target_of
from renate.errors import ConfigError
from renate.fitting.schedules.lengths import warmup_node, with_length
from renate.fitting.schedules.warmup import Warmup
from renate.jobs.context import OURS, Config, Job
from renate.memory.store.memory import Memory
from renate.problems.base import Problem
from renate.seeds import derive
from renate.state.contents import SIZES
from renate.updaters.base import Updater


def sizes(data: Data) -> dict[str, Any]:
    """What a model's constructor may ask for and the data, or their encoder, answers.

    Raises:
        ConfigError: Both answer the same.
    """
    shape = data.input_shape
    found: dict[str, Any] = dict.fromkeys(SIZES)
    if shape is not None:
        found["input_shape"] = shape
        found["in_features"] = math.prod(shape)
        if len(shape) == 3:
            found["in_channels"] = shape[0]

    found |= data.problem.facts
    if data.encoder is None:
        return found

    facts = data.encoder.facts
    both = found.keys() & facts.keys()
    if both:
        raise ConfigError(
            f"data: {target_of(data.encoder)}.facts has '{min(both)}', which renate says itself: "
            "give it another name"
        )

    return found | facts


def model_node(job: Job, facts: Mapping[str, Any]) -> Config:
    """The model's config with its sizes filled in; this is what the state keeps of it."""
    node = {k: v for k, v in job.config["model"].items() if k not in OURS}
    unknown = [k for k, v in node.items() if v is None and k in facts and facts[k] is None]

    if unknown:
        shape = facts["input_shape"]
        inputs = "inputs that are several tensors"
        if shape is not None:
            inputs = f"inputs of shape {list(shape)}; it needs images [C, H, W]"
        raise ConfigError(
            f"model.{unknown[0]}=null: can't be read off {inputs}, or give it a value"
        )

    return {k: list(v) if isinstance(v, tuple) else v for k, v in infer(node, facts).items()}


def transform(
    job: Job, part: str, device: str | torch.device, problem: Problem | None = None
) -> BatchTransform:
    """The transform of a part.

    Args:
        job: Its config says which.
        part: stream, memory or test.
        device: Where batches are transformed.
        problem: What is trained on, which a mix of examples must know; None where nothing is mixed.
    """
    made = transform_of(job.config["transform"], part, device, trust=job.config["trust"])
    made.dtype = dtype_of(job.config["trainer"])
    if problem is not None and job.config["transform"].get("mix") is not None:
        made.mix = build(job.config["transform"]["mix"], "transform.mix", trust=job.config["trust"])
        made.mix.outputs = problem.outputs

    return made


def dtype_of(trainer: Config) -> torch.dtype | None:
    """What a model's numbers are under a `…-true` precision; None where they stay as the model
    has them.
    """
    known = {"64-true": torch.float64, "bf16-true": torch.bfloat16, "16-true": torch.float16}
    return known.get(str(trainer["precision"]))


def transform_of(
    node: Config, part: str, device: str | torch.device, **rules: Any
) -> BatchTransform:
    """Build the transform of a part: stream, memory or test.

    Args:
        node: The group `transform` of a config.
        part: Whose lists of modules to take.
        device: Where batches are transformed.
        **rules: What the config may name, see `renate.build.build`.

    Raises:
        ConfigError: A module can't be built.
    """
    made = {
        side: [
            build(t, f"transform.{side}.{part}[{i}]", **rules)
            for i, t in enumerate(node[side][part])
        ]
        for side in ("inputs", "targets")
    }
    return BatchTransform(made["inputs"], made["targets"], device)


def memory_of(job: Job, device: torch.device, problem: Problem) -> Memory:
    """The memory, empty, as this process of the job has it."""
    memory = Memory(job.build("memory"), job.config["memory"].get("max_ram"))
    memory.bind(
        seed=derive(job.config["seed"], "memory"),
        transform=transform(job, "memory", device, problem),
        scratch=str(job.directory.path),
        rank=job.ranks.rank,
        ranks=job.ranks.size,
    )
    return memory


def updater_of(job: Job, memory: Memory, problem: Problem) -> Updater:
    """Build the updater and give it its memory, criterion and problem.

    Raises:
        ConfigError: The updater or the loss can't be built, or the loss isn't of this problem.
    """
    updater: Updater = job.build("updater")
    updater.memory = memory
    updater.criterion = criterion_of(job, problem)
    updater.problem = problem
    if job.config["transform"].get("mix") is not None:
        _check_mix(updater)

    return updater


def _check_mix(updater: Updater) -> None:
    """Check that an updater can learn from mixed examples.

    Raises:
        ConfigError: It keeps something of each example, or its loss takes classes only.
    """
    if updater.fields:
        raise ConfigError(
            f"transform.mix: {type(updater).__name__} keeps '{updater.fields[0]}' of each example, "
            "which is none of a mix: use another updater, or transform.mix=null"
        )

    outputs = torch.zeros(2, updater.problem.outputs)
    try:
        updater.criterion(outputs, torch.full_like(outputs, 1 / outputs.shape[1]))
    except (ValueError, RuntimeError, TypeError, IndexError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"transform.mix: loss {type(updater.criterion).__name__} takes no mixed targets "
            f"({reason}): cross_entropy does, or transform.mix=null"
        ) from error


def criterion_of(job: Job, problem: Problem) -> nn.Module:
    """The loss; weights that the config gives as a list become the tensor that torch expects."""
    node = {name: value for name, value in job.config["loss"].items() if value is not None}
    if "_target_" not in node:
        node = shipped("loss", problem.loss) | node

    weights: dict[str, Any] = {}
    for name in ("weight", "pos_weight"):
        value = node.get(name)
        if not isinstance(value, list | tuple):
            continue
        try:
            weights[name] = torch.tensor([float(number) for number in value])
        except (TypeError, ValueError):
            raise ConfigError(f"loss.{name}={value}: expected a list of numbers") from None

    criterion: nn.Module = build(node, "loss", trust=job.config["trust"], **weights)
    check_fits(criterion, "loss", problem, problem.loss)

    return criterion


def check_fits(made: nn.Module, key: str, problem: Problem, default: object) -> None:
    """Return if a loss or a metric is of this problem.

    Raises:
        ConfigError: It would take outputs and targets for something else.
    """
    cls = type(made)
    if f"{cls.__module__}.{cls.__qualname__}".startswith(problem.refused):
        raise ConfigError(
            f"{key}: {cls.__name__} is not of problem={problem.name}, whose own is {default}; "
            "if the target is "
            "meant otherwise: problem=…"
        )


def optimizer_of(job: Job) -> Callable[..., torch.optim.Optimizer]:
    """Parameters -> optimizer."""

    def make(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = job.build("optimizer", params=parameters)
        return optimizer

    return make


def scheduler_of(
    job: Job, length_of: Mapping[str, int], measured: str
) -> tuple[Callable[..., Any] | None, str, str]:
    """Optimizer -> scheduler, when it steps, and the metric that it may wait for.

    Args:
        job: Its config has the scheduler.
        length_of: The fit's length by interval (epoch, step).
        measured: The metric that a scheduler waits for, where `lr_scheduler.monitor` names none.

    Raises:
        ConfigError: The scheduler isn't what a config may name, or can't step as often as it is
            told to.
    """
    node = dict(job.config["lr_scheduler"])
    interval = node.pop("interval", "epoch")
    monitor = node.pop("monitor", None) or measured
    if "_target_" not in node:
        return None, interval, monitor
    if interval not in length_of:
        raise ConfigError(f"lr_scheduler.interval={interval}: expected epoch or step")

    found = locate(node["_target_"], "lr_scheduler", job.config["trust"])
    if isinstance(found, type) and issubclass(found, ReduceLROnPlateau):
        if interval == "step":
            raise ConfigError(
                f"lr_scheduler.interval=step: {found.__name__} steps when {monitor} was measured: "
                "lr_scheduler.interval=epoch"
            )
        if node.get("mode") is None:
            node["mode"] = mode_of(job, monitor)

    if found is Warmup:
        node = warmup_node(node, interval, length_of[interval])
    node = with_length(node, length_of[interval])

    def make(optimizer: torch.optim.Optimizer) -> Any:
        rates = [group["lr"] for group in optimizer.param_groups]
        filled = infer(node, {"max_lr": rates})
        return build(filled, "lr_scheduler", trust=job.config["trust"], optimizer=optimizer)

    return make, interval, monitor


def mode_of(job: Job, metric: str) -> str:
    """Which way a metric is better: the objective's own direction, else less, as of a loss."""
    objective = job.config["objective"]
    if metric == objective["metric"]:
        return str(objective["mode"])

    others = objective["others"] or {}
    if metric not in others and not metric.endswith("_loss"):
        raise ConfigError(
            f"lr_scheduler.monitor={metric}: give lr_scheduler.mode=max or min, which way it is "
            "better"
        )

    return str(others.get(metric, "min"))
