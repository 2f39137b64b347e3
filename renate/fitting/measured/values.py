"""Metrics' values as numbers with names, and what is no number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from renate.errors import JobError
from renate.libraries.torchmetrics import is_of_curves
from renate.problems.base import Label

EACH = "/*"  # how a metric's name ends that has a value for each label


def number_of(name: str, value: Any) -> float:
    """A metric's value as a number.

    Raises:
        JobError: It is several.
    """
    if isinstance(value, Tensor | int | float) and torch.as_tensor(value).numel() == 1:
        return float(value)

    shape = getattr(value, "shape", None)
    if shape is None:
        found = f"a {type(value).__name__}"
    else:
        found = f"values of shape {list(shape)}"

    raise JobError(
        f"metrics.{name} gives {found}, expected one number: give it average=macro or micro where "
        f"it knows that, or another metric; one for each label is called '{name}{EACH}'"
    )


def numbers_of(name: str, value: Any, labels: Mapping[Label, bool]) -> dict[str, float]:
    """A metric's values by the names that they have in reports and results.

    Args:
        name: In the group `metrics`; one that ends in `EACH` has a value for each label.
        value: What it has computed.
        labels: What each output stands for -> whether the data have an example of it.

    Raises:
        JobError: It has another number of values.
    """
    if not name.endswith(EACH):
        return {name: number_of(name, value)}

    if not isinstance(value, Tensor) or value.shape != (len(labels),):
        shape = list(getattr(value, "shape", []))
        raise JobError(
            f"metrics.{name} gives values of shape {shape}, expected {len(labels)}, one for each "
            "label: give it average=none where it knows that"
        )

    found = zip(labels.items(), value.tolist(), strict=True)
    return {f"{name.removesuffix('*')}{label}": v for (label, has_one), v in found if has_one}


def check_defined(
    name: str, metric: Metric, counts: Tensor, rows: int, labels: Sequence[Label]
) -> None:
    """Return if a metric is defined on examples, of which each label has so many.

    Raises:
        JobError: It isn't, and would be a number all the same.
    """
    if not is_of_curves(metric):
        return

    whole = (counts == rows).nonzero().flatten().tolist()
    if whole:
        raise JobError(
            f"metrics.{name}: every example is of label {labels[whole[0]]!r}, which leaves nothing "
            "to tell it from: measure on data of several labels, or leave this metric out"
        )

    missing = (counts == 0).nonzero().flatten().tolist()
    if missing and getattr(metric, "average", None) == "macro":
        raise JobError(
            f"metrics.{name}: no example is of label {labels[missing[0]]!r}, so it has no mean "
            "over the labels: average=weighted leaves such labels out"
        )


@dataclass
class Share:
    """How many examples of some classes are right."""

    right: int = 0
    examples: int = 0

    def take(self, logits: Tensor, targets: Tensor, classes: Sequence[int]) -> None:
        """Count those that are right of the examples of some classes.

        Args:
            logits: [B, K].
            targets: int64 [B].
            classes: Their indices.
        """
        own = torch.isin(targets, torch.tensor(classes, device=targets.device))
        self.right += int((logits.argmax(1) == targets)[own].sum())
        self.examples += int(own.sum())

    @property
    def value(self) -> float | None:
        """The share that is right; None where there is no example."""
        if not self.examples:
            return None
        return self.right / self.examples
