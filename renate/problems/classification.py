"""One of several classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from renate.errors import DataError
from renate.problems.base import Label, Problem, Targets, check_known

if TYPE_CHECKING:
    from torch import Tensor

    from renate.problems.base import Array


class Classification(Problem):
    """Each example is of exactly one class: text, a whole number or a boolean.

    Classes are numbered in sorted order at a first update; those that come later follow.
    """

    loss = "cross_entropy"
    metrics = "classification"
    metric = "accuracy"
    mode = "max"
    is_right_or_wrong = True
    refused = (
        "torch.nn.modules.loss.L1Loss",
        "torch.nn.modules.loss.MSELoss",
        "torch.nn.modules.loss.HuberLoss",
        "torch.nn.modules.loss.SmoothL1Loss",
        "renate.losses.focal.BinaryFocal",
        "torchmetrics.regression.",
    )

    @property
    def classes(self) -> int:
        """The number of labels."""
        return len(self.labels)

    def fit(self, targets: Targets) -> list[Label]:
        """Add the labels that are new, in sorted order, and return them.

        Raises:
            DataError: A first update has one class only, texts come where labels are numbers, or
                the reverse, or targets aren't one label each.
        """
        found = sorted(set(self.groups(targets).tolist()))
        if not self.labels:
            if len(found) < 2:
                raise DataError(
                    f"data.train has one class only, {found[0]!r}: a first update needs two or more"
                )
            self.labels = found
            return found

        return self.take_in(found)

    def encode(self, targets: Targets) -> "Array":
        """Return the index of each label, int64 [N]."""
        import numpy as np

        index = {label: position for position, label in enumerate(self.labels)}
        values, inverse = np.unique(self.groups(targets), return_inverse=True)
        check_known(values.tolist(), index, targets.where)
        indices = np.array([index[value] for value in values.tolist()], dtype=np.int64)

        return indices[inverse]

    def groups(self, targets: Targets) -> "Array":
        """Return the label of each example: int64 [N], or texts [N] of dtype object."""
        from renate.data.tables.exact import whole_labels

        values = targets.values

        if values.ndim > 1:
            raise DataError(
                f"{targets.where}: {values.shape[1]} values an example, a class is one: "
                "problem=multi_label or regression, or one column as data.target"
            )

        if values.dtype.kind == "U":
            return values.astype(object)
        if values.dtype != object:
            return whole_labels(values, targets.where)
        if len(values) and isinstance(values[0], list | tuple):
            raise DataError(f"{targets.where}: lists, a class is one label: problem=multi_label")

        for row, value in enumerate(values.tolist()):
            if not isinstance(value, str):
                raise DataError(
                    f"{targets.where}: row {row} (the first is 0) is {value!r}, others are texts: "
                    "labels are of one kind"
                )

        return values

    def correct(self, outputs: "Tensor", targets: "Tensor", classes: Sequence[int]) -> "Tensor":
        """Return whether the largest logit among those of `classes` is the target's, bool [B]."""
        from renate.metrics import mask_logits

        return mask_logits(outputs, classes).argmax(1) == targets

    def graded(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return 1 where the largest logit is the target's, else 0: float64 [B]."""
        return (outputs.argmax(1) == targets).double()

    def scored(self, outputs: "Tensor") -> "Tensor":
        """Return logits that no metric takes for probabilities, as torchmetrics does where all of
        a batch lie between 0 and 1.
        """
        if not bool(((outputs >= 0) & (outputs <= 1)).all()):
            return outputs

        # In 64 bits no two of them become equal; of a softmax the shift changes nothing
        wide = outputs if outputs.device.type == "mps" else outputs.double()
        return wide - 2

    def counts(self, truths: "Tensor") -> "Tensor":
        """Return how many examples each class has, int64 [K]."""
        return truths.bincount(minlength=len(self.labels))

    def probabilities(self, outputs: "Tensor") -> "Tensor":
        """Return the softmax of each row of logits, float64."""
        return outputs.double().softmax(1)

    def decode(self, outputs: "Tensor") -> list[Any]:
        """Return the label of each row of logits."""
        return [self.labels[index] for index in outputs.argmax(1).tolist()]
