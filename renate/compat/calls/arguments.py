"""Arguments of Renate's functions, which had other names before and after."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import ParamSpec, TypeVar

from renate.errors import ConfigError, nearest

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def by_name(
    *, renamed: Mapping[str, str] | None = None, others: Callable[..., object] | None = None
) -> Callable[[Callable[Given, Answer]], Callable[Given, Answer]]:
    """Let a function say in one line which argument it hasn't, and which it lacks.

    Args:
        renamed: What an argument is called elsewhere -> its name here.
        others: A function that gets what isn't named here.
    """
    elsewhere = dict(renamed or {})

    def of(function: Callable[Given, Answer]) -> Callable[Given, Answer]:
        name = function.__name__
        signature = inspect.signature(function)
        known = {
            key: parameter
            for key, parameter in signature.parameters.items()
            if parameter.kind is not inspect.Parameter.VAR_KEYWORD
        }
        taken = [*known]
        if others is not None:
            taken += [key for key in inspect.signature(others).parameters if key not in elsewhere]

        @wraps(function)
        def checked(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
            for key in kwargs:
                if key in elsewhere and key not in known:
                    raise ConfigError(
                        f"{name} has no argument '{key}': it is called '{elsewhere[key]}' there"
                    )
                if key not in taken:
                    raise ConfigError(f"{name} has no argument '{key}'{nearest(key, taken)}")

            given = {*list(known)[: len(args)], *kwargs}
            for key, parameter in known.items():
                if parameter.default is inspect.Parameter.empty and key not in given:
                    raise ConfigError(f"{name} needs the argument '{key}'")

            return function(*args, **kwargs)

        return checked

    return of
