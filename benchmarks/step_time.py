"""A training step as users get it, against a bare PyTorch loop doing the same: `python benchmarks/step_time.py`.

The floor does the same work on tensors in memory: index_select, replay draw, forward, backward, step, reservoir. It
ends in bit-identical weights, which is asserted before anything is timed. CPU time per step at one thread, variants in
turn within each repeat, stamped between two batches; p10 over all steps and the median of the repeats' ratios.

As users get it: `renate.jobs.fit.fit`, with its watch on the epochs, its reports and its best checkpoint.
"""

import argparse
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf
from torch import nn

import renate.data.batch
import renate.jobs.fit
from renate.build import build
from renate.cli.session import composed
from renate.data.batch import Batch, BatchTransform, Columns, select
from renate.jobs.directory import JobDirectory
from renate.jobs.parts import Job, measure_of, transform, updater_of
from renate.memory.base import Memory
from renate.seeds import derive
from renate.updaters.base import Updater

ROOT = Path(__file__).parents[1]
CASES = {
    "mlp": (["model=mlp", "data.batch_size=128"], 128, (1, 28, 28), 230),
    "resnet18": (["model=resnet18", "data.batch_size=32"], 32, (3, 32, 32), 7),
}
STAMPS: list[float] = []


class Stamped(renate.data.batch.Batches):
    """Stamps the clock whenever the consumer asks for the next batch."""

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            STAMPS.append(time.process_time())
            yield batch
        STAMPS.append(time.process_time())


def setting(case: str, updater: str, folder: Path) -> tuple[Job, Columns, Memory, Updater, nn.Module]:
    overrides, replay, shape, steps = CASES[case]
    fixed = ["trainer.max_epochs=1", "optimizer.lr=0.1", "memory.capacity=500", "objective.metric=null"]
    chosen = [f"updater={updater}", f"updater.replay_batch_size={replay}", "data.val_size=0", f"run_dir={folder}"]
    launcher, composed_job = composed([*overrides, *fixed, *chosen])
    launcher.close()
    plain: Any = OmegaConf.to_container(composed_job.config, resolve=True)
    directory = JobDirectory(folder / "job")
    directory.path.mkdir(exist_ok=True)
    job = Job(plain, "", directory, {"id": "x"})
    generator = torch.Generator().manual_seed(0)
    rows = steps * plain["data"]["batch_size"]
    columns = {
        "inputs": torch.randint(256, (rows, *shape), generator=generator, dtype=torch.uint8),
        "targets": torch.randint(10, (rows,), generator=generator),
    }
    memory: Memory = job.build("memory")
    memory.bind(seed=1, transform=transform(job, "memory", "cpu"))
    torch.manual_seed(0)
    sizes = {"input_shape": shape} if case == "mlp" else {"in_channels": shape[0]}
    node = {k: v for k, v in plain["model"].items() if v is not None and k != "grow"} | sizes | {"num_classes": 10}
    return job, columns, memory, updater_of(job, memory), build(node, "model")


def ours(case: str, updater: str, folder: Path) -> nn.Module:
    job, columns, _, made, model = setting(case, updater, folder)
    measure = measure_of(job, "cpu", 10, made.criterion)
    batches = renate.jobs.fit.batches_of(job, columns, torch.device("cpu"), 1, own=False)
    renate.jobs.fit.fit(job, model, made, batches, None, measure, 1)
    return model


def bare(case: str, updater: str, folder: Path) -> nn.Module:
    """The floor: a loop as one would write it by hand, on the same memory."""
    job, columns, memory, _, model = setting(case, updater, folder)
    memory.transform = BatchTransform()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    size, replay = job.config["data"]["batch_size"], job.config["updater"]["replay_batch_size"]
    order = torch.randperm(
        len(columns["targets"]), generator=torch.Generator().manual_seed(derive(job.config["seed"], "shuffle", 1))
    )
    model.train()
    for index in torch.split(order, size):
        STAMPS.append(time.process_time())
        raw = select(columns, index)
        inputs, targets = raw["inputs"] * (1 / 255), raw["targets"]
        if updater == "er":
            if len(memory):
                past = memory.sample(replay)
                inputs, targets = torch.cat([inputs, past.inputs * (1 / 255)]), torch.cat([targets, past.targets])
            loss = F.cross_entropy(model(inputs), targets)
            memory.add_columns(raw)
        else:
            logits = model(inputs)
            loss = F.cross_entropy(logits, targets)
            if len(memory):
                past = memory.sample(replay)
                loss = loss + 0.3 * F.mse_loss(model(past.inputs * (1 / 255)), past.logits)
                past = memory.sample(replay)
                loss = loss + 0.5 * F.cross_entropy(model(past.inputs * (1 / 255)), past.targets)
            memory.add_columns(raw | {"logits": logits.detach()})
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    STAMPS.append(time.process_time())
    return model


def steps_of(
    run: Callable[[str, str, Path], nn.Module], case: str, updater: str, folder: Path, skip: int
) -> np.ndarray:  # type: ignore[type-arg]
    STAMPS.clear()
    run(case, updater, folder)
    return np.diff(STAMPS)[skip:] * 1e3


# Measured elsewhere, once, on a like machine under load, in each library's own way of running: rotated MNIST on the
# same MLP, 128 new + 128 replayed, memory of 500; a bare loop took 2.2-2.8 ms (ER) and 4.3 ms (DER++) there.
OTHERS = [
    "",
    "Other libraries, **measured elsewhere**: CPU ms per step on a like, loaded machine, where a bare loop took",
    "2.2–2.8 (ER) and 4.3 (DER++); the same MLP, 128 + 128, memory of 500, rotated MNIST. Their bare loop isn't",
    "the one above: compare the ratios.",
    "",
    "| library | er | ratio | derpp | ratio |",
    "| --- | --- | --- | --- | --- |",
    "| Mammoth, one process | 15.5 | 5.5–7.0 | 22.4 | 5.2 |",
    "| Mammoth, its worker processes (their CPU not counted) | 5.9 | 2.1–2.7 | 7.9 | 1.8 |",
    "| Avalanche, defaults | 71 | 25–32 | 82 | 19 |",
    "| Renate 0.5 (torch 1.13) | 97 | 35–44 | 97 | 23 |",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--only", default="mlp,resnet18")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    renate.jobs.fit.Batches = Stamped  # type: ignore[attr-defined]
    lines = [
        "# Time of a training step",
        "",
        "`python benchmarks/step_time.py`: CPU ms per step at one thread, ours (`renate.jobs.fit`) against a bare loop",
        f"that ends in the same weights, bit by bit; {asked.repeats} interleaved repeats.",
        "",
        f"Python {platform.python_version()}, torch {version('torch')}, {os.cpu_count()} cores.",
        "",
        "| model | updater | bare p10 | ours p10 | ratio p10 | paired median [quartiles] | target |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for case in asked.only.split(","):
            for updater in ("er", "derpp"):
                lines.append(row(case, updater, Path(folder), asked.repeats))
                print(lines[-1], flush=True)
    (ROOT / "benchmarks" / "results" / "step_time.md").write_text("\n".join([*lines, *OTHERS]) + "\n")


def row(case: str, updater: str, folder: Path, repeats: int) -> str:
    one, two = (dict(run(case, updater, folder).state_dict()) for run in (bare, ours))
    assert all(torch.equal(one[name], two[name]) for name in one), "the two did different work"
    skip = 20 if case == "mlp" else 2
    times: dict[str, list[Any]] = {"bare": [], "ours": []}
    for _ in range(repeats if case == "mlp" else max(4, repeats // 2)):
        times["bare"].append(steps_of(bare, case, updater, folder, skip))
        times["ours"].append(steps_of(ours, case, updater, folder, skip))
    low = {name: np.percentile(np.concatenate(t), 10) for name, t in times.items()}
    ratios = np.array([np.median(b) / np.median(a) for a, b in zip(times["bare"], times["ours"], strict=True)])
    quartiles = np.percentile(ratios, [25, 50, 75])
    target = "1.2" if case == "mlp" else "1.05"
    return (
        f"| {case} | {updater} | {low['bare']:.3f} | {low['ours']:.3f} | {low['ours'] / low['bare']:.2f} "
        f"| {quartiles[1]:.2f} [{quartiles[0]:.2f}, {quartiles[2]:.2f}] | {target} |"
    )


if __name__ == "__main__":
    main()
