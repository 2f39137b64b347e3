"""Outputs as groups of classes: those of earlier updates, of this one, and of later ones."""

import torch
from torch import Tensor, nn

from renate.data.batch import Columns
from renate.losses.masked import NEVER
from renate.memory.store.memory import Memory
from renate.ranks import Ranks


class ClassGroups(nn.Module):
    """Which update brought each class.

    Args:
        outputs: How many classes there may be, K.

    Attributes:
        update: Of each class the update that had it last, from 1; 0 for none yet, int64 [K].
        updates: How many there were.
        seen: During a fit, the classes of earlier updates, bool [K], as the next three.
        new: Those of this update.
        past: Those that only earlier updates had.
        later: Those that none had yet.
    """

    update: Tensor
    updates: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.register_buffer("update", torch.zeros(outputs, dtype=torch.int64))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def take_over(self, known: Tensor) -> None:
        """Take the classes of another updater's model, bool [K], for those of one update."""
        self.update[known.to(self.update.device)] = 1
        self.updates.fill_(1)

    def begin(self, data: Columns, memory: Memory) -> None:
        """Tell earlier, new and later classes apart, those of all processes' new data."""
        counts = torch.bincount(data["targets"], minlength=len(self.update)).tolist()
        counts = Ranks(memory.rank, memory.ranks).all_max(counts)
        self.seen = self.update > 0
        self.new = torch.tensor(counts, device=self.update.device) > 0
        self.past = self.seen & ~self.new
        self.later = ~self.seen & ~self.new

    def own(self, targets: Tensor) -> Tensor:
        """Return for each example the classes of its class's own update, bool [B, K]."""
        now = torch.where(self.new, self.updates + 1, self.update)
        return now[targets][:, None] == now

    def excess_of_past(self, logits: Tensor, margin: float) -> Tensor | float:
        """Return by how much earlier classes' probabilities of new examples [B, K] are above those
        of the new classes less a margin, a scalar, see `mean_excess`; it lowers no earlier one's.
        """
        if not bool(self.past.any()):
            return 0.0

        shares = among(logits, self.past | self.new).softmax(1)
        earlier = shares[:, self.past].amax(1).detach()
        return mean_excess(earlier + margin - shares[:, self.new].amax(1))

    def excess_of_later(self, logits: Tensor, targets: Tensor, margin: float) -> Tensor | float:
        """Return by how much later classes' logits of examples [B, K] are above those of the
        classes of their own updates less a margin, a scalar, see `mean_excess`.
        """
        if not bool(self.later.any()):
            return 0.0

        own = among(logits, self.own(targets)).amax(1)
        return mean_excess(logits[:, self.later].amax(1) + margin - own)

    def end(self) -> None:
        """Note which classes this update had."""
        self.updates += 1
        self.update[self.new] = self.updates


def among(logits: Tensor, classes: Tensor) -> Tensor:
    """Return logits [B, K] of which those of other classes than `classes`, bool [K] or [B, K], are
    so small that no probability is theirs.
    """
    return logits.masked_fill(~classes, NEVER)


def mean_excess(values: Tensor) -> Tensor:
    """Return the mean of those of the values [B] that are above 0, a scalar; 0 where none is."""
    over = values.clamp(min=0)
    return over.sum() / (values > 0).sum().clamp(min=1)


@torch.no_grad()
def implanted(kept: Tensor, now: Tensor, targets: Tensor, classes: Tensor, gamma: float) -> Tensor:
    """Return the logits that are kept of examples, with those of some classes put in their place as
    they are now (Boschini et al., 2022, https://arxiv.org/abs/2201.00766, the update of secondary
    logits).

    Where the largest of these is above the one of an example's own class they are scaled, so that
    it is gamma times that; where that isn't above 0, which no factor above 0 gives, they are
    shifted down to it.

    Args:
        kept: [N, K].
        now: [N, K].
        targets: The examples' classes [N], none of `classes`.
        classes: Which are put in place, bool [K].
        gamma: 0 to 1.
    """
    if not bool(classes.any()) or not len(kept):
        return kept.clone()

    fresh = now[:, classes]
    own = kept.gather(1, targets[:, None])
    largest = fresh.amax(1, keepdim=True)
    scaled = fresh * (gamma * own / torch.where(largest > 0, largest, 1.0))
    lowered = torch.where(own > 0, scaled, fresh - (largest - own))

    found = kept.clone()
    found[:, classes] = torch.where(largest > own, lowered, fresh)
    return found
