"""What a model is worth on test data."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from renate.build import build, infer, shipped
from renate.checks.arguments import target_of
from renate.errors import ConfigError, JobError, nearest
from renate.fitting.measure import Measure
from renate.fitting.measured.values import EACH
from renate.jobs.builders import check_fits, criterion_of, transform
from renate.jobs.building.weighting import BALANCED
from renate.jobs.chunks import Test
from renate.jobs.context import Config, Job
from renate.jobs.saved.restore import Saved
from renate.jobs.scoring.answered import Answered
from renate.libraries.torchmetrics import measure_alone
from renate.metrics import flips
from renate.problems.base import Problem
from renate.ranks import ALONE, Ranks
from renate.threads import Threads
from renate.updaters.base import Updater

COUNTS = ("num_classes", "num_labels")  # arguments of metrics: as many as the problem has outputs


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
    asked = job.config.get("metrics", {})
    nodes = asked
    if problem.metric not in nodes:
        nodes = shipped("metrics", problem.metrics) | nodes

    for name, node in asked.items():
        target_of(node, f"metrics.{name}")

    metrics = {
        name: build(infer(node, problem.facts), f"metrics.{name}", trust=trust)
        for name, node in nodes.items()
    }
    for name, metric in metrics.items():
        check_fits(metric, f"metrics.{name}", problem, problem.metrics)
    for name, node in asked.items():
        _check_arguments(node, f"metrics.{name}", problem, trust)

    _check_objective(job, [*(name for name in metrics if not name.endswith(EACH)), "loss"])
    for metric in metrics.values():
        measure_alone(metric)

    weighs = job.config["loss"].get("weight") == BALANCED
    if weighs or job.config["trainer"].get("mask_unused_classes"):  # these are of training data
        criterion = criterion_of(job, problem)

    trainer = job.config["trainer"]
    test = transform(job, "test", device)

    return Measure(
        metrics, criterion, test, trainer["eval_batch_size"], problem, threads=Threads.of(trainer)
    )


def _check_arguments(node: Config, key: str, problem: Problem, trust: Sequence[str]) -> None:
    """Return if the arguments of a metric that a config asks for can be.

    Raises:
        ConfigError: One can't, or it is of another number of labels.
    """
    for name in COUNTS:
        given = node.get(name)
        if given is not None and given != problem.outputs:
            raise ConfigError(
                f"{key}.{name}={given}: the data have {problem.outputs} labels: {key}.{name}=null "
                "takes their number"
            )

    if node.get("validate_args") is False:  # so that batches aren't looked at; arguments are
        build(infer(node, problem.facts) | {"validate_args": True}, key, trust=trust)


def old_and_new(problem: Problem, saved: Saved | None) -> dict[str, list[int]]:
    """The classes that a version knows and those that are new to it, told apart by name; nothing
    where none are new.
    """
    known = problem.classes
    if saved is not None:
        known = saved.problem.classes
    if known == problem.classes:
        return {}

    return {
        "old classes": list(range(known)),
        "new classes": list(range(known, problem.classes)),
    }


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
    answered: Answered | None = None,
) -> dict[str, dict[str, float]]:
    """Return test name -> metric -> value.

    Args:
        measure: Measures.
        model: What is measured.
        updater: Says how it predicts.
        tests: On what.
        ranks: Of several processes the first one measures.
        answered: Is given what is noted of the answers, in the first process.

    Raises:
        JobError: One of them is no number.
    """

    def measured() -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        measure.notes_answers = answered is not None
        for name, test in tests.items():
            found[name] = measure(model, updater, test.columns, test.classes)
            if answered is not None and measure.right is not None:
                answered.right[name] = measure.right
            if answered is not None and measure.counted is not None:
                answered.counts[name] = measure.counted
        return found

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


def flat(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """`test_<metric>`: the mean over the tests, then each test's own where there are several."""
    result: dict[str, float] = {}
    for name in dict.fromkeys(name for found in scores.values() for name in found):
        # Of a label that some tests have no example of, those that have one count
        values = [found[name] for found in scores.values() if name in found]
        result[f"test_{name}"] = sum(values) / len(values)

    if len(scores) > 1:
        result |= {f"test_{name}/{test}": v for test, s in scores.items() for name, v in s.items()}
    return result


def flips_between(old: Answered, new: Answered, tests: Sequence[str]) -> dict[str, float]:
    """Return how answers changed, see `renate.metrics.flips`, over all examples of tests together;
    nothing where one of both versions wasn't measured on them.
    """
    both = [name for name in tests if name in old.right and name in new.right]
    if not both:
        return {}

    before = torch.cat([old.right[name] for name in both])
    return flips(before, torch.cat([new.right[name] for name in both]))
