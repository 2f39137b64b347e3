"""Clusters that lose what runs: `python benchmarks/cluster_kills.py --ray 50 --slurm 20`.

On Ray, workers and raylets are killed at random moments of short updates; on SLURM, jobs are queued
again and nodes are lost. Each update must end bit for bit like one that nobody disturbed, be
published once, and have told of each epoch once. Where a training process itself dies its job
fails in one line, as anywhere; then the same command is given again, and only then: nothing else
may let a command fail. Last, a node of each is killed under a tuner's trials: those that had
finished aren't trained again.

It starts both clusters itself, on this machine, as the tests do: SLURM's packages, root, and the
extra [ray].
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from machine import RESULTS, write
from psutil import NoSuchProcess, Process

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from renate.state.versions import State  # noqa: E402
from renate.tuning.on_disk.trial_history import read  # noqa: E402
from tests.backends.services import ray_cluster, slurm  # noqa: E402

RENATE = [sys.executable, "-m", "renate"]
EPOCHS = 16
OWN = """
import time
import pytorch_lightning as pl


class Slow(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        time.sleep(0.25)
"""
UPDATE = [
    f"trainer.max_epochs={EPOCHS}",
    *["model.hidden_sizes=[8]", "data.limit=200", "trainer.checkpoint_every=0.3"],
    *["+callbacks.slow._target_=own.Slow", "state.url=./state", "state.first=true"],
]
TRIALS = 5
SWEEP = [
    *["search_space=lr", "tuner=random", f"tuner.max_trials={TRIALS}", "tuner.order=fixed"],
    *[*UPDATE[1:], "trainer.max_epochs=4", "backend.workers=1"],
]
AT_MOST = 4  # kills of one update
TRAINING = "training process"  # the only kill that lets a command fail
WITHIN = 400.0  # seconds that an update or a sweep may take, whatever is killed
Expected = tuple[dict[str, str], list[dict[str, str]]]  # of an update, of a sweep's trials
Kill = Callable[[], bool]  # does it; False where there was nothing to kill


class Ours:
    """One command in a folder of its own, given again until it ends well.

    Args:
        folder: Doesn't exist.
        words: Of the command.
    """

    def __init__(self, folder: Path, words: list[str]) -> None:
        folder.mkdir()
        (folder / "own.py").write_text(OWN)
        self.folder = folder
        self.words = words
        self.given = 0
        self.last = ""

    def start(self) -> None:
        """Give the command."""
        self.given += 1
        with (self.folder / "said.txt").open("a") as said:
            self.process = subprocess.Popen(
                [*RENATE, *self.words], cwd=self.folder, stdout=said, stderr=said
            )

    def is_over(self) -> bool:
        """Whether it ended well; where it failed it is given again."""
        code = self.process.poll()
        if code is None:
            return False
        if code == 0:
            return True
        if self.given > 40:
            raise SystemExit(f"{self.folder}: {(self.folder / 'said.txt').read_text()[-3000:]}")
        self.start()
        return False

    def epochs(self) -> int:
        """How many epochs the job has told of."""
        found = (self.folder / "runs").glob("*/metrics.jsonl")
        return sum(len(p.read_text().splitlines()) for p in found if p.parent.name != "latest")


class Moment:
    """A random one: three times in four in the midst of training, else whenever it is."""

    def __init__(self, ours: Ours, draw: random.Random) -> None:
        self.ours = ours
        self.epochs = ours.epochs() + draw.randint(1, 4) if draw.random() < 0.75 else 0
        self.pause = draw.uniform(0, 0.3) if self.epochs else draw.uniform(0.3, 8)
        self.when: float | None = None

    def has_come(self) -> bool:
        """Whether it is there."""
        if self.ours.epochs() >= self.epochs and self.when is None:
            self.when = time.monotonic() + self.pause
        return self.when is not None and time.monotonic() >= self.when


def undisturbed(folder: Path) -> Expected:
    """What an update ends with on this machine, and the trials of a sweep."""
    alone = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "RAY"))}
    for name, words in (("update", UPDATE), ("sweep", SWEEP)):
        (folder / name).mkdir()
        (folder / name / "own.py").write_text(OWN)
        command = [*RENATE, *words]
        subprocess.run(command, cwd=folder / name, env=alone, check=True, capture_output=True)
    return weights(folder / "update"), trials(folder / "sweep")


def weights(folder: Path) -> dict[str, str]:
    """Every byte that an update leaves of model, updater and memory; it is published once."""
    state = State(str(folder / "state"))
    assert state.versions() == [1], (folder, state.versions())
    files = state.verify().files
    return {name: blob.sha256 for name, blob in files.items() if name.endswith(".safetensors")}


def trials(folder: Path) -> list[dict[str, str]]:
    """What the state remembers of a sweep's trials."""
    state = State(str(folder / "state"))
    rows = read(state, state.verify())
    return [{k: v for k, v in row.items() if k not in ("seconds", "sweep")} for row in rows]


def check(ours: Ours, expected: dict[str, str]) -> None:
    """An update that was disturbed ended like one that wasn't."""
    assert weights(ours.folder) == expected, ours.folder
    (job,) = {p.resolve() for p in (ours.folder / "runs").glob("*/metrics.jsonl")}
    steps = [json.loads(line)["step"] for line in job.read_text().splitlines()]
    assert steps == sorted(set(steps)), (ours.folder, steps)
    assert len(steps) == EPOCHS, (ours.folder, steps)


def updates(
    folder: Path,
    words: list[str],
    kinds: dict[str, Kill],
    most: tuple[int, float],
    expected: dict[str, str],
) -> tuple[Counter[str], int, int]:
    """Disturb one update after another.

    Args:
        folder: Takes theirs.
        words: Of the command, that choose the cluster.
        kinds: What may be done to it, by name.
        most: How many kills, and how many minutes after which no further update begins.
        expected: What each must end with.

    Returns:
        Kills by kind, updates, and how often a command had to be given again.
    """
    count, minutes = most
    draw = random.Random(0)
    hits: Counter[str] = Counter()
    number = 0
    again = 0
    until = time.monotonic() + minutes * 60
    while sum(hits.values()) < count and time.monotonic() < until:
        number += 1
        fatal = hits[TRAINING]
        ours = Ours(folder / f"update-{number}", [*UPDATE, *words])
        ours.start()
        end = time.monotonic() + WITHIN
        killed_here = 0
        moment = Moment(ours, draw)
        while not ours.is_over():
            assert time.monotonic() < end, (ours.folder, "it doesn't end")
            time.sleep(0.05)
            if killed_here == AT_MOST or sum(hits.values()) >= count or not moment.has_come():
                continue
            kind = draw.choice([*kinds])
            if kinds[kind]():
                killed_here += 1
                hits[kind] += 1
                end = time.monotonic() + WITHIN
            moment = Moment(ours, draw)
        check(ours, expected)
        fatal = hits[TRAINING] - fatal
        assert ours.given - 1 <= fatal, (ours.folder, "a command failed that nothing should stop")
        again += ours.given - 1
        print(f"update {number}: {dict(hits)}, {again} commands given again", flush=True)
    return hits, number, again


def sweep(folder: Path, words: list[str], kill: Kill, expected: list[dict[str, str]]) -> str:
    """A node is killed under a tuner; returns how many trials had finished, and what became of
    them.
    """
    ours = Ours(folder / "sweep", [*SWEEP, *words])
    ours.start()
    end = time.monotonic() + WITHIN
    done: set[str] = set()
    while len(done) < 2 or not kill():
        assert time.monotonic() < end, "nothing to kill"
        time.sleep(0.2)
        done = {path.parent.name for path in finished(ours.folder)}
    while not ours.is_over():
        assert time.monotonic() < end, "it doesn't end"
        time.sleep(0.2)

    assert trials(ours.folder) == expected
    attempts = {name: len(list(attempts_of(ours.folder, name))) for name in done}
    assert set(attempts.values()) == {1}, attempts
    return f"{len(done)} of {TRIALS}"


def finished(folder: Path) -> Iterator[Path]:
    """Results of trials that have ended well, in their folders here."""
    for path in (folder / "runs").glob("sweep-*/*/result.json"):
        if json.loads(path.read_text())["status"] == "completed":
            yield path


def attempts_of(folder: Path, trial: str) -> Iterator[Path]:
    """Each submission of a trial that any folder of jobs knows."""
    for record in (folder / "runs").glob(f"sweep-*/{trial}/job.json"):
        name = json.loads(record.read_text())["id"]
        yield from (folder / "runs").glob(f"*/jobs/{name}/attempts/*.json")


def below(pid: int, word: str) -> list[Process]:
    """Processes that descend from one and have a word in their command."""
    found = []
    for each in Process(pid).children(recursive=True):
        try:
            if word in " ".join(each.cmdline()):
                found.append(each)
        except NoSuchProcess:
            continue
    return found


def killed(word: str) -> bool:
    """Kill one process of the cluster, which this process has started."""
    for each in below(os.getpid(), word):
        try:
            each.send_signal(signal.SIGKILL)
        except NoSuchProcess:
            continue
        return True
    return False


def on_ray(folder: Path, most: tuple[int, float], expected: Expected) -> str:
    """The rows of Ray."""
    folder.mkdir()
    with ray_cluster.ray_cluster() as cluster:

        def lose_node() -> bool:
            if not below(os.getpid(), "ray::Runner"):
                return False
            cluster.lose_node()
            return True

        words = ["backend=ray", f"backend.address={cluster.address}", "backend.retries=60"]
        kinds = {
            "raylet, with all on its node": lose_node,
            "actor": lambda: killed("ray::Runner"),
            TRAINING: lambda: killed("renate.jobs --serve"),
        }
        hits, number, again = updates(folder, words, kinds, most, expected[0])
        kept = sweep(folder, words, lose_node, expected[1])
    return rows("Ray", hits, number, again, kept)


def on_slurm(folder: Path, most: tuple[int, float], expected: Expected) -> str:
    """The rows of SLURM."""
    folder.mkdir()
    (folder / "cluster").mkdir()
    with slurm.cluster(folder / "cluster") as cluster:
        os.environ["SLURM_CONF"] = str(cluster.folder / "slurm.conf")

        def queue_again() -> bool:
            for number in cluster.running():
                try:
                    cluster.asked("scontrol", "requeue", number)
                except subprocess.CalledProcessError:  # it has just ended
                    return False
                return cluster.hasten(number)
            return False

        def lose_node() -> bool:
            return any(cluster.lose_node_of(number) for number in cluster.running()[:1])

        words = ["backend=slurm", "backend.poll=0.5"]
        kinds = {"queued again": queue_again, "node, with all on it": lose_node}
        hits, number, again = updates(folder, words, kinds, most, expected[0])
        kept = sweep(folder, words, lose_node, expected[1])
    return rows("SLURM", hits, number, again, kept)


def rows(name: str, hits: Counter[str], number: int, again: int, kept: str) -> str:
    """The table's rows of one cluster."""
    kinds = "; ".join(f"{count} × {kind}" for kind, count in sorted(hits.items()))
    total = sum(hits.values())
    return f"| {name} | {total}: {kinds} | {number} | {number} | {again} | {kept}, none again |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ray", type=int, default=50, help="kills; 0: leave it out")
    parser.add_argument("--slurm", type=int, default=20)
    parser.add_argument(
        "--minutes", type=float, default=600, help="of each: no update begins later"
    )
    parser.add_argument("--folder", type=Path, help="kept; by default a temporary one")
    asked = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)

    table = []
    with tempfile.TemporaryDirectory() as where:
        folder = (asked.folder or Path(where)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        expected = undisturbed(folder)
        if asked.slurm:
            table.append(on_slurm(folder / "slurm", (asked.slurm, asked.minutes), expected))
            print(table[-1], flush=True)
        if asked.ray:
            table.append(on_ray(folder / "ray", (asked.ray, asked.minutes), expected))
            print(table[-1], flush=True)

    head = [
        "| cluster | kills | updates | equal to the undisturbed one, published once | commands "
        "given again | trials that had finished when a sweep's node was killed |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    text = (
        f"short updates of {EPOCHS} epochs, disturbed at random moments with seed 0; a difference "
        "would have ended it. A command is given again where a training process itself was killed."
    )
    write("cluster_kills", "Clusters that lose what runs", text, [*head, *kept_of(table), *table])


def kept_of(table: list[str]) -> list[str]:
    """The rows of clusters that were left out this time, as they were."""
    new = {row.split()[1] for row in table}
    known = RESULTS / "cluster_kills.md"
    lines = known.read_text().splitlines() if known.exists() else []
    rows = [line for line in lines if line.startswith(("| Ray ", "| SLURM "))]
    return [row for row in rows if row.split()[1] not in new]


if __name__ == "__main__":
    main()
