"""Packages that only some features need: an extra of ours installs each."""

import importlib
from typing import Any

from renate.errors import ConfigError


def load(package: str, extra: str, who: str) -> Any:
    """Import a package that an extra installs.

    Args:
        package: Its name.
        extra: The extra of ours.
        who: The key that asks for it, or what needs it, for the message.

    Raises:
        ConfigError: It isn't installed, or doesn't start.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        top = package.partition(".")[0]
        if error.name == top:
            raise ConfigError(f"{who} needs {top}: pip install 'renate-cl[{extra}]'") from error
        raise ConfigError(f"{who} needs {top}, which doesn't start: {error}") from error
