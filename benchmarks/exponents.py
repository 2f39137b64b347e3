"""What something costs at several sizes, and the exponent by which it grows."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

LAST = 3  # sizes that the exponent is fitted to: below them a fixed cost may be most of it
PAGE = 4096  # bytes


def up_to(sizes: Sequence[int], largest: int | None) -> list[int]:
    """The sizes that are measured, where a machine hasn't the time for all of them."""
    return [size for size in sizes if largest is None or size <= largest]


def exponent(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """The slope of costs over sizes, both as logarithms, by least squares over the last sizes."""
    logs = np.log(np.maximum(costs[-LAST:], 1e-9))
    return float(np.polyfit(np.log(sizes[-LAST:]), logs, 1)[0])


def row(name: str, sizes: Sequence[int], costs: Sequence[float], said: str = "") -> str:
    """A line of a table: what, its cost by size, the exponent, and an explanation."""
    cells = " ".join(f"{size:,}: {cost:.3g}" for size, cost in zip(sizes, costs, strict=True))
    line = f"| {name} | {cells} | {exponent(sizes, costs):.2f} | {said} |"
    print(line, flush=True)
    return line


def head(unit: str) -> list[str]:
    """The first lines of such a table."""
    return [f"| what | size: {unit} | exponent | why |", "| --- | --- | --- | --- |"]


def cpu(call: Callable[[], object], times: int = 1) -> float:
    """CPU seconds of all threads of this process, the best of several times."""
    found = []
    for _ in range(times):
        began = time.process_time()
        call()
        found.append(time.process_time() - began)

    return min(found)


def resident() -> int:
    """Bytes of memory that this process has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a process of its own, whose memory is gone afterwards."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        sender.send(function(*arguments))

    child = context.Process(target=run)
    child.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise RuntimeError(f"{function.__name__}{arguments} died in its process") from None
    finally:
        child.join()
