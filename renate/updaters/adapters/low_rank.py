"""What updaters share that train low-rank changes of a model's layers."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from renate.checks.bounds import above_0, at_least_1, below_1, count
from renate.data.batch import Batch, Columns
from renate.extras import load
from renate.updaters.adapters.injected import inject, join
from renate.updaters.adapters.layers import layers_to_adapt, shape_of
from renate.updaters.base import Updater
from renate.updaters.shared.features import head_of
from renate.updaters.shared.replay import with_past


class LowRank(Updater):
    """Train the head, and beside each of some layers' weights W a product B A of low rank.

    The adapters are peft's, and part of the model during a fit alone: at its end they are added to
    the weights, so that a version's model is built, loaded and served as any other.

    Args:
        rank: Of the products.
        alpha: What they are multiplied by is this over the rank.
        dropout: Share of a layer's inputs that its adapter doesn't see in training.
        layers: Ends of the layers' names, as [query, value]; None takes all linear layers and
            convolutions besides the head.
        replay_batch_size: Past examples in each step; 0 keeps and replays none.
    """

    weighs = True
    generates = True

    def __init__(
        self,
        rank: int,
        alpha: float,
        dropout: float,
        layers: Sequence[str] | None,
        replay_batch_size: int,
    ) -> None:
        super().__init__()
        at_least_1(rank=rank)
        above_0(alpha=alpha)
        count(replay_batch_size=replay_batch_size)
        below_1(dropout=dropout)

        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.layers = layers
        self.replay_batch_size = replay_batch_size
        self.replays = replay_batch_size > 0
        self.adapted: dict[str, Any] = {}  # peft's layers, during a fit
        self._trained: dict[nn.Parameter, bool] = {}

    def setup(self, model: nn.Module) -> None:
        """Make room for what is kept of each adapted layer.

        Raises:
            ConfigError: There is none.
        """
        found = layers_to_adapt(model, self.problem.outputs, self.layers)
        self.names = tuple(found)
        for name, layer in found.items():
            self.make_room(name, shape_of(layer))

    @abstractmethod
    def make_room(self, name: str, shape: torch.Size) -> None:
        """Register what is kept of a layer whose weight has this shape: [out, in], or
        [out, in, height, width].
        """

    @abstractmethod
    def begin(self, name: str, adapter: Any) -> None:
        """Take up a layer's new adapter."""

    @abstractmethod
    def leave(self, name: str, adapter: Any) -> None:
        """Keep what the next update needs of a layer's adapter, before it joins the weight."""

    def penalty(self) -> Tensor | float:
        """Return what is added to the loss, a scalar."""
        return 0.0

    def start(self, model: nn.Module, data: Columns) -> None:
        """Put an adapter beside each layer, and let them and the head alone be trained.

        Raises:
            ConfigError: peft isn't installed, or can't adapt a layer.
        """
        peft = load("peft", "hf", f"updater: {type(self).__name__}")
        head = head_of(model, self.problem.outputs)
        self._trained = {each: each.requires_grad for each in model.parameters()}
        settings = {"r": self.rank, "lora_alpha": self.alpha, "lora_dropout": self.dropout}
        self.adapted = inject(peft, model, self.names, settings)
        for parameter in head.parameters():
            parameter.requires_grad_(self._trained[parameter])

        with torch.no_grad():
            for name, adapter in self.adapted.items():
                self.begin(name, adapter)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch and of past examples, if there are any, plus the
        penalty, a scalar; then offer the new ones to the memory.
        """
        inputs, targets, weights = with_past(self.memory, batch, self.replay_batch_size)
        loss = self.mean_loss(model(inputs), targets, weights) + self.penalty()
        if self.replay_batch_size:
            self.memory.add(batch)

        return loss

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Add the adapters to the weights, and leave the model as one without any."""
        with torch.no_grad():
            for name, adapter in self.adapted.items():
                self.leave(name, adapter)
                join(model, name, adapter)

        for parameter, trained in self._trained.items():
            parameter.requires_grad_(trained)
        self.adapted = {}
        self._trained = {}
