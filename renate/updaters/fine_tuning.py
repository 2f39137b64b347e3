"""Fine-tuning."""

from torch import Tensor, nn

from renate.data.batch import Batch
from renate.updaters.base import Updater


class FineTuning(Updater):
    """Train on the new data alone."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch, a scalar; the memory has no part."""
        loss: Tensor = self.criterion(model(batch.inputs), batch.targets)
        return loss
