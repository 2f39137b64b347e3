"""Weights of another training to begin with."""

import io
import pickle
from collections.abc import Mapping
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from renate.errors import ConfigError
from renate.libraries.torch import load_tensors

# Where training scripts put a model's weights beside all else that they save
WITHIN = ("state_dict", "model_state_dict", "model", "module", "net", "weights")
# What wrappers put before each name
BEFORE = ("", "module.", "model.", "net.", "module.model.", "_orig_mod.")
SHOWN = 4  # tensors that a line names


def load_weights(model: nn.Module, name: str, file: BinaryIO) -> str:
    """Load what fits of a file's weights, by name and shape, and leave the rest of the model as it
    is.

    Args:
        model: Changed in place.
        name: The file's, for messages; its ending says what it is.
        file: A state dict, as torch.save writes it, or safetensors.

    Returns:
        A line that says what was loaded and what wasn't.

    Raises:
        ConfigError: It is no such file, nothing of it fits, or it holds NaN or infinities.
    """
    found = _without_prefix(_tensors_of(name, file), model)
    own = model.state_dict()
    fitting = {key: tensor for key, tensor in found.items() if _fits(own.get(key), tensor)}
    if not fitting:
        raise ConfigError(
            f"model.weights={name}: none of its {len(found)} tensors ({_listed(list(found))}) fits "
            f"this model's {len(own)} ({_listed(list(own))})"
        )

    for key, tensor in fitting.items():
        kept = tensor.to(own[key].dtype)  # as it is loaded
        if kept.is_floating_point() and not bool(torch.isfinite(kept).all()):
            raise ConfigError(
                f"model.weights={name}: '{key}' holds NaN, infinities, or numbers too large for "
                f"{str(kept.dtype).removeprefix('torch.')}"
            )

    model.load_state_dict(fitting, strict=False)

    # Of tensors that share memory a file has one
    loaded = {own[key].data_ptr() for key in fitting if own[key].numel()}
    missing = [key for key in own if key not in fitting and not _is_loaded(own[key], loaded)]

    return _in_words(name, own, found, len(own) - len(missing), missing)


def _in_words(
    name: str,
    own: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    count: int,
    missing: list[str],
) -> str:
    reshaped = [
        f"{key} {list(found[key].shape)} → {list(own[key].shape)}"
        for key in missing
        if key in found
    ]
    absent = [key for key in missing if key not in found]
    surplus = [key for key in found if key not in own]

    line = f"model.weights={name}: {count} of {len(own)} tensors loaded"
    for what, names in (
        ("of another shape", reshaped),
        ("not in the file", absent),
        ("in the file alone", surplus),
    ):
        if names:
            line += f"; {what}: {_listed(names)}"

    return line


def _tensors_of(name: str, file: BinaryIO) -> dict[str, Tensor]:
    """The tensors of a file by their names."""
    data = file.read()
    content: Any
    try:
        if name.endswith(".safetensors"):
            content = load(data)
        else:
            content = load_tensors(io.BytesIO(data))
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        raise ConfigError(
            f"model.weights={name}: neither safetensors nor tensors that torch.save wrote: {reason}"
        ) from error

    for key in WITHIN:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break

    if not isinstance(content, Mapping):
        raise ConfigError(
            f"model.weights={name}: it holds a {type(content).__name__}, expected a state dict: "
            "torch.save(model.state_dict(), …)"
        )

    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _without_prefix(found: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """The tensors without what a wrapper put before their names: as most of them fit."""
    own = model.state_dict()

    def stripped(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): tensor for key, tensor in found.items()}

    def fitting(prefix: str) -> int:
        return sum(_fits(own.get(key), each) for key, each in stripped(prefix).items())

    return stripped(max(BEFORE, key=fitting))


def _fits(own: Tensor | None, tensor: Tensor) -> bool:
    if own is None:
        return False
    if own.is_floating_point() != tensor.is_floating_point():
        return False
    return is_lazy(own) or own.shape == tensor.shape


def _is_loaded(own: Tensor, loaded: set[int]) -> bool:
    """Whether a tensor shares its memory with one that was loaded."""
    return not is_lazy(own) and own.numel() > 0 and own.data_ptr() in loaded


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    if more > 0:
        return f"{', '.join(names[:SHOWN])} and {more} more"
    return ", ".join(names)
