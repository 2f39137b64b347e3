"""How many threads torch computes with: as many as find work enough in one operation."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from renate.errors import ConfigError

# A thread is worth waking when an operation keeps it busy for long enough, where idle threads
# sleep. Work is counted in floating-point operations of a forward pass; what runs through memory
# counts by what it takes beside a matrix product. The sizes are from the table of
# benchmarks/threads.py, whose networks differ in how much of their time goes to each.
ELEMENT = 80  # an element that an operation other than a product writes
GRAIN = 9.2e6  # the least mean work of the operations for each thread

# A step has many small operations that the forward pass lacks, and most for what isn't a product
STEP_ELEMENT = 300
STEP_PARAMETER = 30  # a parameter that a step updates
STEP_GRAIN = 17.5e6

# One kernel for a whole layer, of which torch has no formula: a product by each of its weights.
FUSED = (torch.ops.aten._transformer_encoder_layer_fwd, torch.ops.aten._native_multi_head_attention)


class Work(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts within its block, by torch's own formulas.

    Attributes:
        flops: Floating-point operations of matrix products, convolutions and attention.
        elements: Written by all other operations, views apart.
        operations: How many operations there were of both kinds.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0
        self.elements = 0
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        with suppress(Exception):  # a count that fails must not fail what is counted
            self._count(func, args, kwargs or {}, out)
        return out

    def _count(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        packet = func._overloadpacket
        if packet in FUSED:
            weights = [each for each in args[1:] if isinstance(each, Tensor) and each.dim() == 2]
            rows = args[0].numel() // args[0].shape[-1]
            self.flops += sum(2 * rows * weight.numel() for weight in weights)
            self.operations += len(weights)
            return

        formula = flop_registry.get(packet)
        if formula is not None:
            self.flops += int(formula(*args, **kwargs, out_val=out))
            self.operations += 1
            return

        first = out
        if isinstance(out, (tuple, list)):
            first = out[0]

        if isinstance(first, Tensor) and not func.is_view:
            self.elements += first.numel()
            self.operations += 1


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
    def of(cls, trainer: Mapping[str, Any]) -> "Threads":
        """By `trainer.threads`, else by OMP_NUM_THREADS, else by the work.

        Raises:
            ConfigError: `trainer.threads` is neither `auto` nor a number.
        """
        most = torch.get_num_threads()
        asked = trainer.get("threads", "auto")
        if asked == "auto":
            return cls(most, asked_by_environment())
        if not isinstance(asked, int) or isinstance(asked, bool) or asked < 1:
            raise ConfigError(f"trainer.threads={asked}: expected auto, or a number of 1 or more")

        return cls(most, asked)

    def count(self, work: Work, *, times: float = 1.0, updated: int | None = None) -> int:
        """Threads for what was counted; a pure function of its arguments.

        Args:
            work: Of one forward pass.
            times: How much larger a batch will be.
            updated: Parameters that a step updates; None where there is only the forward pass.
        """
        if self.fixed is not None:
            return self.fixed

        operations = max(1, work.operations)
        if updated is None:
            total = times * (work.flops + ELEMENT * work.elements)
            return self._of(total / operations / GRAIN)

        total = times * (work.flops + STEP_ELEMENT * work.elements) + STEP_PARAMETER * updated
        return self._of(total / operations / STEP_GRAIN)

    def _of(self, busy: float) -> int:
        return max(1, min(self.most, int(busy)))


def asked_by_environment() -> int | None:
    """OMP_NUM_THREADS, of a list the first; None where it is no number of 1 or more."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if first.isdecimal() and int(first):
        return int(first)
    return None


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """Let torch compute with so many threads, and afterwards as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def work_of(model: nn.Module, inputs: Any) -> Work:
    """Count what one forward pass does, without gradients, in the mode that the model is in."""
    work = Work()
    with torch.no_grad(), work:
        model(inputs)
    return work
