"""Low-rank adaptation in subspaces that are orthogonal to earlier ones."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from renate.checks.bounds import at_least_0
from renate.updaters.adapters.injected import ADAPTER, slot
from renate.updaters.adapters.low_rank import LowRank


class OLoRA(LowRank):
    """Train a low-rank change of the weights anew in each update, away from where those of before
    look.

    Wang et al., 2023, https://arxiv.org/abs/2310.14152, eq. 7 and 8. The sum over earlier updates i
    of |A_i Aᵀ|², the squares of all entries, is tr(A G Aᵀ) with G = Σ A_iᵀ A_i: G alone is kept of
    each layer, however many updates there were.

    Args:
        rank: Of each update's change.
        alpha: What it is multiplied by is this over the rank.
        dropout: Share of a layer's inputs that its adapter doesn't see in training.
        layers: Ends of the layers' names, as [query, value]; None takes all linear layers and
            convolutions besides the head.
        orthogonality: Weight of looking elsewhere than before, the paper's λ1.
        replay_batch_size: Past examples in each step; 0 keeps and replays none.
    """

    def __init__(
        self,
        rank: int,
        alpha: float,
        dropout: float,
        layers: Sequence[str] | None,
        orthogonality: float,
        replay_batch_size: int,
    ) -> None:
        super().__init__(rank, alpha, dropout, layers, replay_batch_size)
        at_least_0(orthogonality=orthogonality)
        self.orthogonality = orthogonality

    def setup(self, model: nn.Module) -> None:
        """Make room for the G of each adapted layer."""
        self.looked_at = nn.Module()
        super().setup(model)

    def make_room(self, name: str, shape: torch.Size) -> None:
        """Register G, [D, D] over the D inputs of a layer, as zeros."""
        width = shape[1:].numel()
        self.looked_at.register_buffer(slot(name), torch.zeros(width, width))

    def begin(self, name: str, adapter: Any) -> None:
        """Leave the new adapter as peft draws it; those of before are in the weight."""

    def leave(self, name: str, adapter: Any) -> None:
        """Add AᵀA to G."""
        down = adapter.lora_A[ADAPTER].weight.flatten(1).float()
        self.looked_at.get_buffer(slot(name)).add_(down.T @ down)

    def penalty(self) -> Tensor | float:
        """Return λ1 times the sum over the layers of tr(A G Aᵀ), a scalar."""
        total: Tensor | float = 0.0
        for name, adapter in self.adapted.items():
            down = adapter.lora_A[ADAPTER].weight.flatten(1)
            seen = self.looked_at.get_buffer(slot(name)).to(down.dtype)
            total = total + ((down @ seen) * down).sum()

        return self.orthogonality * total
