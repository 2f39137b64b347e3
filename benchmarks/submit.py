"""What a training job costs beside the same update here: `python benchmarks/submit.py`, on services
of this machine.

Each update begins a state of its own in S3 and runs with default settings. The services start a
container within milliseconds, where the real one takes minutes: the figure is what our side adds.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from loopback import Loopback, loopback
from machine import write

RENATE = [sys.executable, "-m", "renate"]


def timed(folder: str, arguments: list[str]) -> float:
    began = time.perf_counter()
    done = subprocess.run([*RENATE, *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - began


def measure(services: Loopback, folder: str, repeats: int) -> list[str]:
    bucket = services.bucket
    rows = []
    there = [
        "backend=sagemaker",
        f"backend.role={os.environ['RENATE_AWS_ROLE']}",
        "backend.instance_type=ml.m5.xlarge",
    ]
    times: dict[str, list[float]] = {"here": [], "a training job": []}

    for number in range(repeats + 1):  # the first pair warms the caches and stores the code
        for name, more in (
            ("here", []),
            ("a training job", [*there, f"backend.staging={bucket}/staging"]),
        ):
            url = f"{bucket}/{name.split()[-1]}-{number}"
            services.order()
            wall = timed(
                folder,
                [*more, f"state.url={url}", "state.first=true", f"run_dir=./{name.split()[-1]}"],
            )
            if number:
                times[name].append(wall)
            elif more:
                rows.append(f"| sent by the first submission | {total(services)} kB |")

    rows.append(f"| sent by the last | {total(services)} kB |")
    for name, walls in reversed(times.items()):
        shown = f"{statistics.median(walls):.2f} s [{min(walls):.2f}, {max(walls):.2f}]"
        rows.insert(0, f"| an update, {name} | {shown} |")

    apart = statistics.median(b - a for a, b in zip(*times.values(), strict=True))

    return [
        *rows,
        f"| a training job takes longer by, median of pairs; target 3 s | {apart:.2f} s |",
    ]


def total(services: Loopback) -> str:
    return f"{sum(r['in'] for r in services.log() if r['method'] in ('PUT', 'POST')) / 1000:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder, loopback() as services:
        rows = measure(services, folder, repeats)

    text = f"{repeats} pairs, the digits update of `renate`; median [least, most] of wall seconds."
    write("submit", "An update here and as a training job", text, ["| | |", "| --- | --- |", *rows])


if __name__ == "__main__":
    main()
