"""What the processes of a job report, over pipes."""

import contextlib
import json
import os
import select
import time
from collections.abc import Callable, Iterator, Sequence

from renate.jobs.records import Event


class Wire:
    """Reads the events of one or several processes, one JSON object per line.

    Args:
        pipes: File descriptors to read, a process each.
        alive: Whether what started them is still there.
    """

    def __init__(self, pipes: Sequence[int], alive: Callable[[], bool]) -> None:
        self.buffers = dict.fromkeys(pipes, b"")
        self.alive = alive
        # What starts takes its time; what has spoken once may not fall silent.
        self.spoken: set[int] = set()

    def events(self, timeout: float | None, heartbeat: float | None) -> Iterator[Event | None]:
        """Yield what is reported, and None whenever all have been silent for a moment.

        Raises:
            EOFError: They are gone.
            TimeoutError: It took too long, or one gave no sign of life for too long; the text says
                which.
        """
        began = time.monotonic()
        heard = dict.fromkeys(self.spoken, began)

        while True:
            ready, _, _ = select.select(list(self.buffers), [], [], 0.2)
            now = time.monotonic()
            if timeout is not None and now - began > timeout:
                raise TimeoutError(f"stopped after backend.timeout={timeout} seconds")
            if heartbeat is not None and any(
                now - last > heartbeat for p, last in heard.items() if p not in ready
            ):
                raise TimeoutError(f"no sign of life for backend.heartbeat={heartbeat} seconds")

            if not ready:
                if not self.alive():
                    raise EOFError
                yield None

            for pipe in ready:
                heard[pipe] = now
                self.spoken.add(pipe)
                yield from self._read(pipe, heard)

            if not self.buffers:
                raise EOFError

    def _read(self, pipe: int, heard: dict[int, float]) -> Iterator[Event]:
        chunk = os.read(pipe, 1 << 16)
        if not chunk:
            del heard[pipe]
            # Else another thread has closed it in the meantime.
            if self.buffers.pop(pipe, None) is not None:
                os.close(pipe)
            self.spoken.discard(pipe)
            return

        *lines, self.buffers[pipe] = (self.buffers[pipe] + chunk).split(b"\n")
        yield from (Event.from_json(json.loads(line)) for line in lines)

    def close(self) -> None:
        """Close what is still open."""
        while self.buffers:
            # The thread that reads has just taken the last one out.
            with contextlib.suppress(KeyError):
                os.close(self.buffers.popitem()[0])
