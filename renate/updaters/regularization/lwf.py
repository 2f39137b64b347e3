"""Learning without forgetting."""

import torch
from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.ranks import Ranks
from renate.updaters.base import Updater
from renate.updaters.shared.bounds import above_0, at_least_0
from renate.updaters.shared.distillation import Teacher, softened_cross_entropy


class LwF(Updater):
    """Answer new examples as the last update's model does, on the classes that it knew; no memory.

    Li & Hoiem, 2017, https://arxiv.org/abs/1606.09282, eq. 2 and 3: the loss is the criterion plus
    alpha times the cross-entropy between both models' softened probabilities. The one head stands
    for their several; the head isn't warmed up by itself.

    Args:
        alpha: Weight of staying close, 0 or more; their λ.
        temperature: Of both softmaxes, above 0.
    """

    seen: Tensor
    weighs = True
    problems = ("classification",)

    def __init__(self, alpha: float, temperature: float) -> None:
        super().__init__()
        at_least_0(alpha=alpha)
        above_0(temperature=temperature)
        self.alpha = alpha
        self.temperature = temperature
        self._teacher: Teacher | None = None

    def setup(self, model: nn.Module) -> None:
        """No class was seen yet."""
        self.register_buffer("seen", torch.zeros(self.problem.outputs, dtype=torch.bool))

    def take_over(self, known: Tensor) -> None:
        """Stay close to the model on all classes that it knows."""
        self.seen |= known.to(self.seen.device)

    def start(self, model: nn.Module, data: Columns) -> None:
        """Take the model as it is for the teacher, unless it has seen nothing."""
        self._teacher = Teacher(model) if bool(self.seen.any()) else None
        self._known = self.seen.nonzero().flatten()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch, plus what its answers and the teacher's differ by, a
        scalar.
        """
        logits = model(batch.inputs)
        loss = self.mean_loss(logits, batch.targets, batch.weights)
        if self._teacher is None:
            return loss

        known = self._known.to(logits.device)
        then = self._teacher(batch.inputs).index_select(1, known)
        now = logits.index_select(1, known)
        return loss + self.alpha * softened_cross_entropy(now, then, self.temperature)

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Note which classes the new data had."""
        counts = torch.bincount(data["targets"], minlength=len(self.seen))
        ranks = Ranks(self.memory.rank, self.memory.ranks)
        here = torch.tensor(ranks.all_max(counts.tolist())) > 0
        self.seen |= here.to(self.seen.device)
