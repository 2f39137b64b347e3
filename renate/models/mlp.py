"""A multi-layer perceptron."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from renate.checks.bounds import all_at_least_1


class MLP(nn.Module):
    """Flattens its input; ReLU between layers; weights Xavier-normal, as the MNIST protocol of
    DER's paper has them.

    Args:
        input_shape: Shape of one example.
        num_classes: Outputs.
        hidden_sizes: Widths of the hidden layers.
        batch_norm: Whether what a hidden layer gives is normalised over the batch before its ReLU.
        norm_outputs: Whether the outputs are too.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        hidden_sizes: Sequence[int],
        batch_norm: bool = False,
        norm_outputs: bool = False,
    ) -> None:
        super().__init__()
        all_at_least_1(hidden_sizes=hidden_sizes)

        sizes = [math.prod(input_shape), *hidden_sizes]
        layers: list[nn.Module] = [nn.Flatten()]
        for width, after in pairwise(sizes):
            layers.append(Linear(width, after))
            if batch_norm:
                layers.append(nn.BatchNorm1d(after))
            layers.append(nn.ReLU())

        layers.append(Linear(sizes[-1], num_classes))
        if norm_outputs:
            layers.append(nn.BatchNorm1d(num_classes))

        self.layers = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, *input_shape] float -> logits [B, num_classes]."""
        logits: Tensor = self.layers(inputs)
        return logits


class Linear(nn.Linear):
    """Linear, its weights drawn Xavier-normal."""

    def reset_parameters(self) -> None:
        """Draw the weights Xavier-normal and set the biases to 0."""
        super().reset_parameters()
        nn.init.xavier_normal_(self.weight)
        nn.init.zeros_(self.bias)
