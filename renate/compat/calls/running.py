"""Runs what a call asks for, and says what Renate said meanwhile."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from renate.api import Result, running
from renate.jobs.records import Event

_said: set[str] = set()
_further: ContextVar[Sequence[str]] = ContextVar("_further", default=())


def tell_once(text: str) -> None:
    """Say something that is done otherwise than it was written, once in a process."""
    if text not in _said:
        _said.add(text)
        print(f"renate: {text}", file=sys.stderr)


@contextmanager
def also(overrides: Sequence[str]) -> Iterator[None]:
    """Give what runs in the block these overrides too, which no argument of Renate's stands for."""
    before = _further.set(overrides)
    try:
        yield
    finally:
        _further.reset(before)


def run(overrides: Sequence[str]) -> Result:
    """Run one job, or the sweep of a tuner, as `renate.run` does; metrics are shown as Renate's
    users know them, `val_accuracy=0.9`.
    """
    with running([*overrides, *_further.get()]) as session:
        session.launcher.progress.worded = worded
        return session.result()


def worded(event: Event) -> str:
    """A report in words."""
    if not event.metrics:
        return event.text
    return " ".join(f"{name}={_shown(value)}" for name, value in event.metrics.items())


def _shown(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
