"""Prompts for all updates, and prompts for each."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from renate.checks.bounds import at_least_0, at_least_1
from renate.models.prompting.pooled import Prompts
from renate.updaters.prompts.growing import Growing, uniform
from renate.updaters.prompts.prompted import Prompted


class DualPrompt(Prompted):
    """General prefixes in some layers, and in others those of the update whose key lies nearest.

    Wang et al., 2022, https://arxiv.org/abs/2204.04799, eq. 6 to 8. Each update has an expert
    prompt and a key of its own, which no later one changes.

    Args:
        general_length: Tokens of the general prefix, for keys and for values each.
        general_layers: Where it stands, from 0 on.
        expert_length: Tokens of an expert prefix.
        expert_layers: Where it stands.
        match_weight: Of drawing an update's key to its examples, the paper's λ.
    """

    prefixes = True

    def __init__(
        self,
        general_length: int,
        general_layers: Sequence[int],
        expert_length: int,
        expert_layers: Sequence[int],
        match_weight: float,
    ) -> None:
        super().__init__()
        at_least_1(general_length=general_length, expert_length=expert_length)
        at_least_0(match_weight=match_weight)
        both = [*general_layers, *expert_layers]
        if len(set(both)) != len(both) or not expert_layers or min(both) < 0:
            raise ValueError(
                f"general_layers={list(general_layers)}, expert_layers={list(expert_layers)}: "
                "expected different numbers of 0 or more, one of them at least an expert's"
            )

        self.general_length = general_length
        self.general_layers = tuple(general_layers)
        self.expert_length = expert_length
        self.expert_layers = tuple(expert_layers)
        self.match_weight = match_weight

    def draw(self, width: int) -> None:
        """Make the general prefixes, and the first expert's with its key [1, D]."""
        self.width = width
        shape = (len(self.general_layers), 2, self.general_length, width)
        self.general = nn.Parameter(uniform(*shape))
        self.experts = Growing(self._expert())
        self.keys = Growing(uniform(1, width))

    def _expert(self) -> Tensor:
        """Fresh prefixes of an expert, [1, layers, 2, L, D]."""
        return uniform(1, len(self.expert_layers), 2, self.expert_length, self.width)

    def begin(self) -> None:
        """Draw the next expert and its key."""
        self.experts.begin(self._expert())
        self.keys.begin(uniform(1, self.width))

    def prompts(self, query: Tensor, *, training: bool) -> tuple[Prompts, Tensor | float]:
        """Return the newest update's prompts in training, else those of the nearest key."""
        added: Tensor | float = 0.0
        if training:
            expert = self.experts.now.expand(len(query), -1, -1, -1, -1)
            near = F.cosine_similarity(query, self.keys.now, dim=1)
            added = self.match_weight * (1 - near).mean()
        else:
            near = F.cosine_similarity(query[:, None], self.keys.all()[None], dim=2)
            expert = self.experts.all()[near.argmax(1)]

        general = self.general[:, None].expand(-1, len(query), -1, -1, -1)
        by_layer = dict(zip(self.general_layers, general, strict=True))
        by_layer |= dict(zip(self.expert_layers, expert.unbind(1), strict=True))
        return Prompts(prefixes=by_layer), added
