"""A model as it was before any update."""

from torch import nn

from renate.errors import ConfigError
from renate.updaters.base import Updater


def begin_anew(updater: Updater, model: nn.Module) -> None:
    """Return a model to the weights that it was built with.

    Args:
        updater: Knows how the model is built (`Updater.rebuild`); else each module resets itself.
        model: Changed in place.

    Raises:
        ConfigError: No job says how it is built, and some parameter belongs to no module that can
            reset itself.
    """
    if updater.rebuild is not None:
        model.load_state_dict(updater.rebuild().state_dict())
        return

    lone = {id(p): name for name, p in model.named_parameters()}
    for module in model.modules():
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
            for parameter in module.parameters(recurse=False):
                lone.pop(id(parameter), None)

    if lone:
        raise ConfigError(
            f"updater.reset=true: nothing resets the parameter '{next(iter(lone.values()))}': "
            "set rebuild, which makes the model anew"
        )
