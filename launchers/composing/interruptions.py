"""Ctrl-C and SIGTERM, where an exception raised at any line would not come out as itself.

OmegaConf restores a node's flags in `finally`: interrupted in the midst of an assignment, it
stumbles over what is not there yet, and an AttributeError takes the place of the interruption, or
nothing at all where one means "no such key".
"""

import atexit
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held_back() -> Iterator[None]:
    """Within it, which should be short, Ctrl-C and SIGTERM wait for its end.

    Signals come to the main thread alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    came: list[int] = []
    before = {number: signal.getsignal(number) for number in SIGNALS}
    # None: not Python's.
    ours = {number: handler for number, handler in before.items() if handler is not None}
    for number in ours:
        signal.signal(number, lambda number, frame: came.append(number))

    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
        for caught in dict.fromkeys(came):
            signal.raise_signal(caught)


def interruption_in(error: BaseException) -> BaseException | None:
    """The interruption that an error has taken the place of, if that is what happened."""
    found: BaseException | None = error
    while isinstance(found, Exception):
        found = found.__context__
    return found


def at_exit(call: Callable[[], None]) -> None:
    """Have `call` done when the interpreter ends; an interruption then ends it without a word."""

    def quietly() -> None:
        with suppress(KeyboardInterrupt, SystemExit):
            call()

    atexit.register(quietly)
