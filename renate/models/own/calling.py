"""How any module is called, and which of its outputs counts.

Both are hooks: the module stays of its own class, and its tensors keep their names.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from renate.data.model_inputs import LENGTHS
from renate.errors import ConfigError, nearest

NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def adapt(model: nn.Module, output: str | int | None = None) -> nn.Module:
    """Let a module take the inputs of a mapping by the names of its arguments, and give one of
    several outputs. Returns the module, which is changed in place; repeated, the last call counts.

    Args:
        model: Any. One whose `forward` takes one argument alone is called with the mapping.
        output: Key, or place, of the logits in what `forward` returns; None where it returns them
            alone.
    """
    for hooks in (model._forward_pre_hooks, model._forward_hooks):
        for key, hook in list(hooks.items()):
            if isinstance(hook, NamedInputs | ChosenOutput):
                del hooks[key]
                model._forward_pre_hooks_with_kwargs.pop(key, None)

    named = NamedInputs.of(model)
    if named is not None:
        model.register_forward_pre_hook(named, with_kwargs=True)
    if output is not None:
        model.register_forward_hook(ChosenOutput(output))

    return model


@dataclass(frozen=True)
class NamedInputs:
    """Hands a mapping's tensors over as keyword arguments.

    Attributes:
        required: Arguments of `forward` without a default.
        names: All of its arguments.
        takes_all: Whether it takes any others as well (`**inputs`).
    """

    required: tuple[str, ...]
    names: tuple[str, ...]
    takes_all: bool

    @classmethod
    def of(cls, model: nn.Module) -> "NamedInputs | None":
        """Return that of a module; None where `forward` takes one argument, the mapping."""
        try:
            parameters = inspect.signature(model.forward).parameters
        except (TypeError, ValueError):
            return None

        found = {name: each for name, each in parameters.items() if each.kind in NAMED}
        takes_all = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
        others = len(parameters) - len(found) - takes_all
        if others or len(found) + 2 * takes_all < 2:
            return None

        required = tuple(name for name, each in found.items() if each.default is each.empty)
        return cls(required, tuple(found), takes_all)

    def __call__(self, model: nn.Module, args: Any, kwargs: Any) -> Any:
        """Return the arguments instead, where the module is called with one mapping.

        Raises:
            ConfigError: It lacks some of those that `forward` needs.
        """
        if kwargs or len(args) != 1 or not isinstance(args[0], Mapping):
            return None
        if not self.names_some_of(args[0]):
            return None

        inputs = args[0]
        missing = [name for name in self.required if name not in inputs]
        if missing:
            raise ConfigError(
                f"model: forward needs '{missing[0]}', the data's inputs are {', '.join(inputs)}"
                f"{nearest(missing[0], inputs)}"
            )

        return (), {n: each for n, each in inputs.items() if self.takes_all or n in self.names}

    def names_some_of(self, inputs: Mapping[str, Any]) -> bool:
        """Whether the module is called by names, and not with the mapping as its one input."""
        one_input = len(self.required) == 1 and self.required[0] not in inputs
        return not one_input and (self.takes_all or any(name in inputs for name in self.names))


def names_not_taken(model: nn.Module, inputs: Any) -> list[str]:
    """Return the inputs that a module is not given, since its `forward` has no such arguments."""
    named = NamedInputs.of(model)
    if named is None or not isinstance(inputs, Mapping) or not named.names_some_of(inputs):
        return []
    if named.takes_all:
        return []

    lengths = {f"{name}{LENGTHS}" for name in inputs}
    return [name for name in inputs if name not in named.names and name not in lengths]


@dataclass(frozen=True)
class ChosenOutput:
    """Gives one of a module's outputs.

    Attributes:
        key: A name, of a mapping or an attribute; or a place in a tuple.
    """

    key: str | int

    def __call__(self, model: nn.Module, args: Any, outputs: Any) -> Tensor:
        """Return the output.

        Raises:
            ConfigError: There is none of that name or place.
        """
        if isinstance(outputs, Tensor):
            raise ConfigError(
                f"model.output={self.key}: forward gives one tensor, {list(outputs.shape)}: leave "
                "it out"
            )

        chosen = None
        choices = _choices(outputs)
        if isinstance(self.key, str):
            if self.key in choices:
                held = isinstance(outputs, Mapping)
                chosen = outputs[self.key] if held else getattr(outputs, self.key)
        else:
            several = list(outputs.values()) if isinstance(outputs, Mapping) else list(outputs)
            if -len(several) <= self.key < len(several):
                chosen = several[self.key]

        if not isinstance(chosen, Tensor):
            found = f"a {type(outputs).__name__} of {', '.join(choices) or 'nothing'}"
            raise ConfigError(
                f"model.output={self.key}: forward gives {found}{nearest(str(self.key), choices)}; "
                "name one that is a tensor"
            )

        return chosen


def _choices(outputs: Any) -> list[str]:
    """What a module's outputs are called, or their places."""
    if isinstance(outputs, Mapping):
        return [str(name) for name in outputs]
    if hasattr(outputs, "_fields"):  # a named tuple
        return list(outputs._fields)
    if isinstance(outputs, list | tuple):
        return [str(place) for place in range(len(outputs))]
    return [name for name, value in vars(outputs).items() if isinstance(value, Tensor)]
