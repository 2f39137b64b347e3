"""What a checkpoint keeps of a user's callbacks."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from renate.errors import JobError

PLAIN = (int, float, str, bool, type(None))


def states_of(callbacks: Sequence[pl.Callback]) -> list[Any]:
    """Return the state of each callback, in their order.

    Raises:
        JobError: One holds what a checkpoint, which is never unpickled, can't keep.
    """
    states = []
    for callback in callbacks:
        state = callback.state_dict()
        odd = _odd_in(state)
        if odd is not None:
            raise JobError(
                f"callback {type(callback).__name__}: its state_dict holds a {odd}, and a "
                "checkpoint keeps tensors, numbers and texts alone: give it one of these"
            )
        states.append(state)

    return states


def restore_states(callbacks: Sequence[pl.Callback], states: Sequence[Any]) -> None:
    """Give callbacks back what `states_of` took of them; a checkpoint of before has none."""
    for callback, state in zip(callbacks, states, strict=False):
        if state:
            callback.load_state_dict(state)


def _odd_in(state: Any) -> str | None:
    """The name of a kind that a checkpoint can't keep, if there is any in there."""
    if isinstance(state, Tensor) or type(state) in PLAIN:
        return None
    if type(state) in (list, tuple):
        found = [_odd_in(each) for each in state]
    elif type(state) is dict:
        found = [_odd_in(each) for pair in state.items() for each in pair]
    else:
        return type(state).__name__

    return next((odd for odd in found if odd is not None), None)
