"""The processes that train one model together, started by torch's elastic run; most jobs are one process alone."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")
# How one process waits while another works (loads, measures, publishes): one that died is noticed at once anyway.
PATIENCE = timedelta(days=1)


@dataclass(frozen=True)
class Ranks:
    """One process among those of its job; each method but `connect` must be called by all of them, in the same order.

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
        rank, size, local, here = (int(os.environ[k]) for k in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"))
        return cls(rank, size, local, size // here)

    @property
    def first(self) -> bool:
        return self.rank == 0

    @property
    def alone(self) -> bool:
        return self.size == 1

    def connect(self, device: str) -> None:
        """Find the others; tensors on a GPU travel by NCCL, all else by gloo."""
        if self.alone or dist.is_initialized():
            return
        if device == "cuda":
            torch.cuda.set_device(self.local)
        dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=PATIENCE)

    def share(self, make: Callable[[], T]) -> T:
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

    def agree(self, wishes: Sequence[int]) -> list[int]:
        """Return the largest of every process's wishes, place by place."""
        votes = torch.tensor(wishes, dtype=torch.int64)
        if not self.alone:
            dist.all_reduce(votes, dist.ReduceOp.MAX)
        found: list[int] = votes.tolist()
        return found

    def total(self, *own: float) -> list[float]:
        """Return the sums over all processes."""
        if self.alone:
            return list(own)
        sums = torch.tensor(own, dtype=torch.float64)
        dist.all_reduce(sums)
        found: list[float] = sums.tolist()
        return found

    @torch.no_grad()
    def align(self, module: nn.Module) -> None:
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
    """Whether an error says only that another process is gone; what that one died of is the cause."""
    text = str(error)
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and ("gloo" in text or "Connection closed by peer" in text)
    )
