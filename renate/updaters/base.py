"""What an updater is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from renate.data.batch import Batch, Columns
from renate.data.model_inputs import ModelInputs
from renate.losses.weighted import weighted_mean
from renate.memory.store.memory import Memory
from renate.models.grow import carry
from renate.problems.base import Problem

OF_CONFIG = "criterion."  # how the names of tensors begin that the config makes


class Updater(nn.Module, ABC):
    """A continual-learning algorithm: how a model learns from new data without losing the old.

    Only `loss` is required. What must survive an update is module state (parameters, buffers,
    sub-modules) or lies in the memory. The job sets `memory`, `criterion` and `problem` before
    anything else is called.

    Attributes:
        memory: Past examples, offered and sampled by the updater.
        criterion: Loss of outputs [B, K] and encoded targets, averaged over the batch.
        problem: What is predicted: how many outputs there are, and whether they are classes.
        rebuild: Makes the model anew, as it was before any update; None where no job is there to do
            so.
        test_transform: Makes batches of columns as they are measured, without what is random; None
            where no job is there to say.
        fields: Per-example values besides inputs and targets that the updater keeps in the memory.
        of_memory: Names of tensors of its state that say what such values are of: they are taken
            over from whichever updater wrote the state.
        replays: Whether it learns from the examples that its memory keeps, and would be another
            algorithm without: a memory that keeps none is refused.
        weighs: Whether `loss` takes examples' weights into account (`data.weight`), as
            `mean_loss` does.
        generates: Whether it can learn texts that are generated, whose outputs are [B, K, L]:
            `problem=next_token`.
        multi_head: Whether it can train a model that has a head for each task, whose inputs are a
            mapping with `task_id`.
        problems: The options of conf/problem that it can learn, and what is derived from them;
            empty where it learns any.
    """

    memory: Memory
    criterion: nn.Module
    problem: Problem
    rebuild: Callable[[], nn.Module] | None = None
    test_transform: Callable[[Columns], Batch] | None = None
    fields: ClassVar[tuple[str, ...]] = ()
    of_memory: ClassVar[tuple[str, ...]] = ()
    replays: bool = False
    weighs: ClassVar[bool] = False
    generates: ClassVar[bool] = False
    multi_head: ClassVar[bool] = False
    problems: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the scalar to minimise; may read and write the memory."""

    def mean_loss(self, outputs: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
        """Return the criterion, a scalar.

        Args:
            outputs: [B, K].
            targets: As the criterion takes them.
            weights: Of the examples, [B], see `weighted_mean`; None weighs all alike.
        """
        if weights is not None:
            return weighted_mean(self.criterion, outputs, targets, weights)

        loss: Tensor = self.criterion(outputs, targets)
        return loss

    def setup(self, model: nn.Module) -> None:
        """Prepare what depends on the model (copies, taps); called once, before the updater's
        state is loaded.
        """

    def grow(self, model: nn.Module, before: dict[str, Tensor]) -> None:
        """Carry the updater's own state over to a model whose head grew; called in place of loading
        it.

        What kept its shape is loaded, what has more rows now keeps its fresh values in the new
        ones.

        Args:
            model: The grown model, loaded.
            before: The updater's own state as it was, see `own_state`.

        Raises:
            StateError: A tensor is missing or left over, or differs in more than the number of its
                rows.
        """
        carry(before, self.own_state(), "updater")

    def take_over(self, known: Tensor) -> None:
        """Called in place of loading, after `setup`, where another updater wrote the state.

        Args:
            known: Which of the model's outputs were trained before, bool [K].
        """

    def own_state(self) -> dict[str, Tensor]:
        """What an update leaves to the next: everything but the loss, which the config makes
        anew.
        """
        return {k: v for k, v in self.state_dict().items() if not k.startswith(OF_CONFIG)}

    def backfill(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the fields that a loaded memory lacks for some of its examples, by the loaded
        model.

        Called with `memory.backfill=true`, in evaluation mode and without gradients.

        Args:
            model: Loaded, and grown where new labels came.
            batch: Past examples, by the test transform.

        Returns:
            Name of the field -> [B, ...].
        """
        return {}

    def start(self, model: nn.Module, data: Columns) -> Columns | None:
        """Called before the fit, by each of several processes with its own share of the new data.

        Returns:
            What to train on instead, of which this process has its own share; None trains on the
            new data.
        """
        return None

    def after_backward(self, model: nn.Module) -> None:
        """Called before each optimizer step, when the parameters' gradients are complete: of all
        accumulated batches, averaged over processes, unscaled, not clipped yet. May change them.
        """

    def after_step(self, model: nn.Module) -> None:
        """Called after each optimizer step, as for copies of the model that follow it slowly."""

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Called after the fit, with the new data."""

    def predict(self, model: nn.Module, inputs: ModelInputs) -> Tensor:
        """Return the outputs [B, K] for evaluation and deployment.

        Args:
            model: Loaded.
            inputs: As `Batch.inputs`: [B, ...], or a mapping of such.
        """
        outputs: Tensor = model(inputs)
        return outputs
