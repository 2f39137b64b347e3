"""Renate's perceptron, with its signature."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from renate.compat.names.renate_module import RenateModule


class MultiLayerPerceptron(RenateModule):
    """Flattens its input; `num_hidden_layers + 1` hidden layers, as Renate built them.

    Args:
        num_inputs: Size of one example, flattened.
        num_outputs: Outputs.
        num_hidden_layers: Hidden layers after the first one.
        hidden_size: Their width, or one for each of the `num_hidden_layers + 1`.
        activation: A class of torch.nn, by its name.
        batch_normalization: Whether each hidden layer is normalised before the activation.
    """

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        num_hidden_layers: int,
        hidden_size: int | Sequence[int],
        activation: str = "ReLU",
        batch_normalization: bool = False,
    ) -> None:
        widths = _widths(hidden_size, num_hidden_layers + 1)
        arguments: dict[str, Any] = {
            "num_inputs": num_inputs,
            "num_outputs": num_outputs,
            "num_hidden_layers": num_hidden_layers,
            "hidden_size": widths,
            "activation": activation,
            "batch_normalization": batch_normalization,
        }
        super().__init__(constructor_arguments=arguments)
        make = getattr(nn, activation, None)
        if not isinstance(make, type) or not issubclass(make, nn.Module):
            raise ValueError(f"activation={activation!r}: expected a class of torch.nn, as 'ReLU'")

        layers: list[nn.Module] = [nn.Flatten()]
        size = num_inputs
        for width in widths:
            layers.append(nn.Linear(size, width))
            if batch_normalization:
                layers.append(nn.BatchNorm1d(width))
            layers.append(make())
            size = width

        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(size, num_outputs)

    def forward(self, x: Tensor, task_id: str | None = None) -> Tensor:
        """Return outputs [B, num_outputs] of inputs [B, ...]."""
        outputs: Tensor = self.head(self.layers(x))
        return outputs


def _widths(hidden_size: int | Sequence[int], layers: int) -> list[int]:
    if isinstance(hidden_size, int):
        widths = [hidden_size] * layers
    else:
        widths = list(hidden_size)

    if len(widths) != layers:
        raise ValueError(
            f"hidden_size={list(widths)}: expected one width, or num_hidden_layers + 1 = {layers}"
        )
    return widths
