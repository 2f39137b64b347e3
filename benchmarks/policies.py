"""What each memory policy costs: `python benchmarks/policies.py [--largest 1000000]`.

CPU µs at one thread for an offer of 128 small examples of 100 classes: the mean while the memory
fills, and while ten times as many come as it holds.
"""

import argparse
import time

import torch
import yaml
from machine import write

from renate.build import build
from renate.data.batch import Columns
from renate.launchers.composing.conf import CONF
from renate.memory.store.memory import Memory

BATCH = 128
BLOCK = 1000 * BATCH  # examples that are at hand, offered again and again
POLICIES = ("reservoir", "sliding_window", "class_balanced")


def memory_of(option: str, capacity: int) -> Memory:
    node = yaml.safe_load((CONF / "memory" / f"{option}.yaml").read_text()) | {"capacity": capacity}
    max_ram = node.pop("max_ram")
    del node["backfill"]
    memory = Memory(build(node, "memory"), max_ram)
    memory.bind(seed=0)
    return memory


def batches() -> list[Columns]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(100, (BLOCK,), generator=generator)
    return [{"inputs": part[:, None], "targets": part} for part in targets.split(BATCH)]


def offers(memory: Memory, at_hand: list[Columns], count: int) -> float:
    """CPU µs per offer, over so many of them."""
    began = time.process_time()
    for number in range(count):
        memory.add_columns(at_hand[number % len(at_hand)])
    return (time.process_time() - began) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--largest", type=int, default=1_000_000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    at_hand = batches()
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= asked.largest]
    table = [
        f"| policy | {' | '.join(f'{size:,}: filling | then' for size in sizes)} |",
        f"| --- {'| --- | --- ' * len(sizes)}|",
    ]

    for option in POLICIES:
        offers(memory_of(option, 1000), at_hand, 100)  # warms up
        cells = []
        for size in sizes:
            memory = memory_of(option, size)
            count = -(-size // BATCH)
            cells += [offers(memory, at_hand, count), offers(memory, at_hand, 10 * count)]

        table.append(f"| {option} | {' | '.join(f'{cell:.0f}' for cell in cells)} |")
        print(table[-1], flush=True)

    text = (
        f"CPU µs per offer of {BATCH} examples of 100 classes to a memory of so many: while it "
        "fills, and "
        "while ten times as many come."
    )
    write("policies", "What each memory policy costs", text, table)


if __name__ == "__main__":
    main()
