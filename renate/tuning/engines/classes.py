"""Finding and making the classes of other packages that a tuner's config names."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from renate.errors import ConfigError, nearest


def load(path: str, engine: str, extra: str) -> type[Any]:
    """Import a class by its path.

    Args:
        path: Of the engine's or of the user's own.
        engine: The package that it needs.
        extra: The extra of ours that installs it.

    Raises:
        ConfigError: The engine isn't installed, or there is no such class.
    """
    if not isinstance(path, str):
        raise ConfigError(f"{path}: expected package.module.Class")

    module, _, name = path.rpartition(".")
    try:
        importlib.import_module(engine)
        found = getattr(importlib.import_module(module), name)
    except ImportError as error:
        if error.name == engine:
            raise ConfigError(f"{path} needs {engine}: pip install 'renate-cl[{extra}]'") from error
        raise ConfigError(f"{path}: importing it failed: {error}") from error
    except (AttributeError, ValueError) as error:  # the latter: no module in the path
        raise ConfigError(
            f"{path}: there is no such class, expected package.module.Class"
        ) from error

    if not inspect.isclass(found):
        raise ConfigError(f"{path}: expected a class, found {type(found).__name__}")

    return found


def accepts(cls: type[Any]) -> set[str]:
    """Names of the arguments that a class takes, those that it hands on to its bases included."""
    names: set[str] = set()
    for base in inspect.getmro(cls):
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters
            names |= set(parameters)
            if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
                break

    return names - {"self", "args", "kwargs"}


def make(cls: type[Any], given: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Make an object of what it accepts of `given`, and of all `options`; an option wins.

    Raises:
        ConfigError: An unknown or a missing option, a value that the class refuses, or a package
            that it lacks.
    """
    names = accepts(cls)
    for name in options:
        if name not in names:
            raise ConfigError(f"{cls.__name__} has no option '{name}'{nearest(name, names)}")

    try:
        return cls(
            **({name: value for name, value in given.items() if name in names} | dict(options))
        )
    except (AssertionError, ImportError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{cls.__name__}: {error or 'it refuses the options or the search space'}"
        ) from error
