"""What is changed inside Lightning."""

from collections.abc import Callable
from functools import cache
from typing import Any

HOOK_NAME = "_current_fx_name"


class QuickHookName:
    """A base before `LightningModule`: its note of the running hook costs little.

    Lightning writes the name of the running hook 44 times a step, as an attribute of the module,
    and `nn.Module` looks at each attribute as if it might be a parameter: 0.07 ms of each step.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == HOOK_NAME:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)


@cache
def look_for_factories_once() -> None:
    """Let Lightning look for callback factories once per process instead of once per Trainer.

    It looks through the metadata of all installed packages, which takes 6 ms each time.
    """
    from importlib.metadata import entry_points

    from lightning_fabric.utilities import registry

    vars(registry)["entry_points"] = cache(entry_points)


def on_sigterm(trainer: Any, told: Callable[..., None]) -> None:
    """Let SIGTERM during a trainer's fit call `told`, and do nothing else.

    Lightning's own handler talks to the other processes at once, in the middle of whatever they
    are saying, and tells the loop to end after this batch, whether or not a checkpoint is written.
    """
    trainer._signal_connector._sigterm_notifier_fn = told


def without_vote_on_sigterm(trainer: Any) -> None:
    """Let a trainer's processes not vote on SIGTERM after each step.

    The vote costs a broadcast, and a wait for the GPU; `renate.fitting.rank_sync` asks the same
    together with all else that processes decide.
    """
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None


def without_conversion(trainer: Any) -> None:
    """Let a `…-true` precision leave batches as they are.

    `BatchTransform` has cast what the model gets; what a memory keeps must stay as it is stored.
    """
    trainer.precision_plugin.convert_input = _as_it_is


def _as_it_is(batch: Any) -> Any:
    return batch


def callbacks_of(trainer: Any) -> list[Any]:
    """A trainer's callbacks, which Lightning adds to it where no type says so."""
    return list(trainer.callbacks)
