"""A process that runs one job after another is, before each, as it was before the first."""

import builtins
import decimal
import gc
import importlib
import locale
import logging
import os
import random
import signal
import socket
import sys
import sysconfig
import threading
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from renate.libraries.numpy import seed_generator
from renate.libraries.torch import forget_default_device
from renate.threads import asked_by_environment

# Where a job's own code is likeliest to put a function of its own in place of the library's.
GUARDED = (
    "renate",
    "torch",
    "torch.nn",
    "torch.nn.functional",
    "torch.nn.init",
    "torch.optim",
    "torch.optim.lr_scheduler",
    "torch.utils.data",
    "torch.autograd",
    "torch._tensor",
    "torch.random",
    "pytorch_lightning",
    "torchmetrics",
    "numpy",
    "random",
    "math",
    "builtins",
)
PLAIN = (bool, int, float, str, bytes, tuple, frozenset, type(None))
# Debian has one of the latter that sysconfig doesn't name
PACKAGES = ("site-packages", "dist-packages")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)

Names = dict[str, Any]


class Baseline:
    """What a process is like once it has imported what every job needs; `restore` makes it so
    again.

    Covers modules, import paths, environment, folder, settings of torch, numpy, random, warnings,
    logging and the interpreter, and functions, classes and constants of the libraries that a job's
    code put others in place of. What a job does to the inside of a library's objects (a class
    attribute that is no function, say) stays.
    """

    def __init__(self) -> None:
        self.installed = {*sys.modules}
        self.path = [entry for entry in sys.path if entry not in _start_folders()]
        self.finders = [*sys.meta_path], [*sys.path_hooks]
        self.interpreter = _interpreter()
        self.libraries = _libraries()
        self.names = {owner: dict(names) for owner, names in _guarded()}

    def restore(self, folder: str, environment: Mapping[str, str], threads: int) -> None:
        """Be like new, in a folder whose modules can be imported, with an environment and so
        many threads.
        """
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)

        self._forget_modules()
        self._restore_names()
        _set_interpreter(self.interpreter)
        _set_libraries(self.libraries)

        sys.path[:] = [folder, *_search_path(environment), *self.path]
        sys.meta_path[:], sys.path_hooks[:] = self.finders
        importlib.invalidate_caches()  # a file may be younger than the last look at its folder
        # Bytecode is known by the second: an edit within it would be missed
        sys.dont_write_bytecode = True
        _seed_anew()

        import torch

        torch.set_num_threads(asked_by_environment() or threads)

    def _forget_modules(self) -> None:
        """Let a job's own modules be read again; those of packages stay, as there are thousands."""
        for name in [*sys.modules.keys() - self.installed]:
            if is_installed(sys.modules[name]):
                self.installed.add(name)
            else:
                del sys.modules[name]

    def _restore_names(self) -> None:
        for owner, names in self.names.items():
            now = vars(owner)
            for name, value in names.items():
                if now.get(name) is not value:
                    setattr(owner, name, value)


def is_installed(module: ModuleType | None) -> bool:
    """Whether a module belongs to Python, to this package, or to one that pip has put in its
    place.
    """
    found = getattr(module, "__file__", None)
    if found:
        places = [found]
    else:
        places = [*getattr(module, "__path__", [])]

    return not places or all(_is_below(place, _installed_roots()) for place in places)


def _is_below(place: str, roots: list[str]) -> bool:
    path = os.path.abspath(place)  # noqa: PTH100 (thousands of modules)
    return path.startswith(tuple(roots)) or any(
        f"{os.sep}{name}{os.sep}" in path for name in PACKAGES
    )


@cache
def _installed_roots() -> list[str]:
    import renate

    keys = ("stdlib", "platstdlib", "purelib", "platlib")
    roots = {sysconfig.get_paths()[key] for key in keys}
    own = [Path(entry) for entry in renate.__path__]
    parts = [own[0], *(folder / part for folder in own[1:] for part in ("conf", "launchers"))]
    return [f"{root}{os.sep}" for root in (*roots, *map(str, parts))]


def _start_folders() -> set[str]:
    """What `python -m` and PYTHONPATH put on the path: the first job's affair, not the
    process's.
    """
    return {"", str(Path.cwd()), *_search_path(os.environ)}


def _search_path(environment: Mapping[str, str]) -> list[str]:
    return [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _guarded() -> Iterator[tuple[Any, Names]]:
    """Modules and classes of the guarded packages, each with its functions and constants."""
    own = {name for name in sys.modules if name.startswith("renate.")}
    for name in sorted({*GUARDED, *own} & sys.modules.keys()):
        module = sys.modules[name]
        names = vars(module)
        yield module, {k: v for k, v in names.items() if _is_guarded(k, v, constants=name in own)}
        for found in [value for value in names.values() if isinstance(value, type)]:
            # A class made by Python code
            if found.__module__.startswith(name) and found.__flags__ & 1 << 9:
                yield found, {k: v for k, v in vars(found).items() if isinstance(v, FunctionType)}


def _is_guarded(name: str, value: Any, *, constants: bool) -> bool:
    if name.startswith("__"):
        return False
    return isinstance(value, FunctionType | type) or (constants and isinstance(value, PLAIN))


def _interpreter() -> Names:
    umask = os.umask(0)
    os.umask(umask)
    root = logging.getLogger()
    return {
        "builtins": dict(vars(builtins)),
        "argv": [*sys.argv],
        "hooks": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "recursion": sys.getrecursionlimit(),
        "collecting": gc.isenabled(),
        "decimal": decimal.getcontext().copy(),
        "umask": umask,
        "locale": locale.setlocale(locale.LC_ALL),
        "timeout": socket.getdefaulttimeout(),
        "signals": {number: signal.getsignal(number) for number in SIGNALS},
        "logging": (root.level, [*root.handlers], root.manager.disable),
        "warnings": ([*warnings.filters], warnings.showwarning),
    }


def _set_interpreter(was: Names) -> None:
    for name in vars(builtins).keys() - was["builtins"].keys() - {"_"}:
        delattr(builtins, name)

    for name, value in was["builtins"].items():
        if vars(builtins).get(name) is not value:
            setattr(builtins, name, value)

    sys.argv[:] = was["argv"]
    sys.excepthook, threading.excepthook, sys.unraisablehook = was["hooks"]
    sys.setrecursionlimit(was["recursion"])
    (gc.enable if was["collecting"] else gc.disable)()
    decimal.setcontext(was["decimal"].copy())
    os.umask(was["umask"])
    locale.setlocale(locale.LC_ALL, was["locale"])
    socket.setdefaulttimeout(was["timeout"])

    for number, handler in was["signals"].items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)

    root = logging.getLogger()
    level, handlers, disabled = was["logging"]
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.disable(disabled)

    filters, show = was["warnings"]
    warnings.filters[:] = filters  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]
    warnings.showwarning = show


def _libraries() -> Names:
    import numpy as np
    import torch

    cudnn = torch.backends.cudnn
    return {
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "dtype": torch.get_default_dtype(),
        "precision": torch.get_float32_matmul_precision(),
        "grad": torch.is_grad_enabled(),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "validation": torch.distributions.Distribution._validate_args,
        "cudnn": {
            name: getattr(cudnn, name)
            for name in ("benchmark", "deterministic", "enabled", "allow_tf32")
        },
        "printing": dict(vars(torch._tensor_str.PRINT_OPTS)),
        "numpy": (np.geterr(), np.get_printoptions()),
    }


def _set_libraries(was: Names) -> None:
    import numpy as np
    import torch

    asked = (was["deterministic"], was["warn_only"])
    now = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    if now != asked:  # the call loads the compiler: a second
        torch.use_deterministic_algorithms(asked[0], warn_only=asked[1])
    torch.set_default_dtype(was["dtype"])
    forget_default_device()
    torch.set_float32_matmul_precision(was["precision"])
    torch.set_grad_enabled(was["grad"])
    torch.set_flush_denormal(False)
    anomaly, check = was["anomaly"]
    torch.autograd.set_detect_anomaly(anomaly, check)
    torch.distributions.Distribution.set_default_validate_args(was["validation"])
    for name, value in was["cudnn"].items():
        setattr(torch.backends.cudnn, name, value)

    vars(torch._tensor_str.PRINT_OPTS).update(was["printing"])

    errors, printing = was["numpy"]
    np.seterr(**errors)
    np.set_printoptions(**printing)


def _seed_anew() -> None:
    """A job seeds itself; code of its own that runs before must not go on where the last one's
    stopped.
    """
    import torch

    random.seed()
    seed_generator(None)
    torch.seed()
