"""How many threads torch computes with: as many as find work enough in one operation."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from renate.errors import ConfigError

# Floating-point operations of one matrix product or convolution that keep a thread busy for longer than it takes to
# wake it, when idle threads sleep. See benchmarks/threads.py.
GRAIN = 17.5e6


class Work(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts within its block, by torch's own formulas.

    Attributes:
        flops: Floating-point operations of matrix products, convolutions and attention.
        operations: How many of those there were.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops, self.operations = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            with suppress(Exception):  # a count that fails must not fail what is counted
                self.flops += int(formula(*args, **(kwargs or {}), out_val=out))
                self.operations += 1
        return out


@dataclass(frozen=True)
class Threads:
    """What a process may use.

    Attributes:
        most: Its share of the cores.
        fixed: As many as were asked for, whatever the work; None where the work decides.
    """

    most: int
    fixed: int | None = None

    @classmethod
    def of(cls, trainer: dict[str, Any]) -> "Threads":
        """By `trainer.threads`, else by OMP_NUM_THREADS, else by the work.

        Raises:
            ConfigError: `trainer.threads` is neither `auto` nor a number.
        """
        most, asked = torch.get_num_threads(), trainer.get("threads", "auto")
        if asked == "auto":
            return cls(most, asked_by_environment())
        if not isinstance(asked, int) or isinstance(asked, bool) or asked < 1:
            raise ConfigError(f"trainer.threads={asked}: expected auto, or a number of 1 or more")
        return cls(most, asked)

    def count(self, work: Work, times: float = 1.0) -> int:
        """Threads for operations `times` as large as those that were counted; a pure function of both."""
        if self.fixed is not None:
            return self.fixed
        mean = times * work.flops / max(1, work.operations)
        return max(1, min(self.most, int(mean / GRAIN)))


def asked_by_environment() -> int | None:
    """OMP_NUM_THREADS, of a list the first, as for OpenMP; None where it is no number of 1 or more."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else None


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Let torch compute with so many threads, and afterwards as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def work_of(model: nn.Module, inputs: Tensor) -> Work:
    """Count what one forward pass does, without gradients, in the mode that the model is in."""
    work = Work()
    with torch.no_grad(), work:
        model(inputs)
    return work
