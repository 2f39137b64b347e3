"""What a problem is: it turns raw targets into tensors and outputs into answers.

This module and the problems beside it import neither torch nor numpy when they are loaded, because
a config is checked without either.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from renate.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from renate.data.kept.encoders import Encoder

    Array = np.ndarray[Any, Any]

Label = int | str


@dataclass(frozen=True)
class Targets:
    """Targets as a source has them.

    Attributes:
        values: [N] numbers, booleans or texts; [N, K] numbers or booleans of K columns; [N] lists,
            dtype object.
        where: What they are, for messages: `week1.csv: column 'label'`.
        names: Of the columns; empty where they have none.
    """

    values: "Array"
    where: str
    names: tuple[str, ...] = ()


class Problem(ABC):
    """What is predicted. The constructor takes settings; what `fit` learns of the targets is kept
    in the version.

    Attributes:
        loss: The option of conf/loss that is the default, or a config node.
        metrics: The option of conf/metrics that is the default, or name -> config node.
        metric: The one of them that fills a stream's matrix and, on validation data, is the default
            objective.
        mode: Which way it is better, `max` or `min`.
        refused: Where losses and metrics stand that would take outputs and targets of this problem
            for something else and give a number all the same.
        is_right_or_wrong: Whether each answer is the one or the other, so that it is graded 1 or 0.
        generates: Whether answers are texts that a model generates, of which the inputs hold those
            that it is trained on.
        labels: What each output stands for, in order; empty until `fit` or `restore`.
    """

    loss: ClassVar[Any]
    metrics: ClassVar[Any]
    metric: ClassVar[str]
    mode: ClassVar[str]
    refused: ClassVar[tuple[str, ...]] = ()
    is_right_or_wrong: ClassVar[bool] = False
    generates: ClassVar[bool] = False

    def __init__(self) -> None:
        self.labels: list[Label] = []

    @property
    def name(self) -> str:
        """What it is called in messages: of those of the package their option."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON has them."""
        return {}

    @property
    def outputs(self) -> int:
        """How many outputs the model needs."""
        return len(self.labels)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of one example's outputs."""
        return (self.outputs,)

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Shape of one encoded target."""
        if self.classes:
            return ()
        return (self.outputs,)

    @property
    def facts(self) -> dict[str, Any]:
        """What the constructor of a model or a metric may ask for by leaving it null."""
        return {
            "num_classes": self.outputs,
            "num_labels": self.outputs,
            "num_outputs": self.outputs,
        }

    @property
    def classes(self) -> int:
        """How many classes an example is exactly one of; 0 where that has no meaning."""
        return 0

    @abstractmethod
    def fit(self, targets: Targets) -> list[Label]:
        """Learn what there is to predict, besides what is known; returns the labels that are new.

        Raises:
            DataError: Targets that aren't of this problem, or of another kind than those known.
        """

    def take_in(self, found: Sequence[Label]) -> list[Label]:
        """Number the labels that are new after those that are known; returns them.

        Raises:
            DataError: Texts come where labels are whole numbers, or the reverse.
        """
        if found and isinstance(found[0], str) != isinstance(self.labels[0], str):
            raise DataError(
                f"data.train: its labels are like {found[0]!r}, the state's like {self.labels[0]!r}"
            )

        known = set(self.labels)
        new = [label for label in found if label not in known]
        self.labels = self.labels + new
        return new

    def take_encoder(self, encoder: "Encoder | None") -> None:  # noqa: B027
        """Called once the inputs' encoder is fitted or restored, before any target is encoded.

        Args:
            encoder: The source's; None where it has none.
        """

    @abstractmethod
    def encode(self, targets: Targets) -> "Array":
        """Return what is trained on: [N] or [N, K], in a dtype of torch's.

        Raises:
            DataError: Targets that `fit` has not seen, or that aren't of this problem.
        """

    def groups(self, targets: Targets) -> "Array":
        """Return the group [N] of each example. No group loses all its training examples to a
        hold-out.
        """
        import numpy as np

        return np.zeros(len(targets.values), np.int64)

    def fitted(self) -> dict[str, Any]:
        """What `fit` learned besides the labels, as JSON has it."""
        return {}

    def restore(self, labels: Sequence[Label], fitted: dict[str, Any]) -> None:
        """Take back what a version kept.

        Raises:
            ValueError: It isn't what `fitted` returns; it may come from a stranger.
        """
        if fitted:
            raise ValueError(f"problem.fitted holds '{next(iter(fitted))}', expected nothing")

        self.labels = list(labels)

    def answers(self, outputs: "Tensor") -> "Tensor":
        """Turn outputs [B, K] into what metrics take and users read: logits, probabilities, or
        values in their units.

        `encode`d targets, of the same shape, are turned by `truths`.
        """
        return outputs

    def probabilities(self, outputs: "Tensor") -> "Tensor | None":
        """Return the probability of each label, float64 [B, K]; None where answers are numbers."""
        return None

    def compared(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return what drift compares of a model's answers, float64 [B, K]: probabilities, or
        values.
        """
        found = self.probabilities(outputs)
        if found is None:
            found = self.answers(outputs)
        return found.reshape(len(outputs), -1).double()

    def truths(self, targets: "Tensor") -> "Tensor":
        """Turn encoded targets into what metrics compare answers with."""
        return targets

    def scored(self, outputs: "Tensor") -> "Tensor":
        """Turn outputs [B, K] into what metrics take: answers."""
        return self.answers(outputs)

    def graded(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return how good each answer is [B], more is better: minus the mean absolute error, in the
        targets' own units; 1 or 0 where answers are right or wrong.
        """
        errors = (self.answers(outputs) - self.truths(targets)).abs()
        return -errors.reshape(len(errors), -1).mean(1)

    def terms(self, targets: "Tensor") -> int:
        """Return how many terms the criterion's mean has for these encoded targets."""
        return len(targets)

    def counts(self, truths: "Tensor") -> "Tensor | None":
        """Return how many examples each label has, int64 [K]; None where that has no meaning."""
        return None

    def never(self, outputs: "Tensor") -> "Tensor":
        """Return [B, 1], what an output beside these [B, K] must hold to be no answer."""
        return outputs.amin(1, keepdim=True)

    def correct(self, outputs: "Tensor", targets: "Tensor", classes: Sequence[int]) -> "Tensor":
        """Return whether each answer [B] is right when only `classes` may be answered
        (task-incremental).
        """
        raise NotImplementedError(f"{type(self).__name__} has no classes")

    @abstractmethod
    def decode(self, outputs: "Tensor") -> list[Any]:
        """Return an answer for people for each row of outputs [B, K]."""


def check_known(labels: Iterable[Label], index: Mapping[Label, int], where: str) -> None:
    """Return if each label has an index.

    Raises:
        DataError: Naming the first few that have none.
    """
    unknown = [label for label in labels if label not in index]
    if unknown:
        raise DataError(f"{where}: labels {unknown[:5]} are in neither data.train nor the state")
