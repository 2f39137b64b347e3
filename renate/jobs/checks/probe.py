"""Before any training: does the model answer as an update needs it, and can its state be kept?"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from renate.data.batch import Batch, BatchTransform, Columns
from renate.data.items.served import first_of
from renate.data.model_inputs import ModelInputs, device_of
from renate.errors import ConfigError
from renate.generators import generators, set_generators
from renate.models.own.untouched import untouched
from renate.updaters.base import Updater

EXAMPLES = 2  # one alone would hide a forgotten batch dimension
ALIKE = 1e-2  # what rounding makes of two losses that are one, in any precision

# What safetensors can hold; asked for before hours of training instead of after them.
KEPT = {
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
}


def examples_of(columns: Columns, transform: BatchTransform) -> Batch:
    """A few examples, transformed."""
    return transform(first_of(columns, EXAMPLES))


def check_alike(columns: Columns, parts: Mapping[str, BatchTransform], test: Batch) -> None:
    """Return if examples that are trained on, and past ones, come as they are measured: as numbers
    of the same kind. Generators stay as they were.

    Args:
        columns: To be trained on.
        parts: Part of the group `transform` -> its transform.
        test: A few of the examples, by the test transform.

    Raises:
        ConfigError: Bytes would meet numbers from 0 to 1.
    """
    before = generators()
    measured = _dtypes(test.inputs)
    for part, transform in parts.items():
        found = _dtypes(examples_of(columns, transform).inputs)
        if found != measured:
            raise ConfigError(
                f"transform.inputs.{part} gives {', '.join(found)}, transform.inputs.test "
                f"{', '.join(measured)}: expected the same, see transform=scale"
            )

    set_generators(before)


def _dtypes(inputs: ModelInputs) -> list[str]:
    """The dtype of each of an example's inputs."""
    several = [inputs] if isinstance(inputs, Tensor) else list(inputs.values())
    return [str(each.dtype).removeprefix("torch.") for each in several]


def materialise(model: nn.Module, inputs: ModelInputs) -> nn.Module:
    """Let lazy modules take the shapes that the data gives them; returns the model.

    Args:
        model: Moved to where the inputs are, if it has lazy modules.
        inputs: A few examples, [B, ...], or a mapping of such.
    """
    if any(is_lazy(p) for p in [*model.parameters(), *model.buffers()]):
        model.to(device_of(inputs))
        modes = [(part, part.training) for part in model.modules()]
        model.eval()
        with torch.no_grad():
            model(inputs)
        for part, mode in modes:
            part.training = mode
    return model


def probe(model: nn.Module, updater: Updater, batch: Batch, outputs: tuple[int, ...]) -> None:
    """Compute a loss of a few examples, which leaves modes, buffers and generators as they were.

    Args:
        model: Moved to where the batch is.
        updater: Says how outputs are predicted; its criterion is tried.
        batch: A few examples.
        outputs: The shape that those of an example need.

    Raises:
        ConfigError: The outputs aren't of that shape, the loss can't take them, or a tensor
            can't be kept.
    """
    _check_kept({"model": model, "updater": updater})
    device = device_of(batch.inputs)
    model.to(device)
    updater.to(device)
    before = generators()

    try:
        with untouched(model, updater):
            logits = _outputs(model, updater, batch.inputs)
            _check_logits(logits, len(batch), outputs)
            _check_loss(updater.criterion, logits, batch.targets)
    finally:
        set_generators(before)


def _outputs(model: nn.Module, updater: Updater, inputs: ModelInputs) -> Any:
    """Predict. What a network of ours can't take, the config has put together wrongly; what a
    user's own can't, its own line tells.
    """
    try:
        return updater.predict(model, inputs)
    except (RuntimeError, IndexError, ValueError) as error:
        if not type(model).__module__.startswith("renate."):
            raise
        line = str(error).strip().partition("\n")[0]
        advice = ""
        if isinstance(inputs, Tensor) and not inputs.is_floating_point():
            advice = "; transform=scale makes numbers of bytes"
        raise ConfigError(
            f"model: {type(model).__name__} can't take {_described(inputs)}: {line}{advice}"
        ) from error


def _described(inputs: ModelInputs) -> str:
    """Inputs by their shapes."""
    if isinstance(inputs, Tensor):
        return f"inputs {list(inputs.shape)} ({str(inputs.dtype).removeprefix('torch.')})"
    return f"the inputs {', '.join(f'{name} {list(v.shape)}' for name, v in inputs.items())}"


def _check_logits(logits: Any, rows: int, outputs: tuple[int, ...]) -> None:
    shape = ", ".join(map(str, outputs))
    expected = (
        f"expected outputs of shape [B, {shape}], one per label, or number, that the data has"
    )
    if not isinstance(logits, Tensor):
        found = type(logits).__name__
        if isinstance(logits, Mapping):
            found += f" of {', '.join(map(str, logits))}"
        raise ConfigError(
            f"model: forward gives a {found}, {expected}: model.output=… names the one to take, by "
            "its name or its place"
        )

    if tuple(logits.shape) != (rows, *outputs):
        raise ConfigError(
            f"model: forward gives {list(logits.shape)} for {rows} examples, {expected}: "
            "give the last layer that many outputs"
        )


def _check_loss(criterion: nn.Module, logits: Tensor, targets: Tensor) -> None:
    weight = getattr(criterion, "weight", None)
    if isinstance(weight, Tensor) and weight.ndim == 1 and len(weight) not in (1, logits.shape[1]):
        raise ConfigError(
            f"loss.weight has {len(weight)} values, the data {logits.shape[1]} labels: give one "
            "for each label"
        )

    try:
        loss = criterion(logits, targets)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        line = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"loss: {type(criterion).__name__} can't take logits {list(logits.shape)} and targets "
            f"{list(targets.shape)} ({str(targets.dtype).removeprefix('torch.')}): {line}"
        ) from error

    if not isinstance(loss, Tensor) or loss.numel() != 1:
        found = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise ConfigError(
            f"loss: {type(criterion).__name__} gives {found}, expected one number: "
            "loss.reduction=mean"
        )

    twice = criterion(torch.cat([logits, logits]), torch.cat([targets, targets]))
    if float(loss) and abs(float(twice) / float(loss) - 2) < ALIKE:
        raise ConfigError(
            f"loss: {type(criterion).__name__} gives a sum over the examples, expected their mean, "
            "which updaters weigh and the metric loss is: loss.reduction=mean"
        )


def _check_kept(modules: Mapping[str, nn.Module]) -> None:
    for whose, module in modules.items():
        for name, value in module.state_dict().items():
            if not isinstance(value, Tensor):
                raise ConfigError(
                    f"{whose}: its state holds '{name}', a {type(value).__name__}, and a version "
                    "keeps tensors alone: "
                    "make it a buffer, or rebuild it in the constructor instead of in "
                    "get_extra_state"
                )

            if value.dtype not in KEPT or value.layout != torch.strided:
                raise ConfigError(
                    f"{whose}: tensor '{name}' is {value.dtype} ({value.layout}), which a version "
                    "can't keep: "
                    "keep real and imaginary parts, or dense values, in tensors of their own"
                )
