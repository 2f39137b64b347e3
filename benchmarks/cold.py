"""What the first command on a data set costs beside the second: `python benchmarks/cold.py`.

Cold: `data.cache_dir` is empty, so that the images are decoded. Warm: it is the same folder once
more. Commands run in pairs; medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import write

DATA = Path(os.environ.get("RENATE_DATA", "data")).resolve()
GOAL = 1.3  # of S-MNIST by ER; shorter commands have less beside which to decode

WORKS = {
    "S-MNIST, ER, 10 + 10": ["experiment=reproduce/s_mnist_er"],
    "MNIST, one update of one epoch": ["data=mnist", "trainer.max_epochs=1"],
    "CIFAR-10, one update of one epoch by the MLP": ["data=cifar10", "trainer.max_epochs=1"],
}


def seconds(overrides: list[str], cache: str, seed: int) -> float:
    """Run a command in a folder of its own."""
    command = [sys.executable, "-m", "renate", *overrides, f"data.cache_dir={cache}"]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(
            [*command, "resume=false", f"seed={seed}"],
            cwd=folder,
            env=os.environ | {"RENATE_DATA": str(DATA)},
            check=True,
            capture_output=True,
        )
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    table = [
        "| command | pairs | cold, s | warm, s | cold / warm | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]

    for title, overrides in WORKS.items():
        pairs = []
        for seed in range(asked.repeats):
            with tempfile.TemporaryDirectory() as cache:
                cold = seconds(overrides, cache, seed)
                pairs.append((cold, seconds(overrides, cache, seed)))

        cold, warm = (statistics.median(each) for each in zip(*pairs, strict=True))
        ratio = statistics.median(cold / warm for cold, warm in pairs)
        table.append(f"| {title} | {len(pairs)} | {cold:.1f} | {warm:.1f} | {ratio:.2f} | {GOAL} |")
        print(table[-1], flush=True)

    write("cold", "The first command on a data set", "whole commands, medians of pairs.", table)


if __name__ == "__main__":
    main()
