"""What an update does on a GPU: `python benchmarks/gpu.py`, in less than six minutes.

Whether it does the same as on a CPU; a step beside a bare loop on the same device; where the host
waits for the device; rows that lie there; compiled steps; and S-CIFAR-10. Writes results/gpu.md.
`--device cpu` stands in for a GPU, with fewer and smaller cases: its table has another name,
results/cpu_for_gpu.md, and says in each heading what it is of.
"""

import argparse
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import gpu_checks
import numpy as np
import step_time
import torch
from machine import RESULTS
from step_time import CASES, Case, Stamped, ours, setting, timed
from torch.profiler import ProfilerActivity, profile

import renate.jobs.fit

LIMIT = 330.0  # seconds, after which no further part begins on a GPU, which is lent by the minute
STOOD_IN = " (a CPU, no GPU)"  # of each heading, so that no part of the file passes for a GPU's
CASES["transformer, 32 + 32"] = Case("transformer", 32, (1, 28, 28), 200, 1.1)
CASES["transformer, 256 + 256"] = Case("transformer", 256, (1, 28, 28), 60, 1.1)
ON_GPU = [
    f"{model}, {size} + {size}"
    for model in ("mlp", "resnet18", "transformer")
    for size in (32, 256)
]
# What a CPU does in a minute or two
STANDING_IN = {
    "mlp, 32 + 32": 150,
    "mlp, 256 + 256": 110,
    "transformer, 32 + 32": 12,
}
BATCH = 32  # of S-CIFAR-10
WAITS = ("Synchronize", "aten::_local_scalar_dense")


def checks(folder: Path, device: torch.device) -> list[str]:
    cases = ["agree: mlp", "agree: transformer"]
    if device.type == "cuda":
        cases.append("agree: resnet18")

    return [
        "| what | found | |",
        "| --- | --- | --- |",
        *gpu_checks.agreement(folder, device, cases),
        *gpu_checks.precisions(folder, device),
        *gpu_checks.resume(folder, device),
        *gpu_checks.kept(folder, device),
    ]


def steps(folder: Path, device: torch.device, repeats: int) -> list[str]:
    lines = [
        "| model, batch | updater | bare p10 | ours p10 | ratio p10 | paired median [quartiles] | "
        "goal |",
        "| --- |" + " --- |" * 6,
    ]
    updaters = ("er", "derpp") if device.type == "cuda" else ("er",)
    for name in ON_GPU if device.type == "cuda" else STANDING_IN:
        for updater in updaters:
            lines.append(step_time.row(name, updater, folder, repeats, device))
            print(lines[-1], flush=True)

    return lines


def waits(folder: Path, device: torch.device) -> list[str]:
    """What of a step lets the host wait: the difference of two fits, one twice as long."""
    lines = ["| updater | waits a step, by the profile | as the device warns of them |"]
    lines.append("| --- | --- | --- |")
    for updater in ("fine_tuning", "er", "derpp"):
        counts = []
        warned = []
        for length in (50, 100):
            CASES["waits"] = Case("mlp", 32, (1, 28, 28), length, 0.0)
            profiled, told = waits_of(updater, folder, device)
            counts.append(profiled)
            warned.append(told)

        each = (counts[1] - counts[0]) / 50
        cuda = "not told by a CPU"
        if device.type == "cuda":
            cuda = f"{(warned[1] - warned[0]) / 50:.2f}"

        lines.append(f"| {updater} | {each:.2f} | {cuda} |")
        print(lines[-1], flush=True)

    return lines


def waits_of(updater: str, folder: Path, device: torch.device) -> tuple[int, int]:
    """How often the host waits in a fit by the profile, and by what torch warns of."""
    activities = [ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)

    at = setting("waits", updater, folder, device)
    with profile(activities=activities) as profiled:
        ours(at)

    count = sum(
        event.count for event in profiled.key_averages() if any(w in event.key for w in WAITS)
    )
    if device.type != "cuda":
        return count, 0

    at = setting("waits", updater, folder, device)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            ours(at)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return count, sum("called a synchronizing" in str(each.message) for each in told)


def variants(folder: Path, device: torch.device, repeats: int) -> list[str]:
    """A step with the rows here or there, compiled or not."""
    choices: dict[str, list[str]] = {
        "rows on the host": ["data.device=cpu"],
        "rows on the device": ["data.device=device"],
        "compiled": ["trainer.compile=true"],
    }
    names = ["mlp, 32 + 32"]
    if device.type == "cuda":
        choices["CUDA graphs"] = ["trainer.cuda_graphs=true"]
        names += ["resnet18, 256 + 256", "transformer, 32 + 32"]

    lines = [
        "| model, batch, er | how | ms a step, p10 | beside the first |",
        "| --- |" * 1 + " --- |" * 3,
    ]
    for name in names:
        first = None
        for how, more in choices.items():
            try:
                low = time_of(name, folder, device, more, repeats)
            except Exception as error:
                lines.append(f"| {name} | {how} | {type(error).__name__}: {str(error)[:80]} | |")
                continue

            first = first or low
            lines.append(f"| {name} | {how} | {low:.3f} | {low / first:.2f} |")
            print(lines[-1], flush=True)

    return lines


def time_of(
    name: str, folder: Path, device: torch.device, more: Sequence[str], repeats: int
) -> float:
    """Milliseconds of a step, p10, without the first ones, in which something may be compiled."""
    skip = 20 if CASES[name].steps > 100 else 4
    found = []
    for _ in range(repeats):
        at = setting(name, "er", folder, device, more)
        found.append(timed(lambda at=at: ours(at), device, skip))

    return float(np.percentile(np.concatenate(found), 10))


def cifar(folder: Path, device: torch.device, epochs: int, limit: int | None) -> list[str]:
    """S-CIFAR-10 as the papers have it, memory 500, for a few epochs a task; few images and an
    MLP on a CPU, which would measure all test images by a ResNet-18 for three quarters of an hour.
    """
    model = "resnet18" if device.type == "cuda" else "mlp"
    data = Path(os.environ.get("RENATE_DATA", "../shared/data")).resolve()
    if not (data / "cifar10" / "train.parquet").exists():
        return [f"Not run: no cifar10/train.parquet below {data.name}/ (RENATE_DATA)."]

    lines = [
        "| model, updater | images | epochs a task | seconds | of 50 epochs, by that "
        "| average accuracy |",
        "| --- |" + " --- |" * 5,
    ]
    for updater in ("er", "derpp"):
        command = [
            *(sys.executable, "-m", "renate", "job=stream", "data=cifar10", "transform=cifar10"),
            *("scenario=class_incremental", "scenario.chunks=5", f"model={model}"),
            *(f"updater={updater}", "memory.capacity=500"),
            *(f"updater.replay_batch_size={BATCH}", f"data.batch_size={BATCH}"),
            *("data.val_size=0", "objective.metric=null"),
            *("optimizer.lr=0.03", f"trainer.max_epochs={epochs}", "report=none"),
            *(f"trainer.accelerator={'gpu' if device.type == 'cuda' else 'cpu'}",),
            *("terminal=json", "job.untrained_models=1"),
            *([f"data.limit={limit}"] if limit else []),
        ]
        name = f"{model}, {updater}"
        where = folder / f"cifar-{updater}"
        where.mkdir()
        began = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=where,
            env=os.environ | {"RENATE_DATA": str(data)},
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no word"])[-1]
            lines.append(f"| {name} | {limit or 'all'} | {epochs} | failed: {last[:200]} | | |")
            continue

        lines.append(row_of(where, name, epochs, seconds, limit))
        print(lines[-1], flush=True)
        shutil.rmtree(where)

    return lines


def row_of(where: Path, name: str, epochs: int, seconds: float, limit: int | None) -> str:
    """What a stream's matrix says of its time and accuracy."""
    found = json.loads(next(where.glob("runs/*/matrix.json")).read_text())
    updates = found["updates"]
    trained = sum(BATCH * each["steps"] / each["examples_per_second"] for each in updates)
    whole = seconds - trained + 50 / epochs * trained
    average = found["metrics"]["average_accuracy"]
    # A few images say nothing of how long all would take
    of_all = "not of so few images" if limit else f"{whole / 60:.1f} min"
    return f"| {name} | {limit or 'all'} | {epochs} | {seconds:.0f} | {of_all} | {average:.4f} |"


def heading(device: torch.device) -> list[str]:
    """What the file is of: no one may take a CPU's figures for a GPU's."""
    is_gpu = device.type == "cuda"
    where = torch.cuda.get_device_name() if is_gpu else f"{os.cpu_count()} cores, no GPU"
    said = (
        f"`python benchmarks/gpu.py --device {device}`. Python {platform.python_version()}, torch "
        f"{version('torch')}, {where}."
    )
    if is_gpu:
        return ["# An update on a GPU", "", said]

    return [
        "# The GPU's benchmark, run on a CPU",
        "",
        said,
        "",
        "**No GPU had a part in any figure below.** A CPU stands in for one: fewer and smaller "
        "cases, CPU time at one thread. It shows that the script runs and what its tables are; it "
        "says nothing about a GPU. Where two devices are compared, the second is the same CPU with "
        "another number of threads.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--out", type=Path, help="by default one of benchmarks/results/")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    is_gpu = device.type == "cuda"
    if is_gpu and not torch.cuda.is_available():
        parser.error("no GPU here; --device cpu stands in")
    out = asked.out or RESULTS / ("gpu.md" if is_gpu else "cpu_for_gpu.md")

    torch.set_num_threads(1)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    renate.jobs.fit.Batches = Stamped  # type: ignore[attr-defined]
    if not is_gpu:
        for name, count in STANDING_IN.items():
            CASES[name] = CASES[name]._replace(steps=count)

    repeats = asked.repeats if is_gpu else 2
    epochs = 2 if is_gpu else 1
    limit = None if is_gpu else 640
    lines = heading(device)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = {
            "The same as on a CPU": lambda: checks(folder, device),
            "A step beside a bare loop on the same device": lambda: steps(folder, device, repeats),
            "Where the host waits": lambda: waits(folder, device),
            "Rows on the device, compiled steps": lambda: variants(folder, device, repeats),
            "S-CIFAR-10": lambda: cifar(folder, device, epochs, limit),
        }
        for title, part in parts.items():
            lines += ["", f"## {title}{'' if is_gpu else STOOD_IN}", ""]
            if is_gpu and time.perf_counter() - began > LIMIT:
                lines.append(f"Not run: {LIMIT:.0f} s were over.")
            else:
                lines += part()
            out.write_text("\n".join(lines) + "\n")

    lines += ["", f"In {time.perf_counter() - began:.0f} s."]
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
