"""`renate …`: a verb, or overrides for Hydra to compose."""

import errno
import importlib
import os
import signal
import sys
import threading
from importlib import metadata

VERBS = {
    "init": "start a repository of experiments",
    "state": "look at versions, publish, roll back, pin, clean up",
    "jobs": "look at jobs, follow and stop them, here or elsewhere",
    "report": "one page with pictures of a state, a job or a sweep",
    "export": "write a version as ONNX, torch.export, …, or take it to a registry",
    "convert": "take over an experiment file of Renate 0.5",
}

# Nothing that code can mend.
DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


def main(argv: list[str] | None = None) -> None:
    """Entry point of the command; exits with 0, or with 1 and one line that says why."""
    from renate.errors import ConfigError, RenateError, nearest
    from renate.launchers.composing.interruptions import held_back

    argv = sys.argv[1:] if argv is None else argv
    if threading.current_thread() is threading.main_thread():
        # So that workers are told to end.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    word = None
    if argv and argv[0][0] not in "-+~" and "=" not in argv[0]:
        word = argv[0]

    try:
        _no_old_renate()
        if argv == ["--version"]:
            print(f"renate {metadata.version('renate-cl')}")
        elif word is None:
            if _runs_here(argv):
                from renate.launchers.local.worker import park

                park()
            with held_back():  # Hydra makes configs while it is imported
                from renate.cli import overrides
            overrides.run(argv)
        elif word in VERBS:
            importlib.import_module(f"renate.cli.{word}").run(argv[1:])
        else:
            raise ConfigError(
                f"'{word}' is neither a verb nor key=value{nearest(word, VERBS)} "
                f"({', '.join(VERBS)})"
            )
    except RenateError as error:
        if os.environ.get("RENATE_DEBUG"):
            raise
        sys.exit(f"renate: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone
        sys.exit(1)
    except OSError as error:
        if os.environ.get("RENATE_DEBUG") or error.errno not in DISK:
            raise
        sys.exit(f"renate: {error.filename or 'writing'}: {error.strerror}")


def _runs_here(argv: list[str]) -> bool:
    """Whether the arguments are likely to end in a job on this machine, as far as they tell
    before they are read.
    """
    elsewhere = ("backend=", "hydra/launcher=", "trainer.devices=", "trainer=ddp")
    return all(
        line == "-m" or line == "--multirun" or line[0] != "-" for line in argv if line
    ) and not any(line.startswith(elsewhere) and line != "backend=local" for line in argv)


def _no_old_renate() -> None:
    """The archived package installs a package of the same name over ours."""
    from renate.errors import RenateError

    try:
        old = metadata.version("renate")
    except metadata.PackageNotFoundError:
        return

    raise RenateError(
        f"the archived package renate {old} is installed too, in the same folder: "
        "pip uninstall -y renate renate-cl && pip install renate-cl"
    )
