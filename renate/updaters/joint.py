"""Joint training."""

from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.errors import ConfigError
from renate.updaters.base import Updater


class Joint(Updater):
    """Train on all data seen so far, which the memory must keep (`memory=infinite`).

    Args:
        reset: Start each update from the weights that the model has when it is built: fresh ones,
            or those that it was given (pretrained or frozen parts, a model handed over by the
            caller).
    """

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
            self._begin_anew(model)

        return self.memory.columns()

    def _begin_anew(self, model: nn.Module) -> None:
        """Return the model to the weights it was built with.

        Raises:
            ConfigError: No job says how it is built, and some parameter belongs to no module that
                can reset itself.
        """
        if self.rebuild is not None:
            model.load_state_dict(self.rebuild().state_dict())
            return

        lone = {id(p): name for name, p in model.named_parameters()}
        for module in model.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
                for parameter in module.parameters(recurse=False):
                    lone.pop(id(parameter), None)

        if lone:
            raise ConfigError(
                f"updater.reset=true: nothing resets the parameter '{next(iter(lone.values()))}': "
                "set rebuild, "
                "which makes the model anew"
            )

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion, a scalar, of a batch of what `start` returned."""
        loss: Tensor = self.criterion(model(batch.inputs), batch.targets)
        return loss
