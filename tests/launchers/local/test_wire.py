"""What counts as silence of a worker."""

import os
import time

import pytest

from renate.jobs.records import ALIVE, Event
from renate.launchers.local.wire import Wire


@pytest.fixture
def pipe() -> tuple[int, int]:
    return os.pipe()


def test_who_has_spoken_may_not_be_silent_from_the_start_of_its_next_job(
    pipe: tuple[int, int],
) -> None:
    read, write = pipe
    wire = Wire([read], lambda: True)
    os.write(write, b'{"event": "alive"}\n')
    assert next(wire.events(None, 0.3)) == Event(ALIVE)
    with pytest.raises(TimeoutError, match="no sign of life for backend.heartbeat=0.3 seconds"):
        list(wire.events(None, 0.3))
    wire.close()
    os.close(write)


def test_who_is_still_starting_may(pipe: tuple[int, int]) -> None:
    read, write = pipe
    wire = Wire([read], lambda: True)
    began = time.monotonic()
    for event in wire.events(None, 0.1):
        assert event is None
        if time.monotonic() - began > 0.5:
            break
    wire.close()
    os.close(write)
