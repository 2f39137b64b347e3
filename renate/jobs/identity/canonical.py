"""What an object in memory is, as a hash that is the same in every process: values, weights, and
the code behind them.

Pickles won't do: two of the same tensor differ, by the address of its storage.
"""

import dis
import hashlib
import io
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from renate.jobs.identity.sources import Sources
from renate.jobs.running.process import is_installed


def digest(thing: Any) -> str:
    """Return the SHA-256 of an object's content, in hexadecimal.

    Weights and arrays count by dtype, shape and values; classes and functions by name and, where
    they are the user's own, by the source of their module and of all own modules that it imports;
    those without a module file by code.

    Raises:
        TypeError: It holds something that can't be taken apart (an open file, a lock).
    """
    reader = _Reader()
    reader.read(thing)
    return reader.hash.hexdigest()


class _Reader:
    """Walks an object; what comes twice is named by its place in the walk, so that cycles end."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []  # an id is only somebody's as long as he lives
        self.sources: dict[str, str] = {}

    def say(self, kind: str, content: bytes | memoryview = b"") -> None:
        self.hash.update(struct.pack("<q", len(content)) + kind.encode() + b"\0")
        self.hash.update(content)

    def read(self, thing: Any) -> None:
        if thing is None or isinstance(thing, bool | int | float | complex | str | bytes):
            self.say(type(thing).__name__, repr(thing).encode())
            if type(thing) in (bool, int, float, complex, str, bytes, type(None)):
                return

        if id(thing) in self.seen:
            self.say("again", str(self.seen[id(thing)]).encode())
            return
        if not isinstance(thing, tuple | frozenset):  # equal constants may be one object or several
            self.seen[id(thing)] = len(self.seen)
            self.alive.append(thing)

        self._read_new(thing)

    def _read_new(self, thing: Any) -> None:
        if isinstance(thing, Tensor):
            self._tensor(thing)
        elif isinstance(thing, np.ndarray):
            self._array(thing)
        elif type(thing) in (list, tuple):
            self._several(type(thing).__name__, thing)
        elif type(thing) in (set, frozenset):
            parts = sorted(digest(part) for part in thing)
            self._several(type(thing).__name__, parts)
        elif type(thing) is dict:
            self._several("dict", [part for item in thing.items() for part in item])
        elif isinstance(thing, ModuleType):
            self._named("module", thing.__name__, thing)
        elif isinstance(thing, type):
            self._class(thing)
        elif isinstance(thing, FunctionType):
            self._function(thing)
        elif isinstance(thing, MethodType):
            self._several("method", [thing.__self__, thing.__func__])
        elif isinstance(thing, BuiltinFunctionType):
            self._several("builtin", [thing.__qualname__, thing.__module__ or ""])
        elif isinstance(thing, CodeType):
            self._code(thing)
        else:
            self._reduced(thing)

    def _several(self, kind: str, parts: Any) -> None:
        self.say(kind, str(len(parts)).encode())
        for part in parts:
            self.read(part)

    def _tensor(self, tensor: Tensor) -> None:
        # Whether a parameter is trained is a part of what it is.
        facts = (str(tensor.dtype), tuple(tensor.shape), tensor.requires_grad, str(tensor.layout))
        self.say("tensor", repr((*facts, type(tensor).__qualname__)).encode())
        if tensor.layout is not torch.strided or tensor.is_quantized:
            reduced: Any = cast(Any, tensor).__reduce_ex__(2)
            self._several("parts", [*reduced[1][1:]])
            return

        if tensor.device.type == "meta":
            return
        if torch.nn.parameter.is_lazy(tensor):  # has no values yet
            return

        plain = tensor.detach().cpu().contiguous().resolve_conj().resolve_neg()
        self.say("values", plain.reshape(-1).view(torch.uint8).numpy().data)

    def _array(self, array: np.ndarray[Any, Any]) -> None:
        self.say("array", repr((array.dtype.str, array.shape, array.dtype.descr)).encode())
        if array.dtype.hasobject:
            self._several("objects", array.reshape(-1).tolist())
        else:
            self.say("values", np.ascontiguousarray(array).tobytes())

    def _named(self, kind: str, name: str, module: ModuleType | None) -> None:
        """Something that is found again by its name; where that is the user's own, by its source
        too.
        """
        self.say(kind, name.encode())
        if module is not None and not is_installed(module):
            self.say("source", self._source(module).encode())

    def _source(self, module: ModuleType) -> str:
        name = module.__name__
        if name not in self.sources:
            top = Path(str(module.__file__)).resolve()
            for _ in range(name.count(".") + (top.name == "__init__.py")):
                top = top.parent
            self.sources[name] = Sources([Path.cwd(), top.parent]).digest([name])
        return self.sources[name]

    def _class(self, found: type) -> None:
        module = _importable(found)
        if module is not None:
            self._named("class", f"{found.__module__}.{found.__qualname__}", module)
            return

        self._several("class here", [found.__qualname__, *found.__bases__])
        skipped = ("__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__")
        for name, value in sorted(vars(found).items()):
            if name not in skipped:
                self.read(name)
                self.read(_plain(value))

    def _function(self, function: FunctionType) -> None:
        module = _importable(function)
        if module is not None:
            self._named("function", f"{function.__module__}.{function.__qualname__}", module)
            return

        self.say("function here", function.__qualname__.encode())
        self._code(function.__code__)
        self._several("defaults", [function.__defaults__, function.__kwdefaults__])
        self._several("closure", [_content(cell) for cell in function.__closure__ or ()])

        for name in sorted(set(_globals_of(function.__code__))):
            if name in function.__globals__:
                self.read(name)
                self.read(function.__globals__[name])

    def _code(self, code: CodeType) -> None:
        # Not its file and lines: the same code elsewhere is the same.
        names = [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
        numbers = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        self._several("code", [code.co_code, *names, numbers, code.co_exceptiontable])
        self._several("constants", code.co_consts)

    def _reduced(self, thing: Any) -> None:
        """Anything else, as it would be pickled."""
        if isinstance(thing, io.IOBase):
            raise TypeError(f"an open file, {thing!r}, can't go into a job")

        self.read(type(thing))
        reduced = thing.__reduce_ex__(4)
        if isinstance(reduced, str):
            self.say("global", reduced.encode())
            return

        make, arguments, *rest = reduced
        state, items, pairs = (*rest, None, None, None)[:3]
        self._several("made by", [make, *arguments])
        self.read(state)
        self._several("items", [*(items or ())])
        self._several("pairs", [part for pair in pairs or () for part in pair])


def _importable(found: Any) -> ModuleType | None:
    """The module in which a worker will find a class or a function by its name; None: it travels
    as code.
    """
    module = sys.modules.get(getattr(found, "__module__", None) or "")
    if module is None or module.__name__ == "__main__" or not hasattr(module, "__file__"):
        return (
            module if module is not None and module.__name__ in sys.builtin_module_names else None
        )

    place: Any = module
    for name in found.__qualname__.split("."):
        place = getattr(place, name, None)

    return module if place is found else None


def _plain(value: Any) -> Any:
    """What is behind a descriptor of a class."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    if isinstance(value, property):
        return (value.fget, value.fset, value.fdel)

    if type(value).__name__ in ("getset_descriptor", "member_descriptor", "_abc_data"):
        return None
    return value


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _globals_of(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "STORE_GLOBAL"):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals_of(constant)
