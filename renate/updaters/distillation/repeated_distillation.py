"""Repeated distillation."""

import copy

import torch
from torch import Tensor, nn

from renate.checks.bounds import above_0, at_least_1
from renate.data.batch import Batch, Batches, BatchTransform, Columns
from renate.data.items.served import read_all
from renate.errors import ConfigError
from renate.updaters.shared.anew import begin_anew
from renate.updaters.shared.distillation import double_distillation
from renate.updaters.shared.logits import KeepsLogits, logits_of


class RepeatedDistillation(KeepsLogits):
    """Train an expert on the new data alone, then a fresh model on what the memory keeps of all,
    to give the logits that the expert and the last update's model gave.

    Renate 0.5's variant of deep model consolidation (Zhang et al., 2020,
    https://arxiv.org/abs/1903.07864), with a memory in place of auxiliary data. At the end the
    memory's logits become those of the new model. Outputs of labels that past examples' logits
    know nothing of get the expert's. The fit's epochs are over the memory.

    Args:
        expert_epochs: Over the new data.
        expert_lr: Learning rate of the expert's optimizer, Adam.
        expert_batch_size: New examples in each of its steps.
    """

    problems = ("classification",)

    def __init__(self, expert_epochs: int, expert_lr: float, expert_batch_size: int) -> None:
        super().__init__()
        at_least_1(expert_epochs=expert_epochs, expert_batch_size=expert_batch_size)
        above_0(expert_lr=expert_lr)
        self.expert_epochs = expert_epochs
        self.expert_lr = expert_lr
        self.expert_batch_size = expert_batch_size

    def start(self, model: nn.Module, data: Columns) -> Columns:
        """Train the expert, put the new data and its logits into the memory, return the model to
        its first weights, and return all that the memory holds, to train on.

        Raises:
            ConfigError: The memory keeps nothing, or several processes would each train on one of
                their own.
        """
        if self.memory.ranks > 1:
            raise ConfigError(
                "updater=repeated_distillation trains on one memory, and "
                f"{self.memory.ranks} processes would train on more than it holds: "
                "trainer.devices=1"
            )

        if self.memory.capacity == 0:
            raise ConfigError(
                "updater=repeated_distillation trains on its memory alone, and a "
                f"{self.memory.policy.name} keeps nothing: memory=class_balanced"
            )

        super().start(model, data)
        data = read_all(data)
        expert = copy.deepcopy(model)
        begin_anew(self, expert)
        self._train(expert, data)

        if len(self.memory):
            past = self.memory.columns()
            known = past["logits"]
            theirs = logits_of(self, expert, past)
            self.memory.fill("logits", _completed(known, theirs))
        self.memory.add_columns(data | {"logits": logits_of(self, expert, data)})

        begin_anew(self, model)
        return self.memory.columns()

    def _train(self, expert: nn.Module, data: Columns) -> None:
        """Train on new data by the criterion, as they are transformed for replay."""
        seed = int(torch.randint(2**62, ()))
        order = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam(
            [each for each in expert.parameters() if each.requires_grad], self.expert_lr
        )
        transform = self.memory.transform
        assert isinstance(transform, BatchTransform), "the job binds it"

        expert.train()
        for _ in range(self.expert_epochs):
            for batch in Batches(data, self.expert_batch_size, transform, order):
                loss = self.criterion(expert(batch.inputs), batch.targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return how far the outputs for examples of the memory are from the kept logits, a
        scalar.
        """
        return double_distillation(model(batch.inputs), batch.logits)

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Keep the new model's logits in place of its teachers'."""
        self.memory.fill("logits", logits_of(self, model, self.memory.columns()))


def _completed(known: Tensor, theirs: Tensor) -> Tensor:
    """Logits [N, K] with the expert's, where an example's have NaN: outputs that came later. Each
    teacher's are centred over the outputs that it answers for.
    """
    missing = known.isnan()
    own = known - known.nanmean(1, keepdim=True)
    others = theirs.masked_fill(~missing, float("nan"))
    others = others - others.nanmean(1, keepdim=True)
    whole = torch.where(missing, others, own)
    return torch.where(missing.any(1, keepdim=True), whole, known)
