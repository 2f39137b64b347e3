"""What the jobs are assembled from: each function turns one group of the config into objects."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from renate.build import build, infer, locate, shipped
from renate.data.base import Data, Known
from renate.data.batch import BatchTransform, Columns, length
from renate.data.scenarios import Scenario
from renate.errors import ConfigError, DataError, JobError, nearest
from renate.fitting.measure import Measure
from renate.jobs.directory import JobDirectory, in_words, strict
from renate.libraries.torchmetrics import measure_alone
from renate.memory.store.memory import Memory
from renate.problems.base import Problem
from renate.ranks import ALONE, Ranks
from renate.seeds import derive
from renate.state.cache import Cache
from renate.state.versions import State
from renate.threads import Threads
from renate.updaters.base import Updater

Config = dict[str, Any]
# Settings of a job that stand in the group which they are about.
OURS = ("grow", "backfill", "max_ram", "interval", "monitor")


@dataclass
class Job:
    """A running job: its plain, resolved config, its directory, and where its progress goes.

    Attributes:
        config: As composed; every interpolation resolved.
        saved: The same as text, what comes from the environment unresolved; this is what a state
            keeps.
        directory: See `JobDirectory`.
        record: What the launcher wrote into job.json.
        emit: Takes progress events.
        prefix: What the progress is of, in a stream: `update 2/5`.
        ranks: The processes that run it together.
    """

    config: Config
    saved: str
    directory: JobDirectory
    record: dict[str, Any]
    emit: Callable[[dict[str, Any]], None] = lambda event: None
    prefix: str = ""
    ranks: Ranks = ALONE

    def build(self, group: str, **given: Any) -> Any:
        node = {k: v for k, v in self.config[group].items() if k not in OURS}
        return build(node, group, trust=self.config["trust"], **given)

    def build_node(self, node: Config, key: str) -> Any:
        """Build what a node describes that is no longer as the config has it."""
        return build(node, key, trust=self.config["trust"])

    @property
    def candidate(self) -> str | None:
        """Where a tuner's trial leaves its outcome, if this is one: nothing of it may reach the
        state by itself.
        """
        if "trial" not in self.record:
            return None
        return str(self.record.get("candidate") or self.directory.path / "candidate")

    def state(self, url: str) -> State:
        """A state with the job's cache, whose large transfers are progress of this job."""
        settings = self.config["state"]
        cache = Cache(settings["cache_dir"], (settings["cache_gb"] or 0) * 1e9)
        return State(url, cache=cache, show=self.show)

    def show(self, done: int, total: int, text: str) -> None:
        self.emit(
            {
                "event": "progress",
                "done": done,
                "total": total,
                "text": f"{self.prefix} {text}".strip(),
            }
        )

    def tick(self, done: int, total: int, text: str) -> None:
        self.show(done, total, text)
        if self.ranks.alone:  # several stop together: see `RankSync`
            self.directory.check()

    def report(self, **metrics: float | int | str | None) -> None:
        if not self.ranks.first:
            return

        text = in_words(self.prefix, metrics)
        metrics = strict(metrics)
        self.emit({"event": "report", "text": text, "update": self.prefix, "metrics": metrics})
        self.directory.report(**({"update": self.prefix} if self.prefix else {}), **metrics)
        if self.ranks.alone:
            self.directory.check()


@dataclass
class Test:
    """One column of the accuracy matrix: data, and the classes it is about where the scenario
    cuts by class.
    """

    columns: Columns
    classes: list[int] | None = None


@dataclass
class Chunk:
    """The data of one update."""

    train: Columns
    val: Columns | None
    tests: dict[str, Test] = field(default_factory=dict)


def load_data(job: Job, known: Known | None, *, training: bool = True) -> Data:
    """Read the job's data; from then on the config's objective is that of what is predicted."""
    source = job.build("data")
    if job.ranks.first:
        source.show = job.show

    problem = problem_of(job, known)
    data: Data = source.load(
        seed=derive(job.config["seed"], "split"), known=known, problem=problem, training=training
    )
    if job.ranks.first:
        for text in data.notes:
            job.emit({"event": "report", "text": text, "always": True})

    job.config["objective"] = objective_of(job.config["objective"], data.problem)
    labels = data.problem.labels
    seen = job.ranks.gather((labels, length(data.train), data.input_shape))
    other = next((other for other in seen if other != seen[0]), None)

    if other is not None:
        raise DataError(
            f"data.train isn't the same on all hosts: {seen[0][1]} examples of {len(seen[0][0])} "
            "labels here, "
            f"{other[1]} of {len(other[0])} there: give each host the same files"
        )

    if data.new_labels and known is not None and not job.config["model"].get("grow"):
        raise DataError(
            f"labels {data.new_labels} are new, the state knows {known.problem.labels}: "
            "model.grow=true grows the "
            "model, or correct the data"
        )

    return data


def problem_of(job: Job, known: Known | None) -> Problem | None:
    """The problem that the config names; None where it leaves that open.

    Raises:
        ConfigError: The state's is another one.
    """
    if job.config["problem"]["_target_"] is None:
        return None

    problem: Problem = job.build("problem")
    if known is not None and type(problem) is not type(known.problem):
        raise ConfigError(
            f"problem={_option(problem)}: the state's is {_option(known.problem)}: leave it out, "
            "or start another state"
        )

    return problem


def _option(problem: Problem) -> str:
    return type(problem).__module__.rpartition(".")[2]


def objective_of(node: Mapping[str, Any], problem: Problem) -> Config:
    """The config's objective; `auto` is the problem's main metric on validation data."""
    if node["metric"] != "auto":
        return dict(node)
    return {**node, "metric": f"val_{problem.metric}", "mode": problem.mode}


def cut(job: Job, scenario: Scenario, data: Data, index: int) -> Chunk:
    """Cut one chunk out of the training and validation data; its tests are those of the data."""
    seed = derive(job.config["seed"], "scenario")
    classes = data.problem.classes
    take = partial(scenario.cut, index=index, seed=seed, num_classes=classes)
    val = take(data.val, part="val") if data.val is not None else None
    tests = {name: Test(take(columns, part="test")) for name, columns in data.test.items()}
    train = take(data.train, part="train")

    if not length(train):
        raise DataError(
            f"chunk {index} of {scenario.chunks} has no training examples: give fewer chunks or "
            "more data"
        )

    return Chunk(train, val if val is None or length(val) else None, tests)


def sizes(data: Data) -> dict[str, Any]:
    """What a model's constructor may ask for and the data answers."""
    shape = tuple(data.input_shape)
    return {
        "input_shape": shape,
        "in_channels": shape[0] if len(shape) == 3 else None,
        "in_features": math.prod(shape),
        **data.problem.facts,
    }


def model_node(job: Job, facts: Mapping[str, Any]) -> Config:
    """The model's config with its sizes filled in; this is what the state keeps of it."""
    node = {k: v for k, v in job.config["model"].items() if k not in OURS}
    unknown = [k for k, v in node.items() if v is None and k in facts and facts[k] is None]

    if unknown:
        raise ConfigError(
            f"model.{unknown[0]}=null: can't be read off inputs of shape "
            f"{list(facts['input_shape'])}; "
            "it needs images [C, H, W], or give it a value"
        )

    return {k: list(v) if isinstance(v, tuple) else v for k, v in infer(node, facts).items()}


def transform(job: Job, part: str, device: str | torch.device) -> BatchTransform:
    """`part`: stream, memory or test."""
    made = transform_of(job.config["transform"], part, device, trust=job.config["trust"])
    made.dtype = dtype_of(job.config["trainer"])
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
    made = {
        side: [
            build(t, f"transform.{side}.{part}[{i}]", **rules)
            for i, t in enumerate(node[side][part])
        ]
        for side in ("inputs", "targets")
    }
    return BatchTransform(made["inputs"], made["targets"], device)


def updater_of(job: Job, memory: Memory, problem: Problem) -> Updater:
    updater: Updater = job.build("updater")
    updater.memory = memory
    updater.criterion = criterion_of(job, problem)
    updater.problem = problem
    return updater


def criterion_of(job: Job, problem: Problem) -> nn.Module:
    """The loss; weights that the config gives as a list become the tensor that torch expects."""
    node = {name: value for name, value in job.config["loss"].items() if value is not None}
    if "_target_" not in node:
        node = _default("loss", problem.loss) | node

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
    _check_fits(criterion, "loss", problem, problem.loss)

    return criterion


def _check_fits(made: nn.Module, key: str, problem: Problem, default: object) -> None:
    """Return if a loss or a metric is of this problem.

    Raises:
        ConfigError: It would take outputs and targets for something else.
    """
    cls = type(made)
    if f"{cls.__module__}.{cls.__qualname__}".startswith(problem.refused):
        raise ConfigError(
            f"{key}: {cls.__name__} is not of problem={_option(problem)}, whose own is {default}; "
            "if the target is "
            "meant otherwise: problem=…"
        )


def _default(group: str, option: str | Mapping[str, Any]) -> Config:
    """What a problem has of a group: an option of that name, or the content itself."""
    return shipped(group, option) if isinstance(option, str) else dict(option)


def measure_of(
    job: Job, device: str | torch.device, problem: Problem, criterion: nn.Module
) -> Measure:
    """The metrics of the group `metrics`, on the test transform; measured by the first of several
    processes.

    The problem's own are measured too where the group lacks the one that a stream's matrix shows.

    Raises:
        ConfigError: A metric can't be built, or the objective isn't measured.
    """
    trust = job.config["trust"]
    nodes = job.config["metrics"]
    if problem.metric not in nodes:
        nodes = _default("metrics", problem.metrics) | nodes

    metrics = {
        name: build(infer(node, problem.facts), f"metrics.{name}", trust=trust)
        for name, node in nodes.items()
    }
    for name, metric in metrics.items():
        _check_fits(metric, f"metrics.{name}", problem, problem.metrics)

    _check_objective(job, [*metrics, "loss"])
    for metric in metrics.values():
        measure_alone(metric)

    trainer = job.config["trainer"]
    test = transform(job, "test", device)

    return Measure(
        metrics, criterion, test, trainer["eval_batch_size"], problem, threads=Threads.of(trainer)
    )


def _check_objective(job: Job, measured: Sequence[str]) -> None:
    """Return if the metrics that the objective names are measured: what that is may depend on the
    data.

    Raises:
        ConfigError: One isn't.
    """
    objective = job.config["objective"]
    others = objective["others"] or {}

    for key, metric in [
        ("metric=", objective["metric"]),
        *(("others.", other) for other in others),
    ]:
        name = str(metric).removeprefix("val_")
        if str(metric).startswith("val_") and name not in measured:
            choices = [f"val_{each}" for each in measured]
            raise ConfigError(
                f"objective.{key}{metric}: not measured{nearest(metric, choices)} "
                f"({', '.join(choices)})"
            )


def score(
    measure: Measure,
    model: nn.Module,
    updater: Updater,
    tests: Mapping[str, Test],
    ranks: Ranks = ALONE,
) -> dict[str, dict[str, float]]:
    """Return test name -> metric -> value.

    Raises:
        JobError: One of them is no number.
    """

    def measured() -> dict[str, dict[str, float]]:
        return {
            name: measure(model, updater, test.columns, test.classes)
            for name, test in tests.items()
        }

    scores = ranks.broadcast(measured)
    for test, found in scores.items():
        check_numbers(test, found)

    return scores


def check_numbers(test: str, found: Mapping[str, float]) -> None:
    """Return if each metric on a test set is a number.

    Raises:
        JobError: Naming the first one that isn't.
    """
    for name, value in found.items():
        if not math.isfinite(value):
            raise JobError(
                f"metric '{name}' on test set '{test}' is {value}: nothing is published; look for "
                "extreme values in that data, or try a smaller optimizer.lr"
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
        node.setdefault("mode", mode_of(job, monitor))

    node = infer(node, {"T_max": length_of[interval], "total_steps": length_of["step"]})

    def make(optimizer: torch.optim.Optimizer) -> Any:
        return build(node, "lr_scheduler", trust=job.config["trust"], optimizer=optimizer)

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


def flat(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """`test_<metric>`: the mean over the tests, then each test's own where there are several."""
    result: dict[str, float] = {}
    for name in next(iter(scores.values()), {}):
        result[f"test_{name}"] = sum(s[name] for s in scores.values()) / len(scores)
    if len(scores) > 1:
        result |= {f"test_{name}/{test}": s[name] for test, s in scores.items() for name in s}
    return result


def files_of(modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, bytes]]:
    """Serialise modules, one safetensors file each. Tensors that share memory are saved once per
    name.
    """
    from safetensors.torch import save

    for name, module in modules.items():
        state = module.own_state() if isinstance(module, Updater) else module.state_dict()
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.items()}
        yield f"{name}.safetensors", save(tensors)
