"""Updaters that one process alone can train by."""

from renate.errors import ConfigError
from renate.updaters.base import Updater


def check_alone(updater: Updater, does: str) -> None:
    """Return if a fit has one process.

    Args:
        updater: Bound to its memory, which knows.
        does: What it would do in each of several, for the message: `adds up`.

    Raises:
        ConfigError: It has several.
    """
    ranks = updater.memory.ranks
    if ranks > 1:
        raise ConfigError(
            f"updater: {type(updater).__name__} {does} what one process sees, and there are "
            f"{ranks}: trainer.devices=1"
        )
