"""What updaters share that train prompts."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.data.model_inputs import ModelInputs
from renate.models.prompting.pooled import Prompts
from renate.models.prompting.prefixes import make_room as make_room_for_prefixes
from renate.updaters.base import Updater
from renate.updaters.prompts.encoder import encoder_of, query_of, take_over
from renate.updaters.prompts.growing import make_room
from renate.updaters.shared.features import freeze_all


class Prompted(Updater):
    """Train prompts and the head; the encoder stays as it is.

    Attributes:
        updates: How many have begun; at none, the prompts are as they were drawn.
    """

    problems = ("classification",)
    prefixes = False  # whether prompts are prefixes of keys and values
    updates: Tensor

    def setup(self, model: nn.Module) -> None:
        """Freeze the encoder, and draw the prompts.

        Raises:
            ConfigError: The model has no encoder that takes prompts.
        """
        whole = encoder_of(model)
        take_over(self, whole.prompt_settings)
        freeze_all(whole.encoder)
        if self.prefixes:
            make_room_for_prefixes(whole.encoder)

        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.draw(whole.head.in_features)

    @abstractmethod
    def draw(self, width: int) -> None:
        """Make the prompts for an encoder of this width."""

    @abstractmethod
    def prompts(self, query: Tensor, *, training: bool) -> tuple[Prompts, Tensor | float]:
        """Return a batch's prompts, and what their choice adds to the loss, a scalar.

        Args:
            query: The features of the encoder without any, [B, D].
            training: Whether the batch is of the newest update's data, and is learned from.
        """

    def start(self, model: nn.Module, data: Columns) -> None:
        """Let what earlier updates have trained stay, where an update has prompts of its own."""
        if int(self.updates):
            self.begin()
        self.updates += 1

    def begin(self) -> None:
        """Let the prompts of the update before stay, and draw the next ones'."""

    def outputs(
        self, model: nn.Module, inputs: ModelInputs, *, training: bool
    ) -> tuple[Tensor, Tensor | float]:
        """Return the prompted model's outputs [B, K], and what is added to the loss."""
        whole = encoder_of(model)
        prompts, added = self.prompts(query_of(model, inputs), training=training)
        logits: Tensor = whole.head(whole.features(inputs, prompts))
        return logits, added

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch, plus what the prompts' choice adds, a scalar."""
        logits, added = self.outputs(model, batch.inputs, training=True)
        return self.mean_loss(logits, batch.targets, None) + added

    def predict(self, model: nn.Module, inputs: ModelInputs) -> Tensor:
        """Return the prompted model's outputs, [B, K]."""
        return self.outputs(model, inputs, training=False)[0]

    def begin_from(self, tensors: dict[str, Tensor]) -> None:
        """Make room for as many prompts as a version has."""
        make_room(self, tensors)

    def grow(self, model: nn.Module, before: dict[str, Tensor]) -> None:
        """Carry the prompts over, which new labels don't change."""
        self.begin_from(before)
        super().grow(model, before)
