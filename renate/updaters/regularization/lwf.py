"""Learning without forgetting."""

from typing import Any

import torch
from torch import Tensor, nn

from renate.checks.bounds import above_0, at_least_0
from renate.data.batch import Batch, Columns
from renate.data.model_inputs import TASK
from renate.errors import ConfigError
from renate.ranks import Ranks
from renate.updaters.base import Updater
from renate.updaters.shared.distillation import Teacher, softened_cross_entropy


class LwF(Updater):
    """Answer new examples as the last update's model does, on the classes that it knew; no memory.

    Li & Hoiem, 2017, https://arxiv.org/abs/1606.09282, eq. 2 and 3: the loss is the criterion plus
    alpha times the cross-entropy between both models' softened probabilities. Where a model has one
    head for each task, that of each head which was trained before; else the one head stands for
    their several. No head is warmed up by itself.

    Args:
        alpha: Weight of staying close, 0 or more; their λ.
        temperature: Of both softmaxes, above 0.
    """

    seen: Tensor
    heads: Tensor
    weighs = True
    multi_head = True
    problems = ("classification",)

    def __init__(self, alpha: float, temperature: float) -> None:
        super().__init__()
        at_least_0(alpha=alpha)
        above_0(temperature=temperature)
        self.alpha = alpha
        self.temperature = temperature
        self._teacher: Teacher | None = None

    def setup(self, model: nn.Module) -> None:
        """No class was seen yet, and no head trained."""
        self.register_buffer("seen", torch.zeros(self.problem.outputs, dtype=torch.bool))
        self.has_heads = hasattr(model, "of_every_head")
        if self.has_heads:
            heads: Any = model.num_heads
            self.register_buffer("heads", torch.zeros(heads, dtype=torch.bool))

    def take_over(self, known: Tensor) -> None:
        """Stay close to the model on all classes that it knows."""
        self.seen |= known.to(self.seen.device)
        if self.has_heads:
            self.heads.fill_(True)

    def start(self, model: nn.Module, data: Columns) -> None:
        """Take the model as it is for the teacher, unless it has seen nothing.

        Raises:
            ConfigError: It has heads, and doesn't give what all of them say.
        """
        if TASK in data and not self.has_heads:
            raise ConfigError(
                f"updater=lwf: {type(model).__name__} has a head for each task, and no "
                "of_every_head(inputs) that gives the outputs of all, [B, heads, K]: "
                "model=multi_head has"
            )

        self._teacher = Teacher(model) if bool(self.seen.any()) else None
        self._known = self.seen.nonzero().flatten()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch, plus what its answers and the teacher's differ by, a
        scalar.
        """
        if self._teacher is None:
            return self.mean_loss(model(batch.inputs), batch.targets, batch.weights)
        if self.has_heads:
            return self._loss_of_heads(model, self._teacher, batch)

        logits = model(batch.inputs)
        loss = self.mean_loss(logits, batch.targets, batch.weights)
        return loss + self.alpha * self._distance(logits, self._teacher(batch.inputs))

    def _loss_of_heads(self, model: Any, teacher: Teacher, batch: Batch) -> Tensor:
        """The same, of each example's own head, and of each head that was trained before."""
        every = model.of_every_head(batch.inputs)
        then = teacher.of_every_head(batch.inputs)
        inputs: Any = batch.inputs
        own = every[torch.arange(len(every), device=every.device), inputs[TASK]]
        loss = self.mean_loss(own, batch.targets, batch.weights)
        for head in self.heads.nonzero().flatten():
            loss = loss + self.alpha * self._distance(every[:, head], then[:, head])

        return loss

    def _distance(self, now: Tensor, then: Tensor) -> Tensor:
        """What outputs [B, K] and the teacher's differ by on the classes that it knew."""
        known = self._known.to(now.device)
        return softened_cross_entropy(
            now.index_select(1, known), then.index_select(1, known), self.temperature
        )

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Note which classes the new data had, and which heads they trained."""
        self.seen |= self._in_any_process(data["targets"], self.seen)
        if self.has_heads:
            self.heads |= self._in_any_process(data[TASK], self.heads)

    def _in_any_process(self, numbers: Tensor, like: Tensor) -> Tensor:
        """Which of the numbers from 0 on there are, bool as `like`, in any process's share."""
        counts = torch.bincount(numbers, minlength=len(like))
        ranks = Ranks(self.memory.rank, self.memory.ranks)
        return (torch.tensor(ranks.all_max(counts.tolist())) > 0).to(like.device)
