"""Learning to prompt."""

import torch.nn.functional as F
from torch import Tensor, nn

from renate.checks.bounds import at_least_0, at_least_1
from renate.data.batch import Batch
from renate.models.prompting.pooled import Prompts
from renate.updaters.prompts.growing import uniform
from renate.updaters.prompts.prompted import Prompted
from renate.updaters.shared.replay import with_past
from renate.updaters.shared.weights import check_count, replay_count


class L2P(Prompted):
    """Each example picks prompts from a pool by keys that lie near its features.

    Wang et al., 2022, https://arxiv.org/abs/2112.08654, eq. 3 to 5. Each example picks for itself,
    in training too, so that no answer depends on its batch; what the encoder makes of the prompts,
    averaged, is classified.

    Args:
        pool_size: Prompts, the paper's M.
        selected: How many an example picks, the paper's N.
        length: Tokens of a prompt.
        match_weight: Of drawing keys to the examples that picked them, the paper's λ.
        replay_batch_size: Past examples in each step: a number, or below 1 a fraction of the
            batch; 0 keeps and replays none.
    """

    def __init__(
        self,
        pool_size: int,
        selected: int,
        length: int,
        match_weight: float,
        replay_batch_size: float,
    ) -> None:
        super().__init__()
        at_least_1(pool_size=pool_size, selected=selected, length=length)
        at_least_0(match_weight=match_weight, replay_batch_size=replay_batch_size)
        if replay_batch_size:
            check_count(replay_batch_size)
        if selected > pool_size:
            raise ValueError(f"selected={selected}: expected at most pool_size={pool_size}")

        self.pool_size = pool_size
        self.selected = selected
        self.length = length
        self.match_weight = match_weight
        self.replay_batch_size = replay_batch_size
        self.replays = replay_batch_size > 0

    def draw(self, width: int) -> None:
        """Make keys [M, D] and prompts [M, L, D]."""
        self.keys = nn.Parameter(uniform(self.pool_size, width))
        self.pool = nn.Parameter(uniform(self.pool_size, self.length, width))

    def prompts(self, query: Tensor, *, training: bool) -> tuple[Prompts, Tensor | float]:
        """Return the prompts whose keys are nearest by their angle, and how far they are."""
        similarity = F.cosine_similarity(query[:, None], self.keys[None], dim=2)
        best, chosen = similarity.topk(self.selected, dim=1)
        tokens = self.pool[chosen].flatten(1, 2)
        distance = (1 - best).sum(1).mean()
        return Prompts(tokens=tokens, answer=True), self.match_weight * distance

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch and of past examples, if there are any, plus how far
        their keys are, a scalar; then offer the new ones to the memory.
        """
        count = 0
        if self.replay_batch_size:
            count = replay_count(self.replay_batch_size, batch)

        inputs, targets, _ = with_past(self.memory, batch, count)
        logits, added = self.outputs(model, inputs, training=True)
        if self.replay_batch_size:
            self.memory.add(batch)

        return self.mean_loss(logits, targets, None) + added
