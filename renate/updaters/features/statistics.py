"""What heads share that are computed from statistics of features."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from renate.data.batch import Batch, Columns, length
from renate.data.model_inputs import ModelInputs
from renate.errors import ConfigError
from renate.updaters.base import Updater
from renate.updaters.features.solved import Solved
from renate.updaters.shared.features import features_of, freeze_all, head_of
from renate.updaters.shared.passes import check_alone
from renate.updaters.shared.precision import check_precision

PLACE = "place"  # the column of a fit that says which of the new examples a row is, int64 [N]
BEHIND = 100.0  # how far behind all others a class stands of which no example was seen


class FeatureStatistics(Updater):
    """A head that follows from sums over the frozen model's features, each example counted once.

    The sums are float64, so that neither their order nor the chunks matter; classes are rows, so
    that they grow. A later epoch adds only what those before it left out, as they do with
    `trainer.limit_train_batches`. The model's own head stays as it is and has no say.

    Attributes:
        counts: Examples of each class, [K].
        taken: How many examples the last update counted; during a fit, which ones, bool [N].
    """

    problems = ("classification",)
    counts: Tensor
    taken: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._solved = Solved()

    def setup(self, model: nn.Module) -> None:
        """Freeze the model, and make room for the sums of its features.

        Raises:
            ConfigError: The model doesn't end in a linear layer.
        """
        freeze_all(model)
        outputs = self.problem.outputs
        width = head_of(model, outputs).in_features

        # Something must be trained for a fit to have an optimizer; nothing depends on it
        self.nothing = nn.Parameter(torch.zeros(()))
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))
        self.register_buffer("counts", torch.zeros(outputs, dtype=torch.float64))
        self.make_room(outputs, width)

    @abstractmethod
    def make_room(self, outputs: int, width: int) -> None:
        """Register the sums of K classes over D features, as zeros; rows of classes first."""

    @abstractmethod
    def collect(self, features: Tensor, targets: Tensor) -> None:
        """Add a batch to the sums, but for `counts`, which has it already.

        Args:
            features: float64 [B, D].
            targets: int64 [B].
        """

    @abstractmethod
    def solve(self) -> tuple[Tensor, Tensor]:
        """Return the head that the sums give, float64: weights and bias, or what `scores` takes."""

    @abstractmethod
    def scores(self, features: Tensor, head: tuple[Tensor, Tensor]) -> Tensor:
        """Return each class's score [B, K] of features, float64 [B, D]."""

    def start(self, model: nn.Module, data: Columns) -> Columns:
        """Return the new data with the place of each example, by which it is counted once.

        Raises:
            ConfigError: Several processes would each have sums of their own.
        """
        check_alone(self.memory, f"{type(self).__name__} adds up all new data")
        self.taken = torch.zeros(length(data), dtype=torch.bool, device=self.counts.device)
        return data | {PLACE: torch.arange(length(data))}

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Add those of the batch to the sums that aren't in them yet, and return 0.

        Raises:
            ConfigError: The batch's examples are mixed, or the trainer has rounded the sums.
        """
        check_precision([self.counts], type(self).__name__)
        if batch.targets.ndim != 1:
            raise ConfigError(
                f"transform.mix: {type(self).__name__} counts whole examples: transform.mix=null"
            )

        places = batch.fields[PLACE]
        new = ~self.taken[places]
        count = int(new.sum())
        if count:
            with torch.no_grad():
                features = features_of(model, batch.inputs, head_of(model, self.problem.outputs))
                targets = batch.targets
                if count < len(new):
                    features = features[new]
                    targets = targets[new]

                self.taken[places] = True
                self.counts += torch.bincount(targets, minlength=len(self.counts))
                self.collect(features.double(), targets)

        return self.nothing * 0

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Keep how many examples were counted, and no longer which."""
        self.taken = self.taken.sum()

    def predict(self, model: nn.Module, inputs: ModelInputs) -> Tensor:
        """Return each class's score [B, K], 0 for the best; a class of which no example was seen
        stands behind all others.
        """
        features = features_of(model, inputs, head_of(model, len(self.counts)))
        scores = self.scores(features.double(), self._head())
        seen = self.counts > 0
        if not bool(seen.any()):
            return torch.zeros_like(scores, dtype=torch.float32)

        lowest = scores[:, seen].amin(1, keepdim=True)
        scores = torch.where(seen, scores, lowest - BEHIND)
        return (scores - scores.amax(1, keepdim=True)).float()

    def _head(self) -> tuple[Tensor, Tensor]:
        """The head, solved anew where a sum has changed since."""
        sums = [each for name, each in self.named_buffers() if name != "taken"]
        return self._solved.of(sums, self.solve)
