"""Whether a config's values are of the kinds that a class of ours declares for its arguments."""

import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from renate.errors import ConfigError, nearest

PLAIN = (bool, int, float, str, list, tuple, dict, type(None))  # what a config's values are
CALLED = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
}

SEVERAL = {int: "whole numbers", float: "numbers", str: "texts"}


def check_arguments(make: Callable[..., Any], arguments: Mapping[str, Any], key: str) -> None:
    """Compare a config's values with the declared kinds; objects that were built are left alone.

    Args:
        make: A class of renate's: what others declare of theirs needn't hold.
        arguments: Name -> value.
        key: Of the node they stand in.

    Raises:
        ConfigError: Naming key, value, and what was expected.
    """
    declared = _declared(make)
    for name, value in arguments.items():
        if name in declared and not _fits(value, declared[name]):
            kinds = _called(declared[name])
            words = [each for each in _words(declared[name]) if isinstance(value, str)]
            raise ConfigError(
                f"{key}.{name}={shown(value)}: expected {kinds}{nearest(str(value), words)}"
            )


def _declared(make: Callable[..., Any]) -> dict[str, Any]:
    """Argument -> what it is declared to be; of a class by its constructor."""
    if not getattr(make, "__module__", "").startswith("renate."):
        return {}

    declaring = make
    if inspect.isclass(make):
        declaring = make.__init__
    try:
        return get_type_hints(declaring)
    except (NameError, TypeError):  # declared by what only a type checker imports
        return {}


def _fits(value: Any, kind: Any) -> bool:
    if not isinstance(value, PLAIN):
        return True

    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return any(_fits(value, each) for each in get_args(kind))
    if origin is Literal:
        return value in get_args(kind)
    if kind is None or kind is type(None):
        return value is None
    if kind in (int, float, bool, str):
        return _is_scalar(value, kind)
    if origin in (list, tuple, Sequence):
        return _is_list(value, origin, get_args(kind))
    if origin in (dict, Mapping):
        return isinstance(value, dict)
    return True


def _is_scalar(value: Any, kind: type) -> bool:
    """Whole numbers are numbers, and text is what YAML makes a number of; true, nan and infinity
    aren't.
    """
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if kind is str:
        return isinstance(value, str | int | float)
    return isinstance(value, int) or (kind is float and isinstance(value, float))


def _is_list(value: Any, origin: Any, kinds: Sequence[Any]) -> bool:
    if not isinstance(value, list | tuple):
        return False
    if len(kinds) == 1 or (origin is tuple and kinds[-1] is Ellipsis):
        return all(_fits(each, kinds[0]) for each in value)
    return True


def _words(kind: Any) -> list[str]:
    """Those of which an argument is one."""
    if get_origin(kind) is Literal:
        return [str(each) for each in get_args(kind)]
    return [word for each in get_args(kind) for word in _words(each)]


def _called(kind: Any) -> str:
    """What values of a kind are called."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_called(each) for each in get_args(kind)))
    if origin is Literal:
        return ", ".join(_words(kind))
    if origin in (list, tuple, Sequence):
        return f"a list{_of_several(get_args(kind))}"
    if origin in (dict, Mapping):
        return "a mapping"
    return CALLED.get(kind, "another value")


def _of_several(kinds: Sequence[Any]) -> str:
    """What a list is of, where it is of one kind."""
    if len(kinds) != 1 and kinds[1:] != (Ellipsis,):
        return ""
    if get_origin(kinds[0]) in (list, tuple, Sequence):
        return f" of lists{_of_several(get_args(kinds[0]))}"

    name = SEVERAL.get(kinds[0])
    if name is None:
        return ""
    return f" of {name}"


def target_of(node: Any, key: str) -> str:
    """Return what a config's node names as its class.

    Raises:
        ConfigError: It names none.
    """
    target = None
    if isinstance(node, Mapping):
        target = node.get("_target_")
    if isinstance(target, str):
        return target
    raise ConfigError(f"{key}={shown(node)}: expected a mapping with a _target_, the class")


def shown(value: Any) -> str:
    """A value as it is spelt in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and not value.strip():
        return repr(value)
    return str(value)
