"""A training step as users get it, against a bare PyTorch loop doing the same: `python
benchmarks/step_time.py`.

The floor is plain PyTorch on tensors in memory: index_select, a draw from a plain tensor buffer,
forward, backward, step, Vitter's algorithm R for a batch. It draws random numbers of its own and
then takes the draws and the slots that were recorded of ours, so that both end in the same weights,
which is asserted before anything is timed.

CPU time per step at one thread, variants in turn within each repeat, stamped between two batches;
p10 over all steps and the median of the repeats' ratios. On a GPU wall time of all steps but the
first, for then the device works on.

As users get it: `renate.jobs.fit.fit`, with its validation of the epochs, its reports and its best
checkpoint.
"""

import argparse
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from floors import FLOORS as OF_STEPS
from floors import Floor
from floors_begin import (
    ONLY_ON,
    SHARE_OF_STEPS,
    capacity_of,
    draw_of,
    options_of,
    second_update,
    targets_of,
)
from floors_distillation import FLOORS as OF_DISTILLATION
from floors_features import FLOORS as OF_FEATURES
from floors_gradients import FLOORS as OF_GRADIENTS
from floors_memory import Buffer, Recorded
from floors_prompts import FLOORS as OF_PROMPTS
from floors_replay import FLOORS as OF_REPLAY
from machine import RESULTS
from omegaconf import OmegaConf
from torch import Tensor, nn

import renate.data.batch
import renate.jobs.fit
from renate.build import build
from renate.data.batch import Batch, Columns
from renate.jobs.builders import transform, updater_of
from renate.jobs.building.network import arguments_in
from renate.jobs.context import Job
from renate.jobs.directory import JobDirectory
from renate.jobs.records import JobRecord
from renate.jobs.scoring.measured import measure_of
from renate.launchers.sweeps.from_python import composed
from renate.memory.store.memory import Memory
from renate.problems.classification import Classification
from renate.seeds import derive
from renate.updaters.base import Updater

LR = 0.05
FLOORS: dict[str, type[Floor]] = (
    OF_STEPS | OF_REPLAY | OF_GRADIENTS | OF_DISTILLATION | OF_FEATURES | OF_PROMPTS
)
# Those that are none of conf/model
MODELS = {
    "transformer": [
        "model=torch_module",
        "model._target_=rows_transformer.RowsTransformer",
        "+model.input_shape=null",
        "+model.num_classes=null",
        "trust=[rows_transformer]",
    ],
    # Six layers, as DualPrompt's and CODA-Prompt's prefixes ask for, each small
    "vit": [
        "model=vit",
        "model.architecture.hidden_size=64",
        "model.architecture.num_attention_heads=2",
        "model.architecture.intermediate_size=128",
        "model.architecture.patch_size=7",
    ],
}
ALIKE = 1e-4  # what the order of sums makes of weights, relative to the largest of a tensor


class Case(NamedTuple):
    """A network, rows of a batch and as many replayed, shape of an input, steps, and the ratio
    that is asked for.
    """

    model: str
    batch: int
    shape: tuple[int, ...]
    steps: int
    target: float


CASES = {
    "mlp, 10 + 10": Case("mlp", 10, (1, 28, 28), 1200, 1.4),
    "mlp, 32 + 32": Case("mlp", 32, (1, 28, 28), 600, 1.4),
    "mlp, 128 + 128": Case("mlp", 128, (1, 28, 28), 230, 1.12),
    "mlp, 256 + 256": Case("mlp", 256, (1, 28, 28), 120, 1.12),
    "resnet18, 32 + 32": Case("resnet18", 32, (3, 32, 32), 7, 1.02),
    "resnet18, 256 + 256": Case("resnet18", 256, (3, 32, 32), 40, 1.02),
    "vit, 10 + 10": Case("vit", 10, (1, 28, 28), 150, 1.2),
    "vit, 32 + 32": Case("vit", 32, (1, 28, 28), 101, 1.2),
}
DEFAULT = "mlp, 10 + 10;mlp, 128 + 128;resnet18, 32 + 32;vit, 32 + 32"


def case_of(name: str, updater: str) -> Case | None:
    """Return a case as an updater takes it, with the steps that it has time for; None where it has
    no floor for the network.
    """
    case = CASES[name]
    if case.model not in ONLY_ON.get(updater, (case.model,)):
        return None
    if case.model == "vit" and updater not in OF_PROMPTS:
        return None

    share = SHARE_OF_STEPS.get(updater, 1.0)
    return case._replace(steps=max(7, round(case.steps * share)))


@dataclass
class Clock:
    """Stamps between two batches, in seconds.

    Attributes:
        device: Of a GPU only the first stamp after `skip` steps and the last wait for what it still
            computes.
        skip: Steps that warm up.
    """

    device: torch.device
    skip: int
    stamps: list[float] = field(default_factory=list)

    def stamp(self, *, last: bool = False) -> None:
        if self.device.type == "cpu":
            self.stamps.append(time.process_time())
            return
        if last or len(self.stamps) == self.skip:
            torch.cuda.synchronize()
        self.stamps.append(time.perf_counter())

    def steps(self) -> np.ndarray[Any, Any]:
        """Milliseconds of the steps after the first; on a GPU their mean, once."""
        kept = np.array(self.stamps[self.skip :]) * 1e3
        return (
            np.diff(kept)
            if self.device.type == "cpu"
            else np.array([(kept[-1] - kept[0]) / (len(kept) - 1)])
        )


CLOCK = Clock(torch.device("cpu"), 0)


class Stamped(renate.data.batch.Batches):
    """Stamps the clock whenever the consumer asks for the next batch."""

    def __iter__(self) -> Iterator[Batch]:
        for batch in super().__iter__():
            CLOCK.stamp()
            yield batch
        CLOCK.stamp(last=True)


@dataclass
class Setting:
    """The same data, weights and memory for both."""

    job: Job
    case: Case
    updater: str
    device: torch.device
    columns: Columns
    memory: Memory
    made: Updater
    model: nn.Module


def setting(
    name: str, updater: str, folder: Path, device: torch.device, more: Sequence[str] = ()
) -> Setting:
    case = case_of(name, updater)
    assert case is not None, f"{name}, {updater}: there is no floor"
    rows = case.steps * case.batch
    launcher, composed_job = composed(
        [
            *MODELS.get(case.model, [f"model={case.model}"]),
            *(
                f"data.batch_size={case.batch}",
                "data.val_size=0",
                f"run_dir={folder}",
            ),
            *(
                "trainer.max_epochs=1",
                f"optimizer.lr={LR}",
                "objective.metric=null",
            ),
            *(
                f"updater={updater}",
                f"trainer.accelerator={device.type}",
            ),
            *options_of(updater, case.batch, rows),
            *more,
        ]
    )
    launcher.close()
    plain: Any = OmegaConf.to_container(composed_job.config, resolve=True)
    directory = JobDirectory(folder / "job")
    directory.path.mkdir(exist_ok=True)
    job = Job(plain, "", directory, JobRecord("x", "x", (), str(folder), 0.0))
    generator = torch.Generator().manual_seed(0)
    columns = {
        "inputs": torch.randint(256, (rows, *case.shape), generator=generator, dtype=torch.uint8),
        "targets": targets_of(updater, torch.randint(10, (rows,), generator=generator)),
    }

    memory = Memory(job.build("memory"), job.config["memory"].get("max_ram"))
    memory.bind(seed=1, transform=transform(job, "memory", device))
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"input_shape": case.shape}
    if case.model == "resnet18":
        sizes = {"in_channels": case.shape[0]}
    if case.model == "vit":
        sizes["checkpoint"] = None

    asked = arguments_in(plain["model"], plain["trust"])
    node = {k: v for k, v in asked.items() if v is not None and k != "grow"}
    node |= sizes | {"num_classes": 10}
    made = updater_of(job, memory, ten_classes(), columns)
    model = build(node, "model", trust=plain["trust"]).to(device)
    columns = second_update(updater, made.to(device), model, columns)

    return Setting(job, case, updater, device, columns, memory, made, model)


def ten_classes() -> Classification:
    problem = Classification()
    problem.restore(list(range(10)), {})
    return problem


def ours(at: Setting) -> None:
    measure = measure_of(at.job, at.device, ten_classes(), at.made.criterion)
    batches = renate.jobs.fit.batches_of(at.job, at.columns, at.device, 1, own=False)
    renate.jobs.fit.fit(at.job, at.model, at.made, batches, None, measure, 1)


def bare(at: Setting, recorded: Recorded) -> dict[str, Tensor]:
    """The floor: a loop as one would write it by hand, everything on the device from the start.

    Returns:
        What it ends with besides the model's weights, see `Floor.ended`.
    """
    model = at.model
    size = at.case.batch
    rows = len(at.columns["targets"])
    buffer = Buffer(recorded, at.device, capacity_of(at.updater, rows))
    buffer.add_all(at.memory.columns() if len(at.memory) else {})
    generator = torch.Generator().manual_seed(derive(at.job.config["seed"], "shuffle", 1))
    order = torch.randperm(rows, generator=generator).to(at.device)
    columns: Any = {name: column.to(at.device) for name, column in at.columns.items()}
    all_inputs = columns["inputs"]
    all_targets = columns["targets"]
    model.train()

    floor = FLOORS[at.updater](model, buffer, size, at.made)
    floor.columns = columns
    optimizer = torch.optim.SGD(floor.trained, lr=LR) if floor.trained else None
    for index in torch.split(order, size):
        CLOCK.stamp()
        raw = all_inputs.index_select(0, index)
        floor.index = index
        loss = floor.loss(raw, all_targets.index_select(0, index))
        if optimizer is None:  # nothing is trained by gradients
            continue

        optimizer.zero_grad()
        loss.backward()
        floor.after_backward()
        optimizer.step()
        floor.after_step()

    CLOCK.stamp(last=True)
    return floor.ended()


def timed(run: Callable[[], object], device: torch.device, skip: int) -> np.ndarray[Any, Any]:
    global CLOCK
    CLOCK = Clock(device, skip)
    run()
    return CLOCK.steps()


def row(name: str, updater: str, folder: Path, repeats: int, device: torch.device) -> str:
    at, other = (setting(name, updater, folder, device) for _ in range(2))
    case = at.case
    recorded = Recorded(draw_of(updater, case.batch))
    recorded.listen(at.memory)
    ours(at)
    ended = bare(other, recorded)
    check_alike(f"{name}, {updater}", at, ended | dict(other.model.state_dict()))

    skip = 20 if case.steps > 100 else 2
    times: dict[str, list[Any]] = {"bare": [], "ours": []}

    for _ in range(repeats if case.steps > 100 else max(4, repeats // 2)):
        floor, mine = (setting(name, updater, folder, device) for _ in range(2))
        times["bare"].append(timed(lambda floor=floor: bare(floor, recorded), device, skip))
        times["ours"].append(timed(lambda mine=mine: ours(mine), device, skip))

    low = {key: np.percentile(np.concatenate(t), 10) for key, t in times.items()}
    ratios = np.array(
        [np.median(b) / np.median(a) for a, b in zip(times["bare"], times["ours"], strict=True)]
    )
    quartiles = np.percentile(ratios, [25, 50, 75])

    return (
        f"| {name} | {updater} | {low['bare']:.3f} | {low['ours']:.3f} | "
        f"{low['ours'] / low['bare']:.2f} "
        f"| {quartiles[1]:.2f} [{quartiles[0]:.2f}, {quartiles[2]:.2f}] | {case.target} |"
    )


def check_alike(where: str, at: Setting, ended: dict[str, Tensor]) -> None:
    """Assert that ours ended as the floor did: in the model's weights, and in what it names of the
    updater's and the memory's.
    """
    memory = {f"memory.{name}": column for name, column in at.memory.columns().items()}
    found: Any = memory | dict(at.made.state_dict()) | dict(at.model.state_dict())
    for key, theirs in ended.items():
        mine = found[key].detach().cpu().double()
        apart = float((mine - theirs.detach().cpu().double()).abs().max())
        most = ALIKE * float(mine.abs().max())
        assert apart <= most, f"{where}: the two did different work, {key} is {apart:.2g} apart"


def finish_row(name: str, updater: str, folder: Path, device: torch.device) -> str:
    """What an updater does once, at the end of an update, beside an epoch of steps."""
    at = setting(name, updater, folder, device)
    at.made.test_transform = transform(at.job, "test", device)
    epoch = seconds(lambda: ours(at), device)
    at.model.to(device)
    at.made.to(device)
    finish = seconds(lambda: at.made.finish(at.model, at.columns), device)
    rows = len(at.columns["targets"])
    return f"| {name} | {updater} | {rows:,} | {epoch:.2f} | {finish:.2f} | {finish / epoch:.2f} |"


def seconds(run: Callable[[], None], device: torch.device) -> float:
    """CPU time, or of a GPU wall time."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    began = clock()
    run()
    if device.type != "cpu":
        torch.cuda.synchronize()
    return clock() - began


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument(
        "--only", default=DEFAULT, help=f"separated by semicolons, of {'; '.join(CASES)}"
    )
    parser.add_argument("--updaters", default="er,derpp", help=f"all, or of {','.join(FLOORS)}")
    parser.add_argument(
        "--finish", default="", help="whose end of an update is timed: ewc,mas,icarl"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS / "step_time.md")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    updaters = list(FLOORS) if asked.updaters == "all" else asked.updaters.split(",")
    if odd := [each for each in updaters if each not in FLOORS]:
        parser.error(f"--updaters {odd[0]}: there is no floor; there are {', '.join(FLOORS)}")

    torch.set_num_threads(1)
    torch.backends.cudnn.deterministic = True  # else no two runs end in the same weights
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    renate.jobs.fit.Batches = Stamped  # type: ignore[attr-defined]
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{os.cpu_count()} cores"
    unit = "CPU ms per step at one thread" if device.type == "cpu" else "wall ms per step"
    lines = [
        "# Time of a training step",
        "",
        f"`python benchmarks/step_time.py --device {device}`: {unit}, ours (`renate.jobs.fit`) "
        "against a bare loop of",
        f"plain PyTorch that ends in the same weights; {asked.repeats} interleaved repeats.",
        "Whole commands beside other libraries: `end_to_end.md`.",
        "",
        f"Python {platform.python_version()}, torch {version('torch')}, {where}.",
        "",
        "| model, batch | updater | bare p10 | ours p10 | ratio p10 | paired median [quartiles] | "
        "target |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]

    with tempfile.TemporaryDirectory() as folder:
        for name in asked.only.split(";"):
            for updater in updaters:
                if case_of(name.strip(), updater) is None:
                    continue
                lines.append(row(name.strip(), updater, Path(folder), asked.repeats, device))
                print(lines[-1], flush=True)

        if asked.finish:
            lines += [
                "",
                "What comes once, at the end of an update (EWC's Fisher, MAS's importance, iCaRL's "
                "herding), beside an epoch:",
                "",
                "| model, batch | updater | examples | epoch, s | end, s | share of an epoch |",
                "| --- | --- | --- | --- | --- | --- |",
            ]
        for name in asked.only.split(";"):
            for updater in filter(None, asked.finish.split(",")):
                lines.append(finish_row(name.strip(), updater, Path(folder), device))
                print(lines[-1], flush=True)

    asked.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
