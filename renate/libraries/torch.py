"""What is changed inside torch: when the compiler is loaded, the default device, and that files are
read without a look at their checksums.
"""

import importlib.util
import os
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

DYNAMO = "torch._dynamo"


def load_dynamo_on_demand() -> None:
    """Let `torch._dynamo` wait until something is compiled: half of what importing Lightning takes.

    Lightning imports it for a class to compare modules with, optimizers to exclude themselves from
    what is compiled. As long as it isn't loaded, nothing is compiled: no module is of that class,
    nothing need be excluded, and no graph broken. Whatever else is asked of it, or of its
    submodules, loads it.
    """
    import torch

    if DYNAMO in sys.modules:
        return

    sys.modules[DYNAMO] = torch._dynamo = _Dynamo()
    sys.meta_path.insert(0, _Submodules())


def forget_default_device() -> None:
    """Let tensors be made where they are made in a new process.

    `torch.set_default_device(None)` leaves a None behind, on which `torch.get_default_device` of
    torch 2.6 fails.
    """
    import torch

    chosen = torch._GLOBAL_DEVICE_CONTEXT
    if not hasattr(chosen, "device_context"):
        return

    torch.set_default_device(None)
    del chosen.device_context


@contextmanager
def compiled(model: Any, wanted: bool, *, graphs: bool = False) -> Iterator[None]:
    """Within the block a module is compiled, if that is wanted; its class and its tensors' names
    stay.

    Torch has a way to compile a module in place, and none to go back.

    Args:
        model: The module.
        wanted: Whether it is to be compiled.
        graphs: Whether what it launches on a GPU is recorded and launched as one; compiles it too.
    """
    if not (wanted or graphs):
        yield
        return

    if graphs:
        model.compile(mode="reduce-overhead")
    else:
        model.compile()

    try:
        yield
    finally:
        model._compiled_call_impl = None


@contextmanager
def as_written(model: Any) -> Iterator[None]:
    """Within the block a module runs as it is written, also where it is compiled."""
    before = model._compiled_call_impl
    model._compiled_call_impl = None
    try:
        yield
    finally:
        model._compiled_call_impl = before


def load_tensors(file: Path | BinaryIO) -> Any:
    """Read the tensors and plain values of a file that `torch.save` wrote, as `torch.load` does on
    a CPU, if they are what was written.

    Args:
        file: Its path, or the file from its beginning.

    Raises:
        ValueError: They aren't.
        Exception: Whatever torch raises, where it can't be read at all.
    """
    import torch

    check_sums(file)
    return torch.load(file, weights_only=True, map_location="cpu")


def check_sums(file: Path | BinaryIO) -> None:
    """Check that what `torch.save` wrote is as it was written: it notes checksums, at which
    `torch.load` doesn't look, so that of a damaged file it makes other weights.

    A file of torch before 1.6 has none, and of another kind of file torch has its own word.

    Raises:
        ValueError: It isn't.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            damaged = archive.testzip()
    except zipfile.BadZipFile:
        damaged = None
    finally:
        if not isinstance(file, Path):
            file.seek(0)

    if damaged is not None:
        name = f"{file}: " if isinstance(file, Path) else ""
        raise ValueError(f"{name}damaged: the bytes of '{damaged}' aren't those that were written")


def lacking_to_compile(device: str) -> str | None:
    """What torch would need to compile for a type of device, and isn't there; None: nothing."""
    if device == "cpu":
        # What torch looks for by itself
        default = "g++"
        if sys.platform == "darwin":
            default = "clang++"

        compiler = os.environ.get("CXX", default)
        return None if shutil.which(compiler) else f"a C++ compiler ({compiler})"
    if device == "cuda":
        return None if importlib.util.find_spec("triton") else "the package triton"
    return None


def _is_waiting() -> bool:
    return isinstance(sys.modules.get(DYNAMO), _Dynamo)


def _loaded() -> ModuleType:
    """The module itself."""
    if _is_waiting():
        del sys.modules[DYNAMO]
    return importlib.import_module(DYNAMO)


class _OfNothing(type):
    """Classes that have the instances of `torch._dynamo.OptimizedModule`."""

    def __instancecheck__(cls, instance: object) -> bool:
        return not _is_waiting() and isinstance(instance, _loaded().OptimizedModule)

    def __subclasscheck__(cls, other: type) -> bool:
        return not _is_waiting() and issubclass(other, _loaded().OptimizedModule)


class _OptimizedModule(metaclass=_OfNothing):
    """Stands in for the class of compiled modules."""


class _Dynamo(ModuleType):
    """Stands in for `torch._dynamo` until it is needed."""

    OptimizedModule = _OptimizedModule

    def __init__(self) -> None:
        super().__init__(DYNAMO)
        self.__path__ = []

    @staticmethod
    def disable(
        function: Callable[..., Any],
        recursive: bool = True,
        **options: Any,
    ) -> Callable[..., Any]:
        """Exclude a function from compilation, at its first call after something is compiled."""
        excluded: list[Callable[..., Any]] = []

        def call(*args: Any, **kwargs: Any) -> Any:
            if _is_waiting():
                return function(*args, **kwargs)

            if not excluded:
                excluded.append(_loaded().disable(function, recursive, **options))
            return excluded[0](*args, **kwargs)

        return call

    @staticmethod
    def graph_break(*args: Any, **kwargs: Any) -> None:
        """End a graph that is compiled; where nothing is, torch's own does nothing either."""
        if not _is_waiting():
            _loaded().graph_break(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # who looks through all modules asks for these
            raise AttributeError(name)
        return getattr(_loaded(), name)


class _Submodules(MetaPathFinder, Loader):
    """Finds submodules of what isn't loaded yet by loading it.

    They come with it, or are found by the other finders.
    """

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if not name.startswith(f"{DYNAMO}.") or not _is_waiting():
            return None

        package = _loaded()
        if name in sys.modules:
            return ModuleSpec(name, self, is_package=hasattr(sys.modules[name], "__path__"))
        return importlib.util.find_spec(name, package.__name__)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[spec.name]

    def exec_module(self, module: ModuleType) -> None:
        """It has run."""
