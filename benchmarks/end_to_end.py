"""What a user waits for: whole commands by renate, by Avalanche and in plain PyTorch, which do the
same work.

`python benchmarks/end_to_end.py`, some eight minutes a repeat; Avalanche runs in an environment of
its own, which the first run makes in ~/.cache/renate-benchmarks (1.5 GB and more). Variants run in
turn within each repeat, from data that is decoded already. A renate job says when an epoch ended,
not when its first step did: that one is the report of a command of its own, with
trainer.max_steps=1.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import yaml
from machine import write
from PIL import Image

HERE = Path(__file__).parent
CACHE = Path("~/.cache/renate-benchmarks").expanduser()
BARE = [sys.executable, str(HERE / "bare.py")]
RENATE = [sys.executable, "-m", "renate"]
FIRST_STEP = "trainer.max_steps=1"
SYSTEMS = ("bare", "renate", "avalanche", "avalanche as documented")
DATA = Path(os.environ.get("RENATE_DATA", "data")).resolve()  # commands run in another folder
TOLERANCE = 0.10  # in accuracy, between systems: more means that they did different work


@dataclass(frozen=True)
class Work:
    title: str
    updater: str
    batch: int
    rotation: bool = False

    def of_script(self, tasks: int) -> list[str]:
        """The options of bare.py and peers/with_avalanche.py."""
        options = [
            f"--data={CACHE / 'mnist'}",
            f"--updater={self.updater}",
            f"--batch={self.batch}",
        ]
        return [*options, "--rotation", f"--tasks={tasks}"] if self.rotation else options

    def of_renate(self, tasks: int) -> list[str]:
        """The overrides of renate's command."""
        sizes = [f"data.batch_size={self.batch}", f"updater.replay_batch_size={self.batch}"]
        if not self.rotation:
            return [f"experiment=reproduce/s_mnist_{self.updater}", *sizes]

        angles = ",".join(str(180 * task / tasks) for task in range(tasks))
        scenario = [
            "scenario=rotation",
            "scenario.chunks=null",
            f"scenario.degrees=[{angles}]",
            "scenario.full=true",
        ]
        model = ["transform=scale", "model=mlp", "model.hidden_sizes=[100,100]"]
        replay = ["memory=reservoir", "memory.capacity=500", f"updater={self.updater}"]
        training = ["optimizer=sgd", "optimizer.lr=0.1", "trainer.max_epochs=1"]

        return [
            *(
                "job=stream",
                "data=mnist",
                "data.val_size=0",
                "objective.metric=null",
                "report=none",
            ),
            *(*scenario, *model, *replay, *training, *sizes),
        ]


WORKS = {
    "er": Work("S-MNIST, ER, 10 + 10", "er", 10),
    "derpp": Work("S-MNIST, DER++, 10 + 10 + 10", "derpp", 10),
    "er_128": Work("S-MNIST, ER, 128 + 128", "er", 128),
    "derpp_128": Work("S-MNIST, DER++, 128 + 128 + 128", "derpp", 128),
    "r_mnist": Work("R-MNIST, ER, 128 + 128", "er", 128, rotation=True),
}


@dataclass(frozen=True)
class Measured:
    """A command from its start to its end."""

    began: float
    wall: float
    cpu: float
    peak: float  # MB of all its processes together; pages that they share count in each
    output: str


@dataclass(frozen=True)
class Run:
    wall: float
    cpu: float
    peak: float
    first_step: float  # seconds from the command's start
    steps: int
    accuracy: float


@dataclass(frozen=True)
class Variant:
    work: str
    threads: str  # "default" or "one"
    system: str


Runs = dict[Variant, list[Run]]


class Bench:
    """Runs one command after the other and measures them.

    Args:
        folder: Where commands run.
        tasks: How many rotations.
        avalanche: The Python of Avalanche's environment; None where there is none.
    """

    def __init__(self, folder: Path, tasks: int, avalanche: Path | None) -> None:
        self.folder = folder
        self.tasks = tasks
        self.avalanche = avalanche
        self.peer_versions: dict[str, str] = {}
        shown = subprocess.run(
            [*RENATE, "--cfg", "job"], cwd=folder, capture_output=True, check=True, text=True
        ).stdout
        self.renate_has_threads = "threads" in yaml.safe_load(shown)["trainer"]

    def warm_up(self) -> None:
        """Fill the caches of file system and bytecode, and renate's own of decoded images."""
        self.measure(
            self.renate_command(WORKS["er"], "default", 0, self.folder / "warm", FIRST_STEP),
            "default",
        )
        self.measure([*BARE, "--help"], "default")
        if self.avalanche:
            self.measure([*self.avalanche_command(), "--help"], "default")

    def run(self, variant: Variant, seed: int) -> Run:
        work = WORKS[variant.work]
        if variant.system == "renate":
            return self.run_renate(work, variant.threads, seed)

        command = BARE
        if variant.system.startswith("avalanche"):
            command = self.avalanche_command()
        if variant.system.endswith("as documented"):
            command = [*command, "--as-documented"]

        if variant.system == "bare" and variant.threads == "one":
            command = [*command, "--threads=1"]

        command = [*command, f"--seed={seed}", *work.of_script(self.tasks)]
        measured = self.measure(command, variant.threads)
        said = json.loads(measured.output.splitlines()[-1])
        self.peer_versions |= said.get("versions", {})
        first_step = said["first_step"] - measured.began

        return Run(
            measured.wall, measured.cpu, measured.peak, first_step, said["steps"], said["accuracy"]
        )

    def run_renate(self, work: Work, threads: str, seed: int) -> Run:
        whole = Path(tempfile.mkdtemp(dir=self.folder))
        measured = self.measure(self.renate_command(work, threads, seed, whole), threads)
        result = json.loads((whole / "latest" / "result.json").read_text())

        short = Path(tempfile.mkdtemp(dir=self.folder))
        began = self.measure(
            self.renate_command(work, threads, seed, short, FIRST_STEP), threads
        ).began
        report = (short / "latest" / "metrics.jsonl").read_text().splitlines()[0]
        first_step = json.loads(report)["time"] - began

        steps = round(result["counts"]["steps"])
        accuracy = result["metrics"]["average_accuracy"]

        return Run(measured.wall, measured.cpu, measured.peak, first_step, steps, accuracy)

    def renate_command(
        self, work: Work, threads: str, seed: int, run_dir: Path, *more: str
    ) -> list[str]:
        command = [
            *RENATE,
            *work.of_renate(self.tasks),
            "resume=false",
            f"seed={seed}",
            f"run_dir={run_dir}",
            *more,
        ]
        if threads == "one" and self.renate_has_threads:
            command.append("trainer.threads=1")
        return command

    def avalanche_command(self) -> list[str]:
        return [str(self.avalanche), "-W", "ignore", str(HERE / "peers" / "with_avalanche.py")]

    def measure(self, command: list[str], threads: str) -> Measured:
        environment = os.environ | {"RENATE_DATA": str(DATA)}
        if threads == "one":
            environment["OMP_NUM_THREADS"] = "1"

        printed = self.folder / "output.txt"
        errors = self.folder / "errors.txt"
        with printed.open("w") as out, errors.open("w") as err:
            began = time.time()
            clock = time.perf_counter()
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=out, stderr=err
            )
            with peak_memory(process.pid) as peak:
                _, status, usage = os.wait4(process.pid, 0)
                wall = time.perf_counter() - clock

        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(
                f"{' '.join(command)}\nended with "
                f"{process.returncode}:\n{errors.read_text()[-2000:]}"
            )

        return Measured(
            began, wall, usage.ru_utime + usage.ru_stime, max(peak), printed.read_text()
        )


@contextmanager
def peak_memory(pid: int) -> Iterator[list[float]]:
    """Look every 50 ms at how many MB a process and its descendants hold."""
    seen = [0.0]
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            seen.append(sum(resident(process) for process in family(pid)))

    thread = threading.Thread(target=look)
    thread.start()

    try:
        yield seen
    finally:
        over.set()
        thread.join()


def family(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = file.read_text().split()
        except OSError:  # the thread has just ended
            continue
        for child in children:
            yield from family(int(child))


def resident(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:  # the process has just ended
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def busy_process(wanted: bool) -> Iterator[None]:
    """One other process that computes all the time."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if wanted else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()


def decode_mnist() -> None:
    """Keep MNIST as arrays, where bare.py and Avalanche read it; renate keeps its own."""
    folder = CACHE / "mnist"
    folder.mkdir(parents=True, exist_ok=True)

    for part in ("train", "test"):
        if (folder / f"{part}_labels.npy").exists():
            continue

        table = pq.read_table(DATA / "mnist" / f"{part}.parquet")
        images = [
            np.asarray(Image.open(io.BytesIO(cell["bytes"]))) for cell in table["image"].to_pylist()
        ]
        np.save(folder / f"{part}_images.npy", np.stack(images))
        np.save(folder / f"{part}_labels.npy", table["label"].to_numpy().astype("int64"))


def avalanche_environment() -> Path | None:
    """Return the Python that has Avalanche, made if it isn't there yet; None, and a line that
    says why, if it can't.
    """
    folder = CACHE / "avalanche"
    python = folder / "bin" / "python"
    requirements = HERE / "peers" / "avalanche.txt"
    installed = folder / "installed.txt"
    if installed.exists() and installed.read_text() == requirements.read_text():
        return python

    print(f"installing {requirements.name} into {folder}", flush=True)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            why = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
            print(f"no Avalanche here, going on without it: {why}", flush=True)
            return None

    installed.write_text(requirements.read_text())

    return python


def check(runs: Runs) -> None:
    """Exit if systems did different work."""
    for work in {variant.work for variant in runs}:
        steps: set[int] = set()
        accuracies: dict[str, list[float]] = {}
        for variant, each in runs.items():
            if variant.work == work:
                steps |= {run.steps for run in each}
                accuracies.setdefault(variant.system, []).extend(run.accuracy for run in each)

        means = {system: round(statistics.mean(values), 3) for system, values in accuracies.items()}
        if len(steps) > 1 or max(means.values()) - min(means.values()) > TOLERANCE:
            sys.exit(f"{work}: not the same work: {sorted(steps)} steps, accuracies {means}")


def table_of_runs(runs: Runs) -> list[str]:
    lines = [
        "| work | steps | threads | system | wall s [least, most] | CPU s | peak MB | first step s "
        "| accuracy % |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for variant, each in runs.items():
        walls = [run.wall for run in each]
        wall = f"{statistics.median(walls):.1f} [{min(walls):.1f}, {max(walls):.1f}]"
        cpu = statistics.median(run.cpu for run in each)
        peak = statistics.median(run.peak for run in each)
        first_step = statistics.median(run.first_step for run in each)
        accuracy = statistics.mean(run.accuracy for run in each)
        lines.append(
            f"| {WORKS[variant.work].title} | {each[0].steps:,} | {variant.threads} | "
            f"{variant.system} | {wall} "
            f"| {cpu:.1f} | {peak:.0f} | {first_step:.1f} | {100 * accuracy:.1f} |"
        )
    return lines


def table_of_ratios(runs: Runs) -> list[str]:
    """What renate takes, in what another takes: medians of the repeats' ratios."""
    lines = [
        "| renate ÷ another: work | threads | another | wall | CPU | peak memory | first step |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for variant, each in runs.items():
        ours = runs.get(replace(variant, system="renate"), [])
        if variant.system == "renate" or not ours:
            continue

        ratios = [
            statistics.median(
                getattr(a, name) / getattr(b, name) for a, b in zip(ours, each, strict=True)
            )
            for name in ("wall", "cpu", "peak", "first_step")
        ]
        cells = " | ".join(f"{ratio:.2f}" for ratio in ratios)
        lines.append(
            f"| {WORKS[variant.work].title} | {variant.threads} | {variant.system} | {cells} |"
        )

    return lines


def notes(peer_versions: dict[str, str], rotations: int) -> list[str]:
    """What a reader must know to compare."""
    packages = ("renate-cl", "torch", "pytorch-lightning", "hydra-core", "numpy")
    lines = [
        f"- {datetime.now(UTC):%Y-%m-%d}. "
        f"{', '.join(f'{name} {version(name)}' for name in packages)}.",
        "- All: an MLP of 100-100, plain SGD, a memory of 500, one epoch a task, every test set "
        "after every task.",
        f"- R-MNIST: {rotations} rotations of all 60,000 images; lr 0.1. No more, so that a repeat "
        "takes minutes.",
        "- Threads: default leaves the environment as it is; one sets OMP_NUM_THREADS=1 and what a "
        "program has itself.",
        "- First step: of renate until its report is written, by a command of its own with "
        "trainer.max_steps=1.",
        "- Peak memory: the sum over a command's processes, by resident pages every 50 ms.",
        "- bare: `benchmarks/bare.py`. It leaves nothing behind; renate's state after each task is "
        "on disk.",
    ]

    if peer_versions:
        found = ", ".join(f"{name} {number}" for name, number in peer_versions.items())
        lines += [
            f"- avalanche: `benchmarks/peers/with_avalanche.py` on {found}, Naive with "
            "ReplayPlugin and DER, from "
            "float tensors that are rotated before the first task, without loggers and without "
            "measuring training "
            "batches: less than its defaults do.",
            "- avalanche as documented: the same with `--as-documented`: its own SplitMNIST and "
            "RotatedMNIST, whose examples are transformed one by one, its default evaluator and "
            "logger.",
            "- Avalanche fills its memory after a task, so that nothing is replayed in the first; "
            "its DER++ makes one "
            "replay draw and one forward pass, where the others make two and three.",
        ]
        if "+cpu" in peer_versions["torch"]:
            lines.append(
                "- torchvision's compiled operators can't be loaded beside that build of torch; "
                "none is called, two "
                "are declared so that it can be imported."
            )

    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="er,derpp,er_128,r_mnist", help=f"of {','.join(WORKS)}")
    parser.add_argument("--systems", default=",".join(SYSTEMS))
    parser.add_argument("--threads", default="default,one")
    parser.add_argument("--tasks", type=int, default=3, help="rotations of R-MNIST")
    parser.add_argument(
        "--busy", action="store_true", help="beside another process that computes all the time"
    )
    asked = parser.parse_args()

    systems = asked.systems.split(",")
    decode_mnist()
    avalanche = None
    if any(system.startswith("avalanche") for system in systems):
        avalanche = avalanche_environment()
    if avalanche is None:
        systems = [system for system in systems if not system.startswith("avalanche")]

    runs: Runs = {
        Variant(work, threads, system): []
        for work in asked.only.split(",")
        for threads in asked.threads.split(",")
        for system in systems
    }

    with tempfile.TemporaryDirectory() as folder, busy_process(asked.busy):
        bench = Bench(Path(folder), asked.tasks, avalanche)
        bench.warm_up()
        for seed in range(asked.repeats):
            for variant, each in runs.items():
                each.append(bench.run(variant, seed))
                print(
                    seed,
                    *asdict(variant).values(),
                    {k: round(v, 2) for k, v in asdict(each[-1]).items()},
                    flush=True,
                )

    check(runs)
    name = "end_to_end_busy" if asked.busy else "end_to_end"
    beside = " With `--busy`: one other process computes all the time." if asked.busy else ""
    text = (
        f"whole commands that do the same work; medians of {asked.repeats} interleaved "
        f"repeats.{beside}"
    )
    table = [
        *table_of_runs(runs),
        "",
        *table_of_ratios(runs),
        "",
        *notes(bench.peer_versions, asked.tasks),
    ]
    write(name, "Whole commands", text, table, script="end_to_end")


if __name__ == "__main__":
    main()
