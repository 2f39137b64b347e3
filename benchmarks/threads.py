"""One thread or all: `python benchmarks/threads.py`. What `renate.threads` chooses, against what is
best.

A cell is a network and a batch size: forward, backward and an SGD step on ready tensors, and a
forward pass alone as in evaluation, timed with one thread and with all in turn, in one process
whose idle threads sleep, as in a worker. A choice that takes less than 5 % longer than the best one
is as good.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from machine import write
from torch import nn

from renate.models.mlp import MLP
from renate.models.resnet import ResNet18
from renate.threads import Threads, work_of

POLICY = "OMP_WAIT_POLICY"
BATCHES = (1, 4, 10, 32, 128, 512)
CLOSE = 1.05
SLOW = 2.0  # seconds from which on a run is repeated twice only


def transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.TransformerEncoder(layer, 2), nn.Flatten(), nn.Linear(32 * 64, 10))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP 100-100": (lambda: MLP((1, 28, 28), 10, [100, 100]), (1, 28, 28)),
    "MLP 400-400": (lambda: MLP((1, 28, 28), 10, [400, 400]), (1, 28, 28)),
    "MLP 2000-2000": (lambda: MLP((1, 28, 28), 10, [2000, 2000]), (1, 28, 28)),
    "ResNet-18, width 4": (lambda: ResNet18(3, 10, 4), (3, 32, 32)),
    "ResNet-18, width 16": (lambda: ResNet18(3, 10, 16), (3, 32, 32)),
    "ResNet-18, width 64": (lambda: ResNet18(3, 10, 64), (3, 32, 32)),
    "transformer, 2 layers of 64, 32 tokens": (transformer, (32, 64)),
}


def seconds(run: Callable[[], None], least: float, blocks: int, most: int) -> dict[int, float]:
    """Median seconds of a run with one thread and with all, in turn; the first of each warms up."""
    found: dict[int, list[float]] = {1: [], most: []}
    slow = False

    for block in range(blocks + 1):
        if slow and block > 2:
            break

        for threads, times in found.items():
            torch.set_num_threads(threads)
            if not slow:
                run()

            began = time.perf_counter()
            runs = 0
            while time.perf_counter() - began < least or not runs:
                run()
                runs += 1

            took = (time.perf_counter() - began) / runs
            slow = slow or took > SLOW
            if block:
                times.append(took)

    return {threads: statistics.median(times) for threads, times in found.items()}


def cell(
    name: str, batch: int, most: int, least: float, blocks: int
) -> list[tuple[str, dict[int, float], int]]:
    """(what, seconds by threads, the choice) of training and of evaluation."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    model = make()
    inputs = torch.rand(batch, *shape)
    targets = torch.randint(10, (batch,))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)

    def train() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    def evaluate() -> None:
        with torch.no_grad():
            model(inputs)

    threads = Threads(most)
    model.train(batch > 1)  # one row has no variance
    choice = threads.count(
        work_of(model, inputs), updated=sum(each.numel() for each in model.parameters())
    )
    found = [("train", seconds(train, least, blocks, most), choice)]
    model.eval()
    choice = threads.count(work_of(model, inputs))

    return [*found, ("evaluate", seconds(evaluate, least, blocks, most), choice)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.05, help="of one block of one choice")
    parser.add_argument("--only", default="", help="networks whose name has this in it")
    asked = parser.parse_args()
    most = len(os.sched_getaffinity(0))
    table = [
        "| network | batch | | one thread, ms | all, ms | best | chosen | chosen / best |",
        "| --- " * 8 + "|",
    ]
    worst = 1.0

    for name in NETWORKS:
        for batch in BATCHES if asked.only in name else ():
            for what, times, choice in cell(name, batch, most, asked.seconds, asked.blocks):
                best = min(times, key=lambda n: times[n])
                chosen = 1 if choice == 1 else most
                ratio = times[chosen] / times[best]
                worst = max(worst, ratio)
                table.append(
                    f"| {name} | {batch} | {what} | {times[1] * 1e3:.2f} | {times[most] * 1e3:.2f} "
                    f"| {best} | {choice} "
                    f"| {ratio:.2f}{'' if ratio <= CLOSE else ' (!)'} |"
                )
                print(table[-1], flush=True)

    write(
        "threads",
        "Threads",
        f"{most} cores; the worst choice takes {worst:.2f} of the best one's time.",
        table,
    )


if __name__ == "__main__":
    if os.environ.get(POLICY) != "PASSIVE":  # read when torch is loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {POLICY: "PASSIVE"})
    main()
