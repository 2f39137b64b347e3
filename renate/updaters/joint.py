"""Joint training."""

from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.updaters.base import Updater


class Joint(Updater):
    """Train on all data seen so far, which the memory must keep (`memory=infinite`).

    Args:
        reset: Start each update from fresh weights. Every module of the model that has `reset_parameters` is reset.
    """

    def __init__(self, reset: bool) -> None:
        super().__init__()
        self.reset = reset

    def start(self, model: nn.Module, data: Columns) -> Columns:
        self.memory.add_columns(data)
        if self.reset:
            for module in model.modules():
                if callable(reset := getattr(module, "reset_parameters", None)):
                    reset()
        return self.memory.columns()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        loss: Tensor = self.criterion(model(batch.inputs), batch.targets)
        return loss
