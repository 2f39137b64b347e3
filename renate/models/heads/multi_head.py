"""One network below a head for each task."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from renate.build import build, locate
from renate.checks.bounds import at_least_1
from renate.data.model_inputs import TASK, ModelInputs
from renate.errors import ConfigError

OF_THIS_PACKAGE = ("renate.models.",)


class MultiHead(nn.Module):
    """A network whose last layer is there once for each task; an example's own says its outputs.

    As Li & Hoiem, 2017, https://arxiv.org/abs/1606.09282, have it; each head has an output for each
    class. Heads that an example isn't of have gradients of 0 from it.

    Args:
        network: The path of one of this package's that takes one tensor and ends in a linear layer.
        settings: Its further arguments.
        input_shape: Of an example.
        num_classes: Outputs of each head.
        num_heads: How many.
    """

    def __init__(
        self,
        network: str,
        settings: Mapping[str, Any],
        input_shape: Sequence[int],
        num_classes: int,
        num_heads: int,
    ) -> None:
        super().__init__()
        at_least_1(num_heads=num_heads)
        if not isinstance(network, str):
            raise ValueError(f"network={network}: expected the path of a class")

        sizes = {
            "input_shape": input_shape,
            "in_channels": input_shape[0],
            "num_classes": num_classes,
        }
        taken = inspect.signature(locate(network, "model.network", only=OF_THIS_PACKAGE)).parameters
        own = {name: size for name, size in sizes.items() if name in taken}
        node = {"_target_": network, **settings, **own}
        made: nn.Module = build(node, "model.network", only=OF_THIS_PACKAGE)

        name, head = last_linear(made, num_classes)
        above, _, place = name.rpartition(".")
        setattr(made.get_submodule(above), place, nn.Identity())
        self.network = made
        self.num_heads = num_heads
        self.heads = Heads(head, num_heads)

    def forward(self, inputs: ModelInputs) -> Tensor:
        """Return logits [B, num_classes], each example's by its own head.

        Args:
            inputs: `inputs`, as the network takes them, and `task_id`, int64 [B], of which each
                is a head's number.
        """
        values, ids = parted(inputs)
        logits: Tensor = self.heads(self.network(values), ids)
        return logits

    def of_every_head(self, inputs: ModelInputs) -> Tensor:
        """Return the logits of all heads, [B, num_heads, num_classes], of the same."""
        values, _ = parted(inputs)
        return self.heads.each(self.network(values))


class Heads(nn.Module):
    """Linear layers side by side: rows are heads, so that there may be more of them later.

    Args:
        like: What each is drawn as.
        count: How many.
    """

    def __init__(self, like: nn.Linear, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, *like.weight.shape))
        self.bias = nn.Parameter(torch.empty(count, like.out_features))
        with torch.no_grad():
            for weight, bias in zip(self.weight, self.bias, strict=True):
                like.reset_parameters()
                weight.copy_(like.weight)
                bias.copy_(like.bias)

    def each(self, features: Tensor) -> Tensor:
        """[B, D] -> [B, heads, K]."""
        return torch.einsum("bd,tkd->btk", features, self.weight) + self.bias

    def forward(self, features: Tensor, ids: Tensor) -> Tensor:
        """[B, D] and the number of each example's head, int64 [B] -> [B, K]."""
        numbers = torch.arange(len(self.weight), device=ids.device)
        # A sum, as indexing adds gradients up in no fixed order on a GPU
        own = (ids[:, None] == numbers)[:, :, None]
        return torch.where(own, self.each(features), 0.0).sum(1)


def parted(inputs: ModelInputs) -> tuple[Any, Tensor]:
    """Return what the network takes, and the heads' numbers [B].

    Raises:
        ConfigError: The inputs have none.
    """
    if not isinstance(inputs, Mapping) or TASK not in inputs or "inputs" not in inputs:
        raise ConfigError(
            f"model=multi_head: the inputs have no '{TASK}', which says whose head counts: "
            "data.task_id names its column, and a scenario's chunks are tasks"
        )
    return inputs["inputs"], inputs[TASK]


def last_linear(network: nn.Module, outputs: int) -> tuple[str, nn.Linear]:
    """Return the last linear layer with so many outputs, and its name.

    Raises:
        ConfigError: There is none.
    """
    found = [
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and layer.out_features == outputs and name
    ]
    if not found:
        raise ConfigError(
            f"model.network: {type(network).__name__} has no linear layer of {outputs} outputs, "
            "which heads could stand for"
        )
    return found[-1]
