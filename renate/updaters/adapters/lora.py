"""Low-rank adaptation, one update after another."""

from typing import Any

import torch
from torch import nn

from renate.updaters.adapters.injected import ADAPTER, slot
from renate.updaters.adapters.low_rank import LowRank


class LoRA(LowRank):
    """Train one low-rank change of the weights, which every update goes on with.

    Hu et al., 2021, https://arxiv.org/abs/2106.09685, eq. 3; in sequence, as SeqLoRA in Wang et
    al., 2023, https://arxiv.org/abs/2310.14152, section 4.1: the pretrained weights stay, and all
    that was ever learned has the rank of one adapter.

    Args:
        rank: Of the change.
        alpha: What it is multiplied by is this over the rank.
        dropout: Share of a layer's inputs that its adapter doesn't see in training.
        layers: Ends of the layers' names, as [query, value]; None takes all linear layers and
            convolutions besides the head.
        replay_batch_size: Past examples in each step; 0 keeps and replays none.
    """

    def setup(self, model: nn.Module) -> None:
        """Make room for the factors A and B of each adapted layer."""
        self.down = nn.Module()
        self.up = nn.Module()
        super().setup(model)

    def make_room(self, name: str, shape: torch.Size) -> None:
        """Register A and B as zeros, which stand for none yet."""
        ones = [1] * len(shape[2:])
        self.down.register_buffer(slot(name), torch.zeros(self.rank, *shape[1:]))
        self.up.register_buffer(slot(name), torch.zeros(shape[0], self.rank, *ones))

    def begin(self, name: str, adapter: Any) -> None:
        """Go on with the factors of the update before, whose product the weight has by now."""
        down = self.down.get_buffer(slot(name))
        if not bool(down.any()):
            return

        adapter.lora_A[ADAPTER].weight.copy_(down)
        adapter.lora_B[ADAPTER].weight.copy_(self.up.get_buffer(slot(name)))
        adapter.get_base_layer().weight.sub_(adapter.get_delta_weight(ADAPTER))

    def leave(self, name: str, adapter: Any) -> None:
        """Keep the factors."""
        self.down.get_buffer(slot(name)).copy_(adapter.lora_A[ADAPTER].weight)
        self.up.get_buffer(slot(name)).copy_(adapter.lora_B[ADAPTER].weight)
