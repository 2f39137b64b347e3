"""The processes that train one model together, started by torch's elastic run.

Most jobs are one process alone.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")

# How long one process waits while another works (loads, measures, publishes): one that died is
# noticed at once anyway.
TIMEOUT = timedelta(days=1)


@dataclass(frozen=True)
class Ranks:
    """One process among those of its job.

    Each method but `connect` must be called by all of them, in the same order.

    Attributes:
        rank: Its number; the first one, 0, reads and writes the state and speaks for the job.
        size: How many there are, on all hosts.
        local: Its number on its own host, which is also that of its GPU.
        hosts: How many hosts there are.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    hosts: int = 1

    @classmethod
    def from_environment(cls) -> "Ranks":
        """As torch's elastic run has set it; alone where it didn't start this process."""
        if not dist.is_torchelastic_launched():
            return ALONE

        size = int(os.environ["WORLD_SIZE"])
        return cls(
            rank=int(os.environ["RANK"]),
            size=size,
            local=int(os.environ["LOCAL_RANK"]),
            hosts=size // int(os.environ["LOCAL_WORLD_SIZE"]),
        )

    @property
    def first(self) -> bool:
        """Whether this process is number 0."""
        return self.rank == 0

    @property
    def alone(self) -> bool:
        """Whether the job is this process alone."""
        return self.size == 1

    def connect(self, device: str) -> None:
        """Find the others; tensors on a GPU travel by NCCL, all else by gloo.

        Args:
            device: The type of the device that this process trains on, `cuda` or another.
        """
        if self.alone or dist.is_initialized():
            return

        backend = "gloo"
        if device == "cuda":
            torch.cuda.set_device(self.local)
            backend = "cpu:gloo,cuda:nccl"

        dist.init_process_group(backend, timeout=TIMEOUT)

    def broadcast(self, make: Callable[[], T]) -> T:
        """Let the first process make something; every one gets it."""
        if self.alone:
            return make()

        made: list[T | None] = [make() if self.first else None]
        dist.broadcast_object_list(made, src=0, device=torch.device("cpu"))
        return made[0]  # type: ignore[return-value]

    def gather(self, own: T) -> list[T]:
        """Return what each process has, by rank."""
        found: list[T] = [own] * self.size
        if not self.alone:
            dist.all_gather_object(found, own)
        return found

    def all_max(self, own: Sequence[int]) -> list[int]:
        """Return the largest of all processes' numbers, place by place."""
        largest = torch.tensor(own, dtype=torch.int64)
        if not self.alone:
            dist.all_reduce(largest, dist.ReduceOp.MAX)
        found: list[int] = largest.tolist()
        return found

    def all_sum(self, *own: float) -> list[float]:
        """Return the sums over all processes, place by place."""
        if self.alone:
            return list(own)

        sums = torch.tensor(own, dtype=torch.float64)
        dist.all_reduce(sums)
        found: list[float] = sums.tolist()

        return found

    def sum_in_place(self, tensors: Iterable[Tensor]) -> None:
        """Let tensors that each process has become their sums over all processes."""
        if not self.alone:
            for tensor in tensors:
                dist.all_reduce(tensor)

    @torch.no_grad()
    def broadcast_module(self, module: nn.Module) -> None:
        """Give every process the first one's parameters and buffers."""
        if self.alone:
            return

        for tensor in module.state_dict().values():
            if isinstance(tensor, Tensor):
                passed = tensor.cpu().contiguous()
                dist.broadcast(passed, src=0)
                tensor.copy_(passed)

    def send(self, tensor: Tensor) -> None:
        """Send to the first process, which must `receive`."""
        dist.send(tensor, dst=0)

    def receive(self, tensor: Tensor, rank: int) -> Tensor:
        """Receive what a process sends, into a tensor of the same size and type."""
        dist.recv(tensor, src=rank)
        return tensor


ALONE = Ranks()


def is_lost(error: BaseException) -> bool:
    """Whether an error says only that another process is gone, whose own error is the cause."""
    if isinstance(error, dist.DistError):
        return True

    text = str(error)
    said_so = "gloo" in text or "Connection closed by peer" in text
    return isinstance(error, RuntimeError) and said_so
