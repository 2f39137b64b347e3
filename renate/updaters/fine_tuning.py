"""Fine-tuning."""

from torch import Tensor, nn

from renate.data.batch import Batch
from renate.updaters.base import Updater


class FineTuning(Updater):
    """Train on the new data alone."""

    weighs = True
    multi_head = True
    generates = True

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch, a scalar; the memory has no part."""
        return self.mean_loss(model(batch.inputs), batch.targets, batch.weights)
