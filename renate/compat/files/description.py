"""What a config file defines, read without importing it: its functions, and their arguments."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from renate.errors import ConfigError, nearest

FUNCTIONS = (
    "model_fn",
    "data_module_fn",
    "loss_fn",
    "optimizer_fn",
    "lr_scheduler_fn",
    "metrics_fn",
    "scheduler_fn",
    "train_transform",
    "train_target_transform",
    "test_transform",
    "test_target_transform",
    "buffer_transform",
    "buffer_target_transform",
)
REQUIRED = ("model_fn", "data_module_fn")
# Arguments that the job gives, not the user.
STANDARD = {
    "model_fn": ("model_state_url",),
    "data_module_fn": ("data_path", "chunk_id", "seed"),
}
# Given by the search's own engine here, whatever the file says.
OURS = ("scheduler_fn",)
EITHER = "int or tuple"  # a width or several, say
TYPES = ("bool", "int", "float", "str", "list", "tuple", EITHER)
GENERIC = {"List": "list", "Tuple": "tuple", "list": "list", "tuple": "tuple"}
ABSENT = "path"  # the key beside the arguments, which none of them can be called

NO_DEFAULT = object()
UNREADABLE = object()


@dataclass(frozen=True)
class Argument:
    """One argument of the user's own.

    Attributes:
        name: As the functions have it.
        kind: One of `TYPES`.
        optional: Whether it may be None.
        default: Its value; `NO_DEFAULT` where it has none, `UNREADABLE` where only running the file
            tells.
        functions: Those that take it.
    """

    name: str
    kind: str
    optional: bool
    default: Any
    functions: tuple[str, ...] = ()

    def check(self, value: Any, where: str) -> None:
        """Return if a value is of the argument's type.

        Raises:
            ConfigError: It isn't.
        """
        if value is None and self.optional:
            return

        whole = isinstance(value, int) and not isinstance(value, bool)
        fits = {
            "bool": isinstance(value, bool),
            "int": whole,
            "float": isinstance(value, int | float) and not isinstance(value, bool),
            "str": isinstance(value, str),
            "list": isinstance(value, list | tuple),
            "tuple": isinstance(value, list | tuple),
            EITHER: whole or isinstance(value, list | tuple),
        }
        if not fits[self.kind]:
            optional = ""
            if self.optional:
                optional = " or None"

            raise ConfigError(
                f"{where}{self.name}={value!r}: {' and '.join(self.functions)} expects a "
                f"{self.kind}{optional}"
            )


@dataclass(frozen=True)
class Description:
    """What a config file defines.

    Attributes:
        path: The file.
        functions: Name of each function that Renate knows -> the names of all its arguments.
        arguments: Name -> argument of the user's own, of all functions together.
        metrics: What `metrics_fn` names in the mapping that it returns, as far as it can be read.
    """

    path: Path
    functions: Mapping[str, tuple[str, ...]]
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()

    def defaults(self) -> dict[str, Any]:
        """Name -> default of each argument that has one which can be read."""
        return {
            name: argument.default
            for name, argument in self.arguments.items()
            if argument.default is not NO_DEFAULT and argument.default is not UNREADABLE
        }

    def missing(self, given: Mapping[str, Any]) -> list[str]:
        """Arguments without a default that nobody gives."""
        return [
            name
            for name, argument in self.arguments.items()
            if argument.default is NO_DEFAULT and name not in given
        ]


@lru_cache
def _described(path: Path, changed: int) -> Description:
    """`changed` is when the file was written: another time, another file."""
    try:
        tree = ast.parse(path.read_text())
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise ConfigError(f"config_file={path}: line {line}: no Python: {error}") from error

    found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    functions: dict[str, tuple[str, ...]] = {}
    arguments: dict[str, Argument] = {}
    for name in FUNCTIONS:
        if name not in found:
            continue
        names, own = _signature(found[name], path)
        functions[name] = names
        for argument in own:
            arguments[argument.name] = _joined(arguments.get(argument.name), argument, path)

    for name in REQUIRED:
        if name not in functions:
            hint = nearest(name, found)
            raise ConfigError(f"config_file={path}: it defines no {name}{hint}")

    return Description(path, functions, arguments, _metrics(found.get("metrics_fn")))


def describe(path: str | Path) -> Description:
    """Read a config file's signatures.

    Args:
        path: Of the file.

    Raises:
        ConfigError: No such file, no Python, no `model_fn` or `data_module_fn`, or an argument of a
            type that a command line can't give.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        beside = []
        if file.parent.is_dir():
            beside = [str(other) for other in file.parent.glob("*.py")]

        raise ConfigError(f"config_file={path}: no such file{nearest(str(file), beside)}")

    return _described(file, file.stat().st_mtime_ns)


def _signature(node: ast.FunctionDef, path: Path) -> tuple[tuple[str, ...], list[Argument]]:
    where = f"config_file={path}: {node.name}"
    if node.args.vararg or node.args.kwarg:
        raise ConfigError(f"{where}: expected arguments by name, not *args or **kwargs")

    positional = [*node.args.posonlyargs, *node.args.args]
    without = [None] * (len(positional) - len(node.args.defaults))
    pairs = [
        *zip(positional, [*without, *node.args.defaults], strict=True),
        *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
    ]
    own = []
    for argument, default in pairs:
        if argument.arg in STANDARD.get(node.name, ()) or node.name in OURS:
            continue
        if argument.arg == ABSENT:
            raise ConfigError(f"{where}: '{ABSENT}' is the file's own path, call it otherwise")
        kind, optional = _kind(argument, where)
        own.append(Argument(argument.arg, kind, optional, _default(default), (node.name,)))

    return tuple(argument.arg for argument, _ in pairs), own


def _kind(argument: ast.arg, where: str) -> tuple[str, bool]:
    """The type of an argument, and whether it may be None.

    Raises:
        ConfigError: It has none, or another one.
    """
    expected = f"expected one of {', '.join(TYPES)}, or Optional of one"
    if argument.annotation is None:
        raise ConfigError(f"{where}: its argument '{argument.arg}' has no type: {expected}")

    node = argument.annotation
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body

    optional = False
    parts = _parts(node)
    if len(parts) > 1 and "None" in parts:
        optional = True
        parts = [part for part in parts if part != "None"]

    if sorted(parts) == ["int", "tuple"]:
        return EITHER, optional
    if len(parts) != 1 or parts[0] not in TYPES:
        text = ast.unparse(argument.annotation)
        raise ConfigError(f"{where}: its argument '{argument.arg}' is of type {text}: {expected}")

    return parts[0], optional


def _parts(node: ast.expr) -> list[str]:
    """The alternatives of a type, by name."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_parts(node.left), *_parts(node.right)]
    if isinstance(node, ast.Constant) and node.value is None:
        return ["None"]
    if isinstance(node, ast.Subscript):
        outer = ast.unparse(node.value).rpartition(".")[2]
        if outer == "Optional":
            return [*_parts(node.slice), "None"]
        if outer == "Union" and isinstance(node.slice, ast.Tuple):
            return [part for each in node.slice.elts for part in _parts(each)]
        return [GENERIC.get(outer, outer)]

    name = ast.unparse(node).rpartition(".")[2]
    return [GENERIC.get(name, name)]


def _default(node: ast.expr | None) -> Any:
    if node is None:
        return NO_DEFAULT
    try:
        return ast.literal_eval(node)
    except ValueError:
        return UNREADABLE


def _joined(known: Argument | None, new: Argument, path: Path) -> Argument:
    """An argument of several functions: its value goes to each.

    Raises:
        ConfigError: They differ in its type.
    """
    if known is None:
        return new

    where = f"config_file={path}: '{new.name}'"
    if known.kind != new.kind:
        raise ConfigError(
            f"{where} is a {known.kind} in {known.functions[0]} and a {new.kind} in "
            f"{new.functions[0]}: expected one type, as its value goes to both"
        )

    default = known.default
    if default is NO_DEFAULT:
        default = new.default
    elif new.default is not NO_DEFAULT and repr(new.default) != repr(default):
        default = UNREADABLE  # each function has its own

    # What one of them can't take, none is given
    optional = known.optional and new.optional
    if default is None and not optional:
        default = NO_DEFAULT

    return Argument(new.name, new.kind, optional, default, (*known.functions, new.functions[0]))


def _metrics(node: ast.FunctionDef | None) -> tuple[str, ...]:
    """The keys of the mappings that a function returns as they stand there."""
    if node is None:
        return ()

    returned = [each.value for each in ast.walk(node) if isinstance(each, ast.Return)]
    return tuple(
        key.value
        for mapping in returned
        if isinstance(mapping, ast.Dict)
        for key in mapping.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    )
