"""Renate's base class of models."""

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from renate.errors import StateError

EXTRA = "_extra_state"
PICKLED = b"\x80"  # how every pickle begins that Renate wrote

Made = TypeVar("Made", bound="RenateModule")


class RenateModule(nn.Module, ABC):
    """A network that can be made anew from its own weights file.

    What it takes to do so is part of the weights, as JSON in a tensor of bytes: nothing is pickled.

    Args:
        constructor_arguments: What the constructor was given, as JSON has it; `from_state_dict`
            passes it on.
        loss_fn: Taken for the sake of older files; the loss is the config file's `loss_fn`.
    """

    def __init__(self, constructor_arguments: dict[str, Any], loss_fn: Any = None) -> None:
        super().__init__()
        # What the caller does to a list afterwards is no argument of this network
        self._constructor_arguments = copy.deepcopy(dict(constructor_arguments))
        self._task_ids: list[str] = []

    @abstractmethod
    def forward(self, x: Any, task_id: str | None = None) -> Tensor:
        """Return outputs [B, K] of inputs."""

    @classmethod
    def from_state_dict(cls: type[Made], state_dict: dict[str, Any]) -> Made:
        """Make the network that a weights file is of.

        Raises:
            StateError: The file says nothing of the constructor's arguments, or says it in a
                pickle, or its weights are another network's.
        """
        extra = extra_state(state_dict.get(EXTRA), cls.__name__)
        made = cls(**extra["constructor_arguments"])
        for task_id in extra["task_ids"]:
            made.add_task_params(task_id)

        try:
            made.load_state_dict(state_dict)
        except RuntimeError as error:
            _, *reasons = str(error).splitlines()
            said = " ".join(reason.strip() for reason in reasons) or str(error)
            raise StateError(
                f"{cls.__name__}: the weights are another network's: {said}"
            ) from error

        return made

    def begin_from(self, tensors: dict[str, Tensor]) -> None:
        """Make what a state's weights have for tasks, before they are loaded.

        What they say of how the network is made is replaced by what it says itself: another
        release may put the same in other words.
        """
        if EXTRA in tensors:
            self.set_extra_state(tensors[EXTRA])
            tensors[EXTRA] = self.get_extra_state()

    def add_task_params(self, task_id: str | None = None) -> None:
        """Make what the network has of its own for a task; again, or of None, nothing happens."""
        if task_id is None:
            return
        if task_id not in self._task_ids:
            self._add_task_params(task_id)
            self._task_ids.append(task_id)

    def _add_task_params(self, task_id: str) -> None:
        """Add a task's own parameters; of a network without any, nothing."""

    def get_params(self, task_id: str | None = None) -> list[nn.Parameter]:
        """Return the parameters that training changes."""
        return list(self.parameters())

    def get_logits(self, x: Any, task_id: str | None = None) -> Tensor:
        """Return outputs [B, K] of inputs."""
        logits: Tensor = self(x, task_id)
        return logits

    def get_extra_state(self, encode: bool = True) -> Tensor:
        """Return the constructor's arguments and the tasks' names as bytes, uint8 [N]."""
        said = {"constructor_arguments": self._constructor_arguments, "task_ids": self._task_ids}
        try:
            text = json.dumps(said, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise StateError(
                f"{type(self).__name__}: constructor_arguments: {error}: a state keeps numbers, "
                "texts, lists and mappings alone"
            ) from error
        return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Any, decode: bool = True) -> None:
        """Take the tasks' names; the arguments are those that the network was made with."""
        extra = extra_state(state, type(self).__name__)
        for task_id in extra["task_ids"]:
            self.add_task_params(task_id)


class RenateWrapper(RenateModule):
    """A network of torch's, as it is.

    Args:
        model: Called with inputs alone: a tensor, a tuple's parts one after the other, or a
            mapping's by their names.
    """

    def __init__(self, model: nn.Module, loss_fn: Any = None) -> None:
        super().__init__(constructor_arguments={})
        self._model = model

    def forward(self, x: Any, task_id: str | None = None) -> Tensor:
        """Return what the network makes of inputs; of a tuple of one tensor, that tensor."""
        if isinstance(x, Mapping):
            outputs: Any = self._model(**x)
        elif isinstance(x, tuple):
            outputs = self._model(*x)
        else:
            outputs = self._model(x)

        if isinstance(outputs, tuple) and len(outputs) == 1:
            outputs = outputs[0]

        found: Tensor = outputs
        return found

    @classmethod
    def from_state_dict(cls: type[Made], state_dict: dict[str, Any]) -> Made:
        """Refuse: a wrapper doesn't know how its network is made.

        Raises:
            StateError: Always.
        """
        raise StateError(
            "RenateWrapper.from_state_dict: a wrapper doesn't know how its network is made: "
            "make it again, RenateWrapper(net), and call load_state_dict"
        )


def extra_state(state: Any, name: str) -> dict[str, Any]:
    """What a weights file says besides its weights.

    Raises:
        StateError: Nothing, or something in a pickle, which is code.
    """
    if not isinstance(state, Tensor) or state.dtype != torch.uint8 or state.ndim != 1:
        raise StateError(f"{name}: the weights have no {EXTRA}: are they of a RenateModule?")

    raw = bytes(state.cpu().tolist())
    if raw.startswith(PICKLED):
        raise StateError(
            f"{name}: {EXTRA} is a pickle, as Renate 0.5 wrote it, and a pickle is code: "
            "renate state import OLD_FOLDER NEW_URL --trust-pickle"
        )

    try:
        found = json.loads(raw)
        arguments = dict(found["constructor_arguments"])
        task_ids = [str(task_id) for task_id in found["task_ids"]]
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"{name}: {EXTRA} isn't what a RenateModule keeps there") from error

    return {"constructor_arguments": arguments, "task_ids": task_ids}
