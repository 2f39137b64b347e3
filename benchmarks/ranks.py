"""Two processes beside one: `python benchmarks/ranks.py`.

A class-incremental stream on digits, by one process and by two on the CPU, at equal global batch
and learning rate:
accuracy after the last update for each seed, whether both published the very same examples, and how
evenly the memories of the two processes are spread over all data that was offered (chi-square over
the classes).
"""

import argparse
import json
import statistics
from typing import Any

import numpy as np
import torch
from machine import write
from scipy.stats import chi2

import renate
from renate.build import build
from renate.memory.store.memory import Memory
from renate.state.versions import State

CAPACITY = 200
EPOCHS = 10
STREAM = [
    *(
        "job=stream",
        "scenario=class_incremental",
        "scenario.chunks=5",
        "objective.metric=null",
        "resume=false",
    ),
    *(
        f"trainer.max_epochs={EPOCHS}",
        f"memory.capacity={CAPACITY}",
        "data.val_size=0",
        "updater=er",
    ),
]
ONE = ["data.batch_size=32", "updater.replay_batch_size=32"]
TWO = [
    "data.batch_size=16",
    "updater.replay_batch_size=16",
    "trainer.devices=2",
    "trainer.accelerator=cpu",
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="0,1,2,3,4")
    lines = [
        "| seed | one process | two processes | same examples kept |",
        "| --- | --- | --- | --- |",
    ]
    accuracies: list[list[float]] = [[], []]
    held = torch.zeros(10)

    for seed in (int(seed) for seed in parser.parse_args().seeds.split(",")):
        columns = []
        for k, more in enumerate((ONE, TWO)):
            result = renate.run([*STREAM, *more, f"seed={seed}"])
            accuracies[k].append(100 * result.metrics["average_accuracy"])
            columns.append(memory_of(State(result.state_url)).columns())

        held += columns[1]["targets"].bincount(minlength=10)
        same = "yes" if rows(columns[0]) == rows(columns[1]) else "no"
        lines.append(f"| {seed} | {accuracies[0][-1]:.2f} | {accuracies[1][-1]:.2f} | {same} |")
        print(lines[-1], flush=True)

    means = [f"{statistics.fmean(a):.2f} ± {statistics.stdev(a):.2f}" for a in accuracies]
    gaps = [two - one for one, two in zip(*accuracies, strict=True)]
    error = statistics.stdev(gaps) / len(gaps) ** 0.5
    lines.append(f"| mean ± sd | {means[0]} | {means[1]} | |")
    lines += [
        "",
        f"Two minus one: {statistics.fmean(gaps):+.2f} ± {error:.2f} (standard error over seeds).",
    ]
    lines += [
        "",
        "Examples kept per class by two processes, all seeds: chi-square p = "
        f"{evenness(held):.2f}.",
    ]
    text = (
        f"average accuracy in % after the last of five updates, ER with {CAPACITY} examples, "
        f"{EPOCHS} epochs each, "
        "global batch 32 + 32, equal learning rate."
    )
    write("ranks", "Two processes beside one", text, lines)


def memory_of(state: State) -> Memory:
    manifest = state.manifest()
    meta: dict[str, Any] = json.loads(bytes(state.read(manifest, "memory/meta.json")))
    node = {"_target_": "renate.memory.reservoir.Reservoir", "capacity": meta["capacity"]}
    memory = Memory(build(node, "memory"), None)
    memory.bind(seed=0)
    memory.load(lambda name: state.read(manifest, name))
    return memory


def rows(columns: dict[str, torch.Tensor]) -> list[bytes]:
    return sorted(bytes(row) for row in columns["inputs"].flatten(1).contiguous().numpy())


def evenness(held: torch.Tensor) -> float:
    """The p-value of the kept examples' classes against those of all that were offered."""
    data = build(
        {"_target_": "renate.data.digits.Digits", "batch_size": 32, "val_size": 0, "limit": None},
        "data",
    )
    offered = np.bincount(data.load(None, seed=0).train["targets"].numpy(), minlength=10).astype(
        float
    )
    expected = offered / offered.sum() * float(held.sum())
    # Drawn without return: the variance is that much smaller.
    left = 1 - CAPACITY / (offered.sum() * EPOCHS)

    return float(chi2.sf((((held.numpy() - expected) ** 2) / expected).sum() / left, 9))


if __name__ == "__main__":
    main()
