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

CAPACITY = 500
LR = 0.05
# Whose steps have a batch of past examples, as large as that of new ones
REPLAYS = (
    *("er", "er_ace", "der", "derpp", "cls_er", "agem"),
    *("weighted_er", "weighted_derpp", "offline_er", "fdr"),
)
# Whose memory is filled after an update, and so has something from the beginning of the next
FILLED = ("agem", "gem", "offline_er", "fdr")
FLOORS: dict[str, type[Floor]] = OF_STEPS | OF_REPLAY
# What copies skip by chance would be a second thing to record
ARGUMENTS: dict[str, dict[str, float]] = {
    "der": {"alpha": 0.3},
    "derpp": {"alpha": 0.3, "beta": 0.5},
    # With a margin a step is no continuous function of the gradients, and rounding decides
    "gem": {"margin": 0.0},
    "cls_er": {"plastic_frequency": 1.0, "stable_frequency": 1.0},
}
# Those that are none of conf/model
MODELS = {
    "transformer": [
        "model=torch_module",
        "model._target_=rows_transformer.RowsTransformer",
        "+model.input_shape=null",
        "+model.num_classes=null",
        "trust=[rows_transformer]",
    ]
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
}
DEFAULT = "mlp, 10 + 10;mlp, 128 + 128;resnet18, 32 + 32"


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
    case = CASES[name]
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
            *([f"memory.capacity={CAPACITY}"] if updater != "joint" else []),
            *(
                f"updater={updater}",
                f"trainer.accelerator={device.type}",
            ),
            *(f"updater.{key}={value}" for key, value in ARGUMENTS.get(updater, {}).items()),
            *([f"updater.replay_batch_size={case.batch}"] if updater in REPLAYS else []),
            *more,
        ]
    )
    launcher.close()
    plain: Any = OmegaConf.to_container(composed_job.config, resolve=True)
    directory = JobDirectory(folder / "job")
    directory.path.mkdir(exist_ok=True)
    job = Job(plain, "", directory, JobRecord("x", "x", (), str(folder), 0.0))
    generator = torch.Generator().manual_seed(0)
    rows = case.steps * case.batch
    columns = {
        "inputs": torch.randint(256, (rows, *case.shape), generator=generator, dtype=torch.uint8),
        "targets": torch.randint(10, (rows,), generator=generator),
    }
    if updater == "icarl":  # its teacher answers for classes that the new data haven't
        columns["targets"] = 5 + columns["targets"] % 5

    memory = Memory(job.build("memory"), job.config["memory"].get("max_ram"))
    memory.bind(seed=1, transform=transform(job, "memory", device))
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"input_shape": case.shape}
    if case.model == "resnet18":
        sizes = {"in_channels": case.shape[0]}

    asked = arguments_in(plain["model"], plain["trust"])
    node = {k: v for k, v in asked.items() if v is not None and k != "grow"}
    node |= sizes | {"num_classes": 10}
    made = updater_of(job, memory, ten_classes(), columns)
    model = build(node, "model", trust=plain["trust"]).to(device)
    second_update(updater, made.to(device), model, columns)

    return Setting(job, case, updater, device, columns, memory, made, model)


def second_update(name: str, made: Updater, model: nn.Module, columns: Columns) -> None:
    """Let an updater begin as where there was an update before: a teacher, past examples."""
    made.setup(model)
    if hasattr(made, "seen") and made.seen.ndim:
        made.seen[:5] = True
    if name in FILLED:
        past = {name: column[:CAPACITY] for name, column in columns.items()}
        if name == "gem":
            past["update"] = torch.zeros(CAPACITY, dtype=torch.int64)
        if name == "fdr":
            past["logits"] = torch.randn(CAPACITY, 10)
        made.memory.add_columns(past)

    torch.manual_seed(1)
    made.start(model, columns)


def ten_classes() -> Classification:
    problem = Classification()
    problem.restore(list(range(10)), {})
    return problem


def ours(at: Setting) -> None:
    measure = measure_of(at.job, at.device, ten_classes(), at.made.criterion)
    batches = renate.jobs.fit.batches_of(at.job, at.columns, at.device, 1, own=False)
    renate.jobs.fit.fit(at.job, at.model, at.made, batches, None, measure, 1)


@dataclass
class Recorded:
    """What our memory drew and which slots it gave to which rows, in the order of the calls."""

    batch: int
    draws: list[Tensor] = field(default_factory=list)
    slots: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def listen(self, memory: Memory) -> None:
        assign = memory.policy.assign
        sample = memory.sample

        def assigned(ids: range, columns: Columns, size: int) -> Any:
            slots, rows = assign(ids, columns, size)
            self.slots.append((torch.tensor(slots), torch.tensor(rows)))
            return slots, rows

        def sampled(n: int) -> Batch:
            batch = sample(n)
            self.draws += batch.slots.clone().split(self.batch)  # two draws may be fetched together
            return batch

        memory.policy.assign = assigned  # type: ignore[method-assign]
        memory.sample = sampled  # type: ignore[method-assign]


class Buffer:
    """A reservoir as one would write it by hand: a tensor per column, algorithm R for a batch at a
    time.

    The random numbers are drawn and then thrown away for what was recorded: the same work, the same
    weights as ours.
    """

    def __init__(self, recorded: Recorded, device: torch.device) -> None:
        self.draws = iter(recorded.draws)
        self.slots = iter(recorded.slots)
        self.device = device
        self.columns: list[Tensor] = []
        self.seen = 0

    def add_all(self, kept: Columns) -> None:
        """Begin with what a memory has."""
        self.columns = [column.clone().to(self.device) for column in kept.values()]
        self.seen = len(next(iter(kept.values()))) if kept else 0

    def sample(self, n: int) -> list[Tensor]:
        torch.randint(min(self.seen, CAPACITY), (n,))
        index = next(self.draws).to(self.device)
        return [column.index_select(0, index) for column in self.columns]

    def add(self, *columns: Tensor) -> None:
        if not self.columns:
            self.columns = [
                torch.empty((CAPACITY, *c.shape[1:]), dtype=c.dtype, device=c.device)
                for c in columns
            ]

        n = len(columns[0])
        if self.seen >= CAPACITY:
            chosen = (torch.rand(n) * torch.arange(self.seen + 1, self.seen + n + 1)).long()
            (chosen < CAPACITY).nonzero()

        self.seen += n
        slots, rows = (part.to(self.device) for part in next(self.slots))
        if len(slots):
            for kept, column in zip(self.columns, columns, strict=True):
                kept.index_copy_(0, slots, column.index_select(0, rows))


def bare(at: Setting, recorded: Recorded) -> None:
    """The floor: a loop as one would write it by hand, everything on the device from the start."""
    model = at.model
    size = at.case.batch
    buffer = Buffer(recorded, at.device)
    buffer.add_all(at.memory.columns() if len(at.memory) else {})
    optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=LR)
    generator = torch.Generator().manual_seed(derive(at.job.config["seed"], "shuffle", 1))
    order = torch.randperm(len(at.columns["targets"]), generator=generator).to(at.device)
    all_inputs, all_targets = (at.columns[name].to(at.device) for name in ("inputs", "targets"))
    model.train()

    floor = FLOORS[at.updater](model, buffer, size, at.made)
    for index in torch.split(order, size):
        CLOCK.stamp()
        raw = all_inputs.index_select(0, index)
        loss = floor.loss(raw, all_targets.index_select(0, index))
        optimizer.zero_grad()
        loss.backward()
        floor.after_backward()
        optimizer.step()
        floor.after_step()

    CLOCK.stamp(last=True)


def timed(run: Callable[[], None], device: torch.device, skip: int) -> np.ndarray[Any, Any]:
    global CLOCK
    CLOCK = Clock(device, skip)
    run()
    return CLOCK.steps()


def row(name: str, updater: str, folder: Path, repeats: int, device: torch.device) -> str:
    recorded = Recorded(CASES[name].batch)
    case = CASES[name]
    at, other = (setting(name, updater, folder, device) for _ in range(2))
    recorded.listen(at.memory)
    ours(at)
    bare(other, recorded)
    one = at.model.cpu().state_dict()
    two = other.model.cpu().state_dict()
    for key, ours_ended in one.items():
        apart = float((ours_ended - two[key]).abs().max())
        most = ALIKE * float(ours_ended.abs().max())
        assert apart <= most, f"{name}, {updater}: the two did different work"

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
