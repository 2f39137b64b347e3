"""Incremental classifier and representation learning."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.batch import Batch, Columns, select
from renate.data.items.served import read_all
from renate.data.model_inputs import ModelInputs
from renate.updaters.base import Updater
from renate.updaters.replay.herding import check_exemplars, exemplar_means, exemplars_among
from renate.updaters.shared.distillation import Teacher, shares_of_classes
from renate.updaters.shared.features import directions_of, head_of
from renate.updaters.shared.passes import both, check_alone

UNSEEN = -2.0  # below each cosine


class ICaRL(Updater):
    """Train on new data and exemplars by binary cross-entropy, and answer the nearest mean of
    exemplars.

    Rebuffi et al., 2017, https://arxiv.org/abs/1611.07725, algorithms 1 to 5. Classes of earlier
    updates keep the probabilities that the model had for them. Exemplars are offered as herding
    ranks them, which a memory keeps that holds on to what came first (`memory=greedy`); a class
    that comes again adds to its exemplars where there is room. Scores are cosines. During a fit
    validation takes the network's own outputs.
    """

    replays = True
    problems = ("classification",)
    means: Tensor
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.by_means = True
        self.teacher: Teacher | None = None
        self.taken_over: Tensor | None = None  # what another updater's model knows

    def setup(self, model: nn.Module) -> None:
        """Make room for the classes' means, [K, D], and for which of them were seen, bool [K].

        Raises:
            ConfigError: The model doesn't end in a linear layer.
        """
        outputs = self.problem.outputs
        width = head_of(model, outputs).in_features
        self.register_buffer("means", torch.zeros(outputs, width))
        self.register_buffer("seen", torch.zeros(outputs, dtype=torch.bool))

    def take_over(self, known: Tensor) -> None:
        """Keep the model's answers for all classes that it knows, of which the memory must have
        exemplars.
        """
        self.seen |= known.to(self.seen.device)
        self.taken_over = known

    def start(self, model: nn.Module, data: Columns) -> Columns:
        """Keep the model as it is, to learn from, and return the new data with all exemplars.

        Raises:
            ConfigError: There are several processes, or another updater left classes without any.
        """
        check_alone(self.memory, "updater=icarl chooses exemplars among all new data")
        self.by_means = False
        data = read_all(data)
        self.new = torch.zeros_like(self.seen)
        self.new[data["targets"].unique().to(self.seen.device)] = True
        self.old = self.seen & ~self.new
        if self.taken_over is not None:
            known = self.taken_over.to(self.new.device) & ~self.new
            check_exemplars(self.memory, known, self.problem.labels)
        self.teacher = Teacher(model) if bool(self.old.any()) else None

        return both(data, self.memory.columns()) if len(self.memory) else data

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the binary cross-entropy over all classes so far, a scalar: new ones against the
        targets, old ones against the model as it was.
        """
        logits = model(batch.inputs)
        wanted = shares_of_classes(batch.targets, logits)
        if self.teacher is not None:
            wanted = torch.where(self.old, self.teacher(batch.inputs).sigmoid(), wanted)

        active = self.old | self.new
        return F.binary_cross_entropy_with_logits(logits[:, active], wanted[:, active])

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Offer the best of the new data to the memory, class by class, and take the means of all
        exemplars.
        """
        self.teacher = None
        self.seen |= self.new
        data = read_all(data)
        best = exemplars_among(self, model, data, int(self.seen.sum()))
        self.memory.add_columns(select(data, best))
        self.means.zero_()
        if len(self.memory):
            self.means.copy_(exemplar_means(self, model))
        self.by_means = True

    def predict(self, model: nn.Module, inputs: ModelInputs) -> Tensor:
        """Return the cosine of the features with each class's mean, [B, K]; the network's outputs
        where there are no exemplars.
        """
        known = self.means.any(1)
        if not self.by_means or not bool(known.any()):
            outputs: Tensor = model(inputs)
            return outputs

        cosines = directions_of(model, inputs, len(self.seen)) @ self.means.float().T
        return cosines.masked_fill(~known, UNSEEN)
