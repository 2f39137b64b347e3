"""Fine-tuning."""

from torch import Tensor, nn

from renate.data.batch import Batch
from renate.updaters.base import Updater


class FineTuning(Updater):
    """Train on the new data alone."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        loss: Tensor = self.criterion(model(batch.inputs), batch.targets)
        return loss
