"""Any number of labels."""

from itertools import chain
from typing import TYPE_CHECKING, Any

from renate.errors import DataError
from renate.problems.base import Label, Problem, Targets, check_known

if TYPE_CHECKING:
    from torch import Tensor

    from renate.problems.base import Array


UNLIKELY = -10.0  # a logit: one in 20,000


class MultiLabel(Problem):
    """Each example has any number of labels: a column of lists, or a column of 0 and 1 for each
    label.

    Args:
        threshold: The probability from which on a label is answered.
    """

    loss = "binary_cross_entropy"
    metrics = "multi_label"
    metric = "f1_micro"
    mode = "max"
    is_right_or_wrong = True
    refused = (
        "torch.nn.modules.loss.CrossEntropyLoss",
        "torch.nn.modules.loss.NLLLoss",
        "torch.nn.modules.loss.MultiMarginLoss",
        "torch.nn.modules.loss.MultiLabelMarginLoss",  # takes indices
        "renate.losses.focal.Focal",
        "torchmetrics.regression.",
    )

    def __init__(self, threshold: float) -> None:
        super().__init__()
        if not 0 < threshold < 1:
            raise ValueError(f"threshold={threshold}: expected above 0 and below 1")
        self.threshold = threshold

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's `threshold`."""
        return {"threshold": self.threshold}

    @property
    def facts(self) -> dict[str, Any]:
        """What a model or a metric may ask for: the numbers of outputs, and `threshold`."""
        return super().facts | {"threshold": self.threshold}

    def fit(self, targets: Targets) -> list[Label]:
        """Add the labels that are new, of columns their names, of lists what they hold, sorted;
        return them.

        Raises:
            DataError: Columns that hold other than 0 and 1, lists that hold no labels or one
                twice, no label at all at a first update, or texts and whole numbers as labels of
                one state.
        """
        if targets.values.ndim > 1:
            found = _names(targets)
            _check_flags(targets)
        else:
            found = _sorted(set(chain.from_iterable(_lists(targets))), targets.where)

        if not self.labels:
            if not found:
                raise DataError(f"{targets.where}: no example has a label")
            self.labels = found
            return found

        return self.take_in(found)

    def encode(self, targets: Targets) -> "Array":
        """Return float32 [N, K]: 1 where an example has a label."""
        import numpy as np

        index = {label: position for position, label in enumerate(self.labels)}
        encoded = np.zeros((len(targets.values), len(self.labels)), np.float32)

        if targets.values.ndim > 1:
            _check_flags(targets)
            names = _names(targets)
            check_known(names, index, targets.where)
            encoded[:, [index[name] for name in names]] = targets.values
            return encoded

        lists = _lists(targets)
        check_known(dict.fromkeys(chain.from_iterable(lists)), index, targets.where)
        rows = np.repeat(np.arange(len(lists)), [len(labels) for labels in lists])
        columns = np.array([index[label] for label in chain.from_iterable(lists)], np.int64)
        encoded[rows, columns] = 1

        return encoded

    def answers(self, outputs: "Tensor") -> "Tensor":
        """Return the probability of each label [B, K]: metrics guess whether they are given
        logits.
        """
        return outputs.sigmoid()

    def probabilities(self, outputs: "Tensor") -> "Tensor":
        """Return the probability of each label, float64."""
        return outputs.double().sigmoid()

    def never(self, outputs: "Tensor") -> "Tensor":
        """Return [B, 1], the smallest logit of each row, or `UNLIKELY` where that is smaller."""
        return outputs.amin(1, keepdim=True).clamp(max=UNLIKELY)

    def truths(self, targets: "Tensor") -> "Tensor":
        """Return the flags [B, K] as int64."""
        return targets.long()

    def graded(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return 1 where all labels are answered rightly, else 0: float64 [B]."""
        chosen = self.answers(outputs) >= self.threshold
        return (chosen == (targets > 0)).all(1).double()

    def counts(self, truths: "Tensor") -> "Tensor":
        """Return how many examples have each label, int64 [K]."""
        return truths.sum(0)

    def decode(self, outputs: "Tensor") -> list[Any]:
        """Return the labels of each row, in their order."""
        chosen = (self.answers(outputs) >= self.threshold).tolist()
        return [
            [label for label, yes in zip(self.labels, row, strict=True) if yes] for row in chosen
        ]


def _names(targets: Targets) -> list[Label]:
    """The labels that columns stand for."""
    if targets.names:
        return list(targets.names)
    return list(range(targets.values.shape[1]))


def _lists(targets: Targets) -> list[list[Any]]:
    values: list[Any] = targets.values.tolist()
    for row, value in enumerate(values):
        if not isinstance(value, list | tuple):
            raise DataError(
                f"{targets.where}: row {row} (the first is 0) is {value!r}, expected a list of "
                "labels: several columns of 0 and 1 do as well, data.target=[a,b,c]"
            )

        for label in value:
            if isinstance(label, bool) or not isinstance(label, str | int) or label == "":
                raise DataError(
                    f"{targets.where}: row {row} (the first is 0) holds {label!r}, a label is text "
                    "or a whole number"
                )

        if len(set(value)) < len(value):
            raise DataError(
                f"{targets.where}: row {row} (the first is 0) holds a label twice: "
                f"{list(value)[:10]}"
            )
    return values


def _sorted(labels: set[Any], where: str) -> list[Label]:
    if len({isinstance(label, str) for label in labels}) > 1:
        raise DataError(f"{where}: some labels are text, some whole numbers: use one kind")
    return sorted(labels)


def _check_flags(targets: Targets) -> None:
    import numpy as np

    values = targets.values
    odd = np.argwhere((values != 0) & (values != 1))

    if len(odd):
        row, column = odd[0].tolist()
        if targets.names:
            name = f", column '{targets.names[column]}'"
        else:
            name = f", value {column}"

        raise DataError(
            f"{targets.where}: row {row} (the first is 0){name} is {values[row, column].item()!r}, "
            "expected 0 or 1"
        )
