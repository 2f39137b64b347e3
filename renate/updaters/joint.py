"""Joint training."""

from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.errors import ConfigError
from renate.updaters.base import Updater
from renate.updaters.shared.anew import begin_anew


class Joint(Updater):
    """Train on all data seen so far, which the memory must keep (`memory=infinite`).

    Args:
        reset: Start each update from the weights that the model has when it is built: fresh ones,
            or those that it was given (pretrained or frozen parts, a model handed over by the
            caller).
    """

    weighs = True
    multi_head = True
    generates = True

    def __init__(self, reset: bool) -> None:
        super().__init__()
        self.reset = reset

    def start(self, model: nn.Module, data: Columns) -> Columns:
        """Put the new data into the memory, return the model to its first weights if `reset` is on,
        and return all that the memory holds, to train on.

        Raises:
            ConfigError: The memory forgets, or nothing resets some parameter of the model.
        """
        if self.memory.policy.forgets:
            raise ConfigError(
                "updater=joint trains on everything seen so far, which a "
                f"{self.memory.policy.name} forgets: "
                "memory=infinite"
            )

        self.memory.add_columns(data)
        if self.reset:
            begin_anew(self, model)

        return self.memory.columns()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion, a scalar, of a batch of what `start` returned."""
        return self.mean_loss(model(batch.inputs), batch.targets, batch.weights)
