"""Numbers."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from renate.errors import DataError
from renate.problems.base import Label, Problem, Targets

if TYPE_CHECKING:
    from torch import Tensor

    from renate.problems.base import Array


ROUNDING = 1e-12  # of the largest value: a deviation below that is none
DIVIDE = "divide the target by a constant"


class Regression(Problem):
    """Each example has a number, or several.

    Args:
        standardise: Train on (value - mean) / standard deviation of the first update's training
            data, which the state keeps. Metrics, and what a loaded model answers, are in the
            values' own units all the same.
    """

    loss = "mse"
    metrics = "regression"
    metric = "rmse"
    mode = "min"
    refused = (
        "torch.nn.modules.loss.CrossEntropyLoss",
        "torch.nn.modules.loss.NLLLoss",
        "torch.nn.modules.loss.Multi",
        "torch.nn.modules.loss.BCE",
        "torch.nn.modules.loss.SoftMargin",
        "renate.losses.focal.",
        "torchmetrics.classification.",
    )

    def __init__(self, standardise: bool) -> None:
        super().__init__()
        self.standardise = standardise
        self.mean: list[float] = []
        self.scale: list[float] = []

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's `standardise`."""
        return {"standardise": self.standardise}

    def fit(self, targets: Targets) -> list[Label]:
        """At a first update learn the values' names, and return them, and their mean and scale if
        `standardise` is on; later only check the targets.

        Raises:
            DataError: Targets that aren't finite numbers, or not as many an example as the
                state's.
        """
        import numpy as np

        values = _numbers(targets)
        width = values.shape[1]
        names = list(targets.names) or ["target", *(f"target {place}" for place in range(1, width))]

        if self.labels:
            if len(self.labels) != width:
                raise DataError(
                    f"{targets.where}: {width} values an example, the state's have "
                    f"{len(self.labels)}"
                )
            return []

        self.labels = list(names)
        self.mean = [0.0] * width
        self.scale = [1.0] * width

        if self.standardise:
            with np.errstate(over="ignore"):
                spread = values.std(0)
            if not np.isfinite(spread).all():
                raise DataError(f"{targets.where}: its deviation is beyond float64: {DIVIDE}")

            # Rounding leaves a constant a deviation that is none
            varies = spread > ROUNDING * abs(values).max(0)
            self.mean = values.mean(0).tolist()
            self.scale = [
                float(each) if is_some else 1.0
                for each, is_some in zip(spread, varies, strict=True)
            ]

        return list(self.labels)

    def encode(self, targets: Targets) -> "Array":
        """Return float32 [N, K].

        Raises:
            DataError: Not as many values an example as `fit` has seen, or one that is no finite
                number, as it is or in float32.
        """
        import numpy as np

        values = _numbers(targets)

        if values.shape[1] != len(self.labels):
            raise DataError(
                f"{targets.where}: {values.shape[1]} values an example, expected {len(self.labels)}"
            )

        standardised: Array = (values - np.array(self.mean)) / np.array(self.scale)
        with np.errstate(over="ignore"):
            encoded: Array = standardised.astype(np.float32)

        odd = np.argwhere(~np.isfinite(encoded))
        if len(odd):
            row, place = (int(each) for each in odd[0])
            raise DataError(
                f"{targets.where}: row {row} (the first is 0) is {values[row, place]:g}, too large "
                f"to train on: {DIVIDE}"
            )

        return encoded

    def fitted(self) -> dict[str, Any]:
        """Return `mean` and `scale`, a number per output of each; 0 and 1 where nothing is
        standardised.
        """
        return {"mean": self.mean, "scale": self.scale}

    def restore(self, labels: Sequence[Label], fitted: dict[str, Any]) -> None:
        """Take back labels, `mean` and `scale`.

        Raises:
            ValueError: Other keys, not one finite number per output, or a scale that isn't above
                0.
        """
        if fitted.keys() != {"mean", "scale"}:
            raise ValueError(
                f"problem.fitted has the keys {sorted(fitted)}, expected mean and scale"
            )

        for name, numbers in fitted.items():
            kept = isinstance(numbers, list) and len(numbers) == len(labels)
            if not kept or not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
                raise ValueError(
                    f"problem.fitted.{name}: expected {len(labels)} numbers, one for each output"
                )

        if any(number <= 0 for number in fitted["scale"]):
            raise ValueError("problem.fitted.scale holds a number that isn't above 0")

        self.labels = list(labels)
        self.mean = fitted["mean"]
        self.scale = fitted["scale"]

    def answers(self, outputs: "Tensor") -> "Tensor":
        """Return the values in their own units: float64 [B, K], or [B] of a single one."""
        values = outputs.double()
        values = values * values.new_tensor(self.scale) + values.new_tensor(self.mean)
        if len(self.labels) == 1:
            return values[:, 0]
        return values

    def truths(self, targets: "Tensor") -> "Tensor":
        """Return the targets in their own units, as `answers` returns outputs."""
        return self.answers(targets)

    def decode(self, outputs: "Tensor") -> list[Any]:
        """Return a number for each row, or a list of several."""
        answers: list[Any] = self.answers(outputs).tolist()
        return answers


def _numbers(targets: Targets) -> "Array":
    """Return float64 [N, K].

    Raises:
        DataError: Text, lists, or a value that isn't finite.
    """
    import numpy as np

    values = targets.values
    if values.dtype == object:
        raise DataError(f"{targets.where} holds {values[0]!r}, regression predicts numbers")

    found = values.astype(np.float64).reshape(len(values), -1)
    odd = np.argwhere(~np.isfinite(found))
    if len(odd):
        row = int(odd[0][0])
        raise DataError(
            f"{targets.where}: row {row} (the first is 0) is {found[row, odd[0][1]]}, expected a "
            "number"
        )

    return found
