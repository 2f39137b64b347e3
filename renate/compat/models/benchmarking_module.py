"""What Renate's own models have in common: a network, and a head for each task."""

from typing import Any

import torch
from torch import Tensor, nn

from renate.compat.models.renate_module import RenateModule
from renate.compat.names.defaults import TASK_ID
from renate.errors import ConfigError, nearest


class RenateBenchmarkingModule(RenateModule):
    """A network `_backbone`, which a subclass sets, below one linear head for each task.

    The weights have the names that Renate's have.

    Args:
        embedding_size: How many values of an example the network gives.
        num_outputs: Outputs of each head.
        constructor_arguments: See `RenateModule`.
        prediction_strategy: Renate's for iCaRL, which this package hasn't.
        add_icarl_class_means: Whether the weights hold a matrix for iCaRL, as Renate's do.

    Raises:
        ConfigError: A number that can't be right, or a prediction strategy.
    """

    _backbone: nn.Module

    def __init__(
        self,
        embedding_size: int,
        num_outputs: int,
        constructor_arguments: dict[str, Any],
        prediction_strategy: Any = None,
        add_icarl_class_means: bool = True,
    ) -> None:
        name = type(self).__name__
        if prediction_strategy is not None:
            raise ConfigError(
                f"{name}: prediction_strategy={prediction_strategy!r}: this package has only None"
            )
        if type(num_outputs) is not int or num_outputs < 1:
            raise ConfigError(f"num_outputs={num_outputs!r}: expected a whole number of 1 or more")

        said = {"num_outputs": num_outputs, "add_icarl_class_means": add_icarl_class_means}
        super().__init__(constructor_arguments=constructor_arguments | said)
        self._embedding_size = embedding_size
        self._num_outputs = num_outputs
        self._tasks_params = nn.ModuleDict()
        self.add_task_params(TASK_ID)
        if add_icarl_class_means:
            means = torch.zeros(embedding_size, num_outputs)
            self.class_means = nn.Parameter(means, requires_grad=False)

    def _add_task_params(self, task_id: str) -> None:
        self._tasks_params[task_id] = nn.Linear(self._embedding_size, self._num_outputs)

    def get_backbone(self, task_id: str = TASK_ID) -> nn.Module:
        """Return the network below the heads."""
        return self._backbone

    def get_predictor(self, task_id: str = TASK_ID) -> nn.Module:
        """Return a task's head.

        Raises:
            ConfigError: The task has none.
        """
        if task_id not in self._tasks_params:
            raise ConfigError(
                f"task_id={task_id!r}: there are heads for {', '.join(self._tasks_params)}"
                f"{nearest(str(task_id), self._tasks_params)}"
            )
        return self._tasks_params[task_id]

    def get_params(self, task_id: str | None = None) -> list[nn.Parameter]:
        """Return the parameters of the network and of one task's head."""
        head = self.get_predictor(task_id or TASK_ID)
        return [*self._backbone.parameters(), *head.parameters()]

    def forward(self, x: Any, task_id: str | None = None) -> Tensor:
        """Return outputs [B, num_outputs] of a task's head."""
        outputs: Tensor = self.get_predictor(task_id or TASK_ID)(self._backbone(x))
        return outputs
