"""What must hold before a version is published: its weights are numbers."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from renate.errors import JobError
from renate.fitting.learner import REMEDY

# Of each buffer by its full name: whether it holds NaN, and whether it holds an infinity.
Oddities = dict[str, tuple[bool, bool]]


def oddities(modules: Mapping[str, nn.Module]) -> Oddities:
    """Which buffers hold what is no number, as masks of -inf do; taken before a fit."""
    return {name: _look(buffer) for name, buffer in _buffers(modules)}


@torch.no_grad()
def check_finite(modules: Mapping[str, nn.Module], before: Oddities) -> None:
    """Return if all parameters are finite, and buffers hold NaN or infinities only where they did.

    Args:
        modules: name -> module; names begin the tensors' names in messages.
        before: See `oddities`.

    Raises:
        JobError: Naming the first tensor that isn't.
    """
    for prefix, module in modules.items():
        for name, parameter in module.named_parameters():
            _refuse(f"{prefix}.{name}", _look(parameter))

    for name, buffer in _buffers(modules):
        nan, infinite = _look(buffer)
        was_nan, was_infinite = before.get(name, (False, False))
        _refuse(name, (nan and not was_nan, infinite and not was_infinite))


def _buffers(modules: Mapping[str, nn.Module]) -> Iterator[tuple[str, Tensor]]:
    for prefix, module in modules.items():
        for name, buffer in module.named_buffers():
            yield f"{prefix}.{name}", buffer


def _look(tensor: Tensor) -> tuple[bool, bool]:
    """Whether a tensor holds NaN, and whether it holds an infinity; integers hold neither."""
    if is_lazy(tensor):
        return False, False
    if not (tensor.is_floating_point() or tensor.is_complex()) or bool(tensor.isfinite().all()):
        return False, False
    return bool(tensor.isnan().any()), bool(tensor.isinf().any())


def _refuse(name: str, found: tuple[bool, bool]) -> None:
    nan, infinite = found
    if nan or infinite:
        what = "NaN" if nan else "an infinity"
        raise JobError(f"after the fit '{name}' holds {what}: nothing is published; {REMEDY}")
