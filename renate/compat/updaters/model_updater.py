"""Renate's model updaters: an update of a network and data sets that a script has at hand.

Each update is a job like any other. What the script has is passed to it in the place of a config
file.
"""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from safetensors.torch import load as tensors_in
from torch import nn
from torch.utils.data import Dataset

from renate.api import Result
from renate.compat.calls import lines
from renate.compat.calls.outputs import NET, write_outputs
from renate.compat.calls.running import run, tell_once
from renate.compat.data.items import refuse_collate
from renate.compat.files.passed import PassedData, PassedFunctions, load
from renate.compat.models.renate_module import RenateModule
from renate.compat.names.defaults import SEED, TASK_ID, WORKING_DIRECTORY
from renate.compat.space.keys import Translation
from renate.compat.space.methods import METHODS, Method, method_named
from renate.errors import ConfigError
from renate.jobs.passed_objects import folder_of
from renate.jobs.passed_objects.held import Held
from renate.state.versions import State

Function = Callable[..., Any]


class ModelUpdater:
    """Updates a network by one of Renate's methods; a subclass names which.

    A second `update` goes on from the first one's outcome: its weights, its memory.

    Args:
        model: A RenateModule, or another network. `update` trains a copy in a job and loads the
            outcome into this one.
        loss_fn: A loss of outputs [B, K] and targets, averaged where it gives one for each example.
        optimizer: `Adam` or `SGD`, with `learning_rate`, `momentum` and `weight_decay` beside it;
            or what makes an optimizer of parameters.
        learning_rate_scheduler: What makes a schedule of an optimizer.
        learning_rate_scheduler_interval: When it steps, `epoch` or `step`.
        input_state_folder: The state that the first update starts from; its weights count, not
            those of `model`.
        output_state_folder: Where the outcome goes; None leaves it in the job's own directory.
        max_epochs: Of one update.
        train_transform: Of an item that is trained on; so are the five that follow.
        train_target_transform: Of a target.
        test_transform: When measuring.
        test_target_transform: When measuring.
        buffer_transform: Of an item of the memory; by itself `train_transform`.
        buffer_target_transform: Of a target of the memory.
        metric: `val_…` or `train_…`: which epoch's weights are kept. None keeps the last one's.
        mode: `max` or `min`: which way it is better.
        logged_metrics: Name -> metric of torchmetrics.
        early_stopping_enabled: Whether a metric that gets no better ends the fit.
        logger: One of Lightning's.
        accelerator: Lightning's.
        devices: Processes that train together; None is one.
        strategy: Lightning's; with one device it doesn't matter.
        precision: `16`, `32`, `64` or `bf16`.
        seed: Of everything random.
        deterministic_trainer: Whether only deterministic algorithms may be used.
        gradient_clip_val: None doesn't clip.
        gradient_clip_algorithm: `norm` or `value`.
        **of_method: Further keys of a config_space: `batch_size`, `memory_size`, `alpha`, …

    Raises:
        ConfigError: The base class, a method that this package hasn't, or a key of another one.
    """

    method: ClassVar[str] = ""

    def __init__(  # noqa: PLR0913 (Renate's signature)
        self,
        model: nn.Module,
        loss_fn: Function,
        optimizer: str | Function = "Adam",
        *,
        learning_rate_scheduler: Function | None = None,
        learning_rate_scheduler_interval: str = "epoch",
        input_state_folder: str | None = None,
        output_state_folder: str | None = None,
        max_epochs: int | None = None,
        train_transform: Function | None = None,
        train_target_transform: Function | None = None,
        test_transform: Function | None = None,
        test_target_transform: Function | None = None,
        buffer_transform: Function | None = None,
        buffer_target_transform: Function | None = None,
        metric: str | None = None,
        mode: str = "min",
        logged_metrics: Mapping[str, Any] | None = None,
        early_stopping_enabled: bool = False,
        logger: Any = None,
        accelerator: str = "auto",
        devices: int | None = None,
        strategy: str = "ddp",
        precision: str = "32",
        seed: int = SEED,
        deterministic_trainer: bool = False,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
        **of_method: Any,
    ) -> None:
        self._method = self._known(model)
        self._model = model
        self._max_epochs = max_epochs
        self._metric = metric
        self._mode = mode if metric is not None else None
        self._seed = seed
        self._input = input_state_folder
        self._output = output_state_folder
        self._has_logger = logger is not None

        if early_stopping_enabled and metric is None:
            tell_once("early_stopping_enabled is left out: no metric says what is better")

        stops_early = early_stopping_enabled and metric is not None
        self._space = dict(of_method) | {"early_stopping": stops_early}
        if isinstance(optimizer, str):
            self._space["optimizer"] = optimizer

        schedule = None
        if learning_rate_scheduler is not None:
            schedule = (learning_rate_scheduler, learning_rate_scheduler_interval)

        self._returned = _without_none(
            loss_fn=loss_fn,
            optimizer_fn=None if isinstance(optimizer, str) else optimizer,
            lr_scheduler_fn=schedule,
            metrics_fn=dict(logged_metrics) if logged_metrics else None,
            train_transform=train_transform,
            train_target_transform=train_target_transform,
            test_transform=test_transform,
            test_target_transform=test_target_transform,
            buffer_transform=buffer_transform,
            buffer_target_transform=buffer_target_transform,
            logger_fn=logger,
        )
        self._trainer = {
            "accelerator": accelerator,
            "devices": 1 if devices is None else devices,
            "strategy": strategy,
            "precision": precision,
            "deterministic": deterministic_trainer,
            "gradient_clip_val": gradient_clip_val,
            "gradient_clip_algorithm": gradient_clip_algorithm,
        }

    def _known(self, model: Any) -> Method:
        name = type(self).__name__
        if not self.method:
            known = ", ".join(method.name for method in METHODS)
            raise ConfigError(
                f"{name} has no method of its own: FineTuningModelUpdater, "
                f"ExperienceReplayModelUpdater, …, or a subclass with method = one of {known}"
            )
        if not isinstance(model, nn.Module):
            raise ConfigError(f"{name}: model is a {type(model).__name__}, expected a network")

        return method_named(self.method)

    def update(
        self,
        train_dataset: Dataset[Any],
        val_dataset: Dataset[Any] | None = None,
        train_dataset_collate_fn: Function | None = None,
        val_dataset_collate_fn: Function | None = None,
        task_id: str | None = None,
    ) -> nn.Module:
        """Train on new data.

        Args:
            train_dataset: Of (input, target) items.
            val_dataset: The same; by it the best epoch is known, and the outcome is measured. None
                measures on a part of the training data, which is held out.
            train_dataset_collate_fn: None; items that differ in shape are padded by themselves.
            val_dataset_collate_fn: None.
            task_id: Passed on to the model.

        Returns:
            The updater's model, with its new weights.

        Raises:
            ConfigError: A setting or data that can't be right.
            JobError: The job failed.
        """
        for name, collate in (
            ("train_dataset_collate_fn", train_dataset_collate_fn),
            ("val_dataset_collate_fn", val_dataset_collate_fn),
        ):
            refuse_collate(name, collate)

        functions = PassedFunctions(
            self._model, PassedData(train_dataset, val_dataset), self._returned
        )
        with _held(functions) as path:
            result = self._updated(functions, path, task_id or TASK_ID)

        self._take_over(result, task_id or TASK_ID)
        return self._model

    def _updated(self, functions: PassedFunctions, path: Path, task_id: str) -> Result:
        description = functions.describe(path)
        translation = Translation(
            self._space, self._method, description, self._max_epochs, tell_once
        )
        if note := self._method.note:
            tell_once(note)

        settings = {
            "updater": self._method.name,
            "config_file": None,
            "task_id": task_id,
            "chunk_id": None,
            "working_directory": WORKING_DIRECTORY,
            "seed": self._seed,
            "metric": self._metric,
            "mode": self._mode,
        }
        overrides = [
            *lines.of_file(description, self._space, self._metric),
            *translation.overrides(),
            *lines.of_settings(settings),
            *lines.of_state(self._input, self._output),
            *lines.of_trainer(**self._trainer),
        ]
        if self._has_logger:
            overrides.append("logger=config_file")

        result = run(overrides)
        write_outputs(result, translation, settings, self._input)
        return result

    def _take_over(self, result: Result, task_id: str) -> None:
        """Load the outcome's weights, and let the next update go on from it."""
        if result.version is None:
            raise ConfigError("model updater: the job published no version to go on from")

        state = State(result.state_url)
        manifest = state.manifest(result.version)
        tensors = tensors_in(bytes(state.read(manifest, "model.safetensors")))
        if isinstance(self._model, RenateModule):
            self._model.add_task_params(task_id)

        load(self._model, {name.removeprefix(NET): each for name, each in tensors.items()})
        self._input = self._output = result.state_url


class SingleTrainingLoopUpdater(ModelUpdater):
    """What Renate's updaters derive from; a subclass names its method."""


class SimpleModelUpdater(ModelUpdater):
    """The same under its earlier name."""


def _without_none(**things: Any) -> dict[str, Any]:
    return {key: value for key, value in things.items() if value is not None}


@contextmanager
def _held(functions: PassedFunctions) -> Any:
    """The file that holds what a script passes, as long as its job needs it."""
    held = Held(folder_of(Path(WORKING_DIRECTORY)))
    try:
        yield held.save(functions, "model updater")
    finally:
        held.release()
