"""GDumb: a greedy sampler and a dumb learner."""

from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.errors import ConfigError
from renate.updaters.base import Updater
from renate.updaters.shared.anew import begin_anew


class GDumb(Updater):
    """Train from scratch, at each update, on the memory alone.

    Prabhu et al., 2020, https://doi.org/10.1007/978-3-030-58536-5_31: new data count only for what
    of them a class-balanced memory keeps.

    Args:
        reset: Start each update from the weights that the model has when it is built, as GDumb
            does; false goes on from the last update's.
    """

    replays = True
    weighs = True

    def __init__(self, reset: bool) -> None:
        super().__init__()
        self.reset = reset

    def start(self, model: nn.Module, data: Columns) -> Columns:
        """Offer the new data to the memory, return the model to its first weights, and return all
        that the memory holds, to train on.

        Raises:
            ConfigError: The memory keeps nothing, or several processes would each train on one of
                their own.
        """
        if self.memory.ranks > 1:
            raise ConfigError(
                f"updater=gdumb trains on one memory, and {self.memory.ranks} processes would "
                "train on more than it holds: trainer.devices=1"
            )

        self.memory.add_columns(data)
        if not len(self.memory):
            raise ConfigError(
                f"updater=gdumb trains on its memory alone, and a {self.memory.policy.name} keeps "
                "nothing: memory=greedy"
            )

        if self.reset:
            begin_anew(self, model)

        return self.memory.columns()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion, a scalar, of a batch of what the memory holds."""
        return self.mean_loss(model(batch.inputs), batch.targets, batch.weights)
