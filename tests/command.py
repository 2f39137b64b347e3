"""Run the command as a user would: its own entry point, in this process or in one of its own.

A process of its own costs seconds, for imports in the command and in its worker. In this process
the workers stay warm from command to command, as they do for `renate.run`.
"""

import contextlib
import importlib
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins

from renate.cli import main
from renate.launchers.local import launcher as local
from renate.launchers.local import worker
from renate.launchers.remote import launcher as remote
from renate.launchers.terminal import pages

RENATE = [sys.executable, "-m", "renate"]
Done = subprocess.CompletedProcess[str]


def renate(
    *arguments: str,
    cwd: Path,
    code: int | None = 0,
    timeout: float = 300,
    own_process: bool = False,
    reports: bool = False,
    **environment: str,
) -> Done:
    """Run `renate …` in a folder.

    Args:
        arguments: Of the command.
        cwd: The folder.
        code: The exit status to expect; None: any.
        timeout: Seconds that it may take.
        own_process: Whether it matters that it is a process: for how it starts and ends, what its
            workers inherit, who is left over, and what an import path or a job in the command's own
            process would leave behind.
        reports: Whether streams and sweeps end with their page, which takes a second or two.
        environment: Variables on top of this process's.
    """
    alone = own_process or threading.current_thread() is not threading.main_thread()
    if alone:
        done = _elsewhere(list(arguments), Path(cwd), timeout, environment)
    else:
        with contextlib.nullcontext() if reports else mock.patch.object(pages, "write"):
            done = _here(list(arguments), Path(cwd), timeout, environment)

    assert code is None or done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


def workers(folder: Path) -> list[int]:
    """Processes whose working directory is below a folder and that serve jobs, but for those
    that wait for our next.
    """
    waiting = {one.process.pid for one in worker.PARKED}
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            if b"renate.jobs" in command and (entry / "cwd").resolve().is_relative_to(folder):
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return [pid for pid in found if pid not in waiting]


def _elsewhere(
    arguments: list[str], cwd: Path, timeout: float, environment: dict[str, str]
) -> Done:
    whole = os.environ | environment
    return subprocess.run(
        [*RENATE, *arguments], cwd=cwd, env=whole, capture_output=True, text=True, timeout=timeout
    )


def _here(arguments: list[str], cwd: Path, timeout: float, environment: dict[str, str]) -> Done:
    out = _Text()
    err = _Text()
    with (
        _left_as_it_was(cwd),
        workers_kept_warm(),
        _at_most(timeout),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        os.environ.update(environment)
        os.chdir(cwd)
        code = _exit_status(lambda: main(arguments))
    return Done(arguments, code, out.text(), err.text())


class _Text(io.TextIOWrapper):
    """A stream with a buffer below it, like a process's."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        written: Any = self.buffer
        return bytes(written.getvalue()).decode()


class _LateError(BaseException):
    """The command takes too long; nothing may catch it as an error of its own."""


def _exit_status(call: Callable[[], None]) -> int:
    """What the interpreter would end with, which also says the last word."""
    try:
        call()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    except Exception:
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def workers_kept_warm() -> Iterator[None]:
    """At the command's end its launchers do as at the interpreter's, but for workers that the
    next one takes over.
    """
    begun: list[Any] = []
    with (
        mock.patch.object(local, "at_exit", begun.append),
        mock.patch.object(remote, "at_exit", begun.append),
    ):
        try:
            yield
        finally:
            for close in reversed(begun):
                close.__self__.release()


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    def late(*_: object) -> None:
        raise _LateError(f"the command goes on after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _left_as_it_was(cwd: Path) -> Iterator[None]:
    """What the command does to this process is undone, and modules of its folder are forgotten."""
    here = Path.cwd()
    environment = dict(os.environ)
    arguments = sys.argv
    path = [*sys.path]
    bytecode = sys.dont_write_bytecode
    modules = {*sys.modules}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    config = HydraConfig.instance().cfg
    hydra = GlobalHydra.instance().hydra
    known = Plugins.is_in_toplevel_plugins_module
    root = logging.getLogger()
    level = root.level
    logs = [*root.handlers]

    importlib.invalidate_caches()  # a module may be younger than the last look at its folder
    # And edited within the second that its bytecode would be known by
    sys.dont_write_bytecode = True
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        HydraConfig.instance().cfg = config
        GlobalHydra.instance().hydra = hydra
        Plugins.is_in_toplevel_plugins_module = staticmethod(known)
        root.setLevel(level)
        root.handlers[:] = logs
        for number, handler in handlers.items():
            signal.signal(number, handler)
        _forget_modules(cwd, {*sys.modules} - modules)
        sys.path[:] = path
        sys.dont_write_bytecode = bytecode
        sys.argv = arguments
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(here)


def _forget_modules(folder: Path, names: set[str]) -> None:
    """Another test has modules of the same names."""
    for name in names:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).resolve().is_relative_to(folder.resolve()):
            del sys.modules[name]
