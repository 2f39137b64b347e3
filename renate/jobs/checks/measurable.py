"""Before any training: can the metrics measure what is predicted?"""

import warnings
from collections.abc import Collection
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from renate.data.batch import Columns
from renate.data.items.served import first_of
from renate.errors import ConfigError
from renate.fitting.measure import Measure
from renate.fitting.measured.values import numbers_of

EXAMPLES = 64  # enough for what is defined on some alone


def try_metrics(measure: Measure, names: Collection[str], columns: Columns) -> None:
    """Let metrics measure made-up outputs for a few targets; the metrics stay as they are.

    Args:
        measure: Has them.
        names: Those that a config asks for; the package's own are known to fit their problem.
        columns: To be trained on.

    Raises:
        ConfigError: A metric doesn't take them.
        JobError: It gives another number of values.
    """
    problem = measure.problem
    # What is generated: targets say only together with the inputs what an answer is
    if not names or problem.generates:
        return

    targets = first_of({"targets": columns["targets"]}, EXAMPLES)["targets"]
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(len(targets), *problem.output_shape, generator=generator)
    if targets.is_floating_point():
        targets = targets.to(outputs.dtype)
    answers = problem.scored(outputs)
    truths = problem.truths(targets)

    labels = dict.fromkeys(problem.labels, True)
    for name in names:
        value = _tried(name, deepcopy(measure.metrics[name]), answers, truths)
        if value is not None:
            numbers_of(name, value, labels)


def _tried(name: str, metric: Metric, answers: Tensor, truths: Tensor) -> Any:
    """What a metric computes; None where these are too few for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            metric.update(answers, truths)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            line = str(error).strip().partition("\n")[0]
            kind = str(truths.dtype).removeprefix("torch.")
            raise ConfigError(
                f"metrics.{name}: {type(metric).__name__} can't take answers "
                f"{list(answers.shape)} and targets {list(truths.shape)} ({kind}): {line}"
            ) from error

        try:
            return metric.compute()
        except ValueError:
            return None
