"""Renate's perceptron, with its signature; its weights have the names that Renate's have."""

import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from renate.compat.models.benchmarking_module import RenateBenchmarkingModule
from renate.compat.models.renate_module import EXTRA

# What `batch_normalization` is of networks that this package made before it had Renate's order.
BEFORE = "before the activation"
EARLIER = re.compile(r"(layers\.|head\.)")  # how their weights began


class MultiLayerPerceptron(RenateBenchmarkingModule):
    """Flattens its input; `num_hidden_layers + 1` hidden layers, as Renate built them.

    Args:
        num_inputs: Size of one example, flattened.
        num_outputs: Outputs.
        num_hidden_layers: Hidden layers after the first one.
        hidden_size: Their width, or one for each of the `num_hidden_layers + 1`.
        activation: A class of torch.nn, by its name.
        batch_normalization: Whether each hidden layer is normalised, after the activation; or
            `BEFORE`.
        prediction_strategy: See `RenateBenchmarkingModule`.
        add_icarl_class_means: See `RenateBenchmarkingModule`.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        num_hidden_layers: int,
        hidden_size: int | Sequence[int],
        activation: str = "ReLU",
        batch_normalization: bool | str = False,
        prediction_strategy: Any = None,
        add_icarl_class_means: bool = True,
    ) -> None:
        if batch_normalization not in (True, False, BEFORE):
            raise ValueError(f"batch_normalization={batch_normalization!r}: expected True or False")

        widths = _widths(hidden_size, num_hidden_layers + 1)
        super().__init__(
            embedding_size=widths[-1],
            num_outputs=num_outputs,
            constructor_arguments={
                "num_inputs": num_inputs,
                "num_hidden_layers": num_hidden_layers,
                "hidden_size": widths,
                "activation": activation,
                "batch_normalization": batch_normalization,
            },
            prediction_strategy=prediction_strategy,
            add_icarl_class_means=add_icarl_class_means,
        )
        make = getattr(nn, activation, None)
        if not isinstance(make, type) or not issubclass(make, nn.Module):
            raise ValueError(f"activation={activation!r}: expected a class of torch.nn, as 'ReLU'")

        layers: list[nn.Module] = [nn.Flatten()]
        size = num_inputs
        for width in widths:
            layers += [nn.Linear(size, width), make()]
            if batch_normalization:
                place = len(layers)
                if batch_normalization == BEFORE:
                    place -= 1
                layers.insert(place, nn.BatchNorm1d(width))
            size = width

        self._backbone = nn.Sequential(*layers)

    def begin_from(self, tensors: dict[str, Tensor]) -> None:
        """Make what a state's weights have for tasks; weights under earlier names get their new
        ones.
        """
        super().begin_from(tensors)
        self.rename(tensors, "")
        if EXTRA in tensors:
            tensors[EXTRA] = self.get_extra_state()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *arguments: Any) -> None:
        self.rename(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def rename(self, tensors: dict[str, Tensor], prefix: str) -> None:
        """Give weights of this package's perceptron before it had Renate's names their new ones.

        It had one head for all tasks, and normalised before the activation, as this one then does.

        Args:
            tensors: Changed in place.
            prefix: What the names begin with.
        """
        found = {name.removeprefix(prefix): name for name in tensors if name.startswith(prefix)}
        if not any(EARLIER.match(name) for name in found):
            return

        if self._constructor_arguments["batch_normalization"] is True:
            self._normalise_before()

        for name, full in found.items():
            if name.startswith("layers."):
                ending = name.removeprefix("layers.")
                tensors[f"{prefix}_backbone.{ending}"] = tensors.pop(full)
            if name.startswith("head."):
                tensor = tensors.pop(full)
                ending = name.removeprefix("head.")
                for task_id in self._tasks_params:
                    tensors[f"{prefix}_tasks_params.{task_id}.{ending}"] = tensor.clone()

        if hasattr(self, "class_means"):
            tensors[f"{prefix}class_means"] = self.class_means.detach().clone()

    def _normalise_before(self) -> None:
        layers = [*self._backbone.children()]
        for place, layer in enumerate(layers):
            if isinstance(layer, nn.BatchNorm1d):
                layers[place - 1], layers[place] = layer, layers[place - 1]

        self._backbone = nn.Sequential(*layers)
        self._constructor_arguments["batch_normalization"] = BEFORE


def _widths(hidden_size: int | Sequence[int], layers: int) -> list[int]:
    if layers < 1:
        raise ValueError(f"num_hidden_layers={layers - 1}: expected 0 or more")
    if isinstance(hidden_size, int):
        widths = [hidden_size] * layers
    else:
        widths = list(hidden_size)

    if len(widths) != layers:
        raise ValueError(
            f"hidden_size={list(widths)}: expected one width, or num_hidden_layers + 1 = {layers}"
        )
    for width in widths:
        if type(width) is not int or width < 1:
            raise ValueError(f"hidden_size={width!r}: expected a whole number of 1 or more")
    return widths
