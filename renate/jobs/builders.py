"""What a job is assembled from: each function turns one group of the config into objects."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from renate.build import build, infer, locate, shipped
from renate.checks.arguments import shown, target_of
from renate.data.batch import BatchTransform, Columns
from renate.errors import ConfigError, nearest
from renate.fitting.schedules.lengths import unlike, warmup_node, with_length
from renate.fitting.schedules.warmup import Warmup
from renate.jobs.building.masking import begin_masking
from renate.jobs.building.weighting import BALANCED, class_weights
from renate.jobs.checks.learnable import check_keeps, check_offers, check_problem
from renate.jobs.checks.monitored import Monitored
from renate.jobs.context import Config, Job
from renate.memory.store.memory import Memory
from renate.problems.base import Problem
from renate.seeds import derive
from renate.updaters.base import Updater


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
    made = {}
    for side in ("inputs", "targets"):
        key = f"transform.{side}.{part}"
        nodes = node[side][part]
        if isinstance(nodes, str) or not isinstance(nodes, Sequence):
            raise ConfigError(f"{key}={shown(nodes)}: expected a list, [] for none")
        made[side] = [build(each, f"{key}[{i}]", **rules) for i, each in enumerate(nodes)]

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


def updater_of(job: Job, memory: Memory, problem: Problem, train: Columns) -> Updater:
    """Build the updater and give it its memory, criterion and problem.

    Args:
        job: Its config says which.
        memory: Of past examples.
        problem: What is predicted.
        train: What is trained on, which classes may be weighed by.

    Raises:
        ConfigError: The updater or the loss can't be built, or the loss isn't of this problem.
    """
    updater: Updater = job.build("updater")
    updater.memory = memory
    updater.criterion = criterion_of(job, problem, train)
    updater.problem = problem
    check_problem(updater, problem)
    check_offers(updater)
    check_keeps(updater)
    if job.config["trainer"].get("mask_unused_classes"):
        begin_masking(updater)
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


def criterion_of(job: Job, problem: Problem, train: Columns | None = None) -> nn.Module:
    """The loss; weights that the config gives as a list become the tensor that torch expects.

    `loss.weight=balanced` are those of the classes in `train`; without it, as in what is measured,
    classes count alike.
    """
    node = {name: value for name, value in job.config["loss"].items() if value is not None}
    if "_target_" not in node:
        node = shipped("loss", problem.loss) | node

    weights: dict[str, Any] = {}
    if node.get("weight") == BALANCED:
        del node["weight"]
        if train is not None:
            weights["weight"] = class_weights(problem, train)

    for name in ("weight", "pos_weight"):
        value = node.get(name)
        if isinstance(value, list | tuple):
            weights[name] = _numbers_of(value, f"loss.{name}")
        elif isinstance(value, str):
            raise ConfigError(
                f"loss.{name}={value}: expected {BALANCED}, or a list of a number for each class"
                f"{nearest(value, [BALANCED])}"
            )

    criterion: nn.Module = build(node, "loss", trust=job.config["trust"], **weights)
    check_fits(criterion, "loss", problem, problem.loss)

    return criterion


def _numbers_of(values: Sequence[Any], key: str) -> Tensor:
    """Weights that a config lists, as torch expects them."""
    fits = all(type(each) in (int, float) and 0 <= each < math.inf for each in values)
    if not fits:
        raise ConfigError(f"{key}={list(values)}: expected a list of numbers of 0 or more")
    if not any(values):
        raise ConfigError(f"{key}={list(values)}: expected a number above 0 among them")
    return torch.tensor([float(each) for each in values])


def check_fits(made: nn.Module, key: str, problem: Problem, default: object) -> None:
    """Return if a loss or a metric is of this problem.

    Raises:
        ConfigError: It would take outputs and targets for something else.
    """
    cls = type(made)
    if f"{cls.__module__}.{cls.__qualname__}".startswith(problem.refused):
        raise ConfigError(
            f"{key}: {cls.__name__} is not of problem={problem.name}, whose own is {default}; "
            "if the target is meant otherwise: problem=…"
        )


def optimizer_of(job: Job) -> Callable[..., torch.optim.Optimizer]:
    """Parameters -> optimizer."""

    def make(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = job.build("optimizer", params=parameters)
        return optimizer

    return make


def try_optimizer(job: Job) -> None:
    """Build torch's optimizer of one weight: what it refuses would else be found where the fit
    begins, behind all that an updater learns before.

    Raises:
        ConfigError: It can't be built.
    """
    target = target_of(job.config["optimizer"], "optimizer")
    # Of the user's own nobody knows what else than the job's parameters it can't take
    if target.startswith("torch."):
        made = optimizer_of(job)([nn.Parameter(torch.zeros(1, 1))])
        if not any(group["lr"] for group in made.param_groups):
            job.say("optimizer.lr=0: no step changes a weight")


def scheduler_of(
    job: Job, length_of: Mapping[str, int], monitored: Monitored
) -> tuple[Callable[..., Any] | None, str, str]:
    """Optimizer -> scheduler, when it steps, and the metric that it may wait for.

    Args:
        job: Its config has the scheduler.
        length_of: The fit's length by interval (epoch, step).
        monitored: What a scheduler may wait for.

    Raises:
        ConfigError: The scheduler isn't what a config may name, can't step as often as it is told
            to, or waits for what isn't measured.
    """
    node = dict(job.config["lr_scheduler"])
    interval = node.pop("interval", "epoch")
    asked = node.pop("monitor", None)
    monitor = asked or monitored.default
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
        monitored.check("lr_scheduler", monitor)
        if node.get("mode") is None:
            node["mode"] = mode_of(job, monitor, "lr_scheduler")
    elif asked is not None:
        raise ConfigError(
            f"lr_scheduler.monitor={asked}: {found.__name__} waits for nothing that is measured: "
            "leave it out"
        )

    if found is Warmup:
        node = warmup_node(node, interval, length_of[interval])
    node = with_length(node, length_of[interval])
    if odd := unlike(node, interval, length_of[interval]):
        job.say(odd)

    def make(optimizer: torch.optim.Optimizer) -> Any:
        rates = [group["lr"] for group in optimizer.param_groups]
        filled = infer(node, {"max_lr": rates})
        return build(filled, "lr_scheduler", trust=job.config["trust"], optimizer=optimizer)

    return make, interval, monitor


def mode_of(job: Job, metric: str, key: str) -> str:
    """Which way a metric is better: the objective's own direction, else less, as of a loss.

    Args:
        job: Its config has the objective.
        metric: As it is reported, `val_accuracy`.
        key: Of what waits for it, for messages.

    Raises:
        ConfigError: Nothing says so.
    """
    objective = job.config["objective"]
    if metric == objective["metric"]:
        return str(objective["mode"])

    others = objective["others"] or {}
    if metric not in others and not metric.endswith("_loss"):
        raise ConfigError(
            f"{key}.monitor={metric}: give {key}.mode=max or min, which way it is better"
        )

    return str(others.get(metric, "min"))
