"""A grid of thousands of jobs on Ray: `python benchmarks/ray_grid.py --jobs 1000 10000`.

What the command costs that submits them: its memory and its time. The cluster is one of this
machine; jobs are real ones to all that the command does (composed, checked, packed, claimed,
handed to an actor, followed through their folders, listed at the end), but the actor answers each
with a report and a result at once, without training: what a step costs is measured elsewhere.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from exponents import head, row
from machine import write
from psutil import Error, Process

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from tests.backends.services import ray_cluster  # noqa: E402

# The command, with an actor that has nothing to do
COMMAND = """
import sys
from renate.cli import main
from renate.jobs.directory import JobDirectory
from renate.jobs.records import COMPLETED, REPORT, Event, JobResult
from renate.launchers.ray import cluster
from renate.launchers.ray.runner import Runner
from renate.launchers.remote.inside.outbox import Outbox, home_of
from renate.state.store import open_store


class Trivial(Runner):
    def _job(self, task, channel, place, cwd, environment):
        outbox = Outbox(open_store(home_of(JobDirectory(channel))), task.name)
        metrics = {"val_accuracy": 0.5, "epoch": 1, "step": 1}
        outbox.put(Event(REPORT, "epoch 1", metrics=metrics))
        outbox.close(JobResult(COMPLETED, value=0.5, metrics=metrics))
        return ""


cluster.Runner = Trivial
main(sys.argv[1:])
"""
# The command alone: a job has ended when it is begun
COMPOSING = """
import json, resource, sys, time
from concurrent.futures import Future
from renate.cli import main
from renate.jobs.records import COMPLETED, JobResult
from renate.launchers.composing.launcher import HydraLauncher

took = {}


def start(self, job):
    took.setdefault("CPU s until the first job begins", time.process_time())
    assert job.record.id
    took["CPU s until all have begun"] = time.process_time()
    done = Future()
    done.set_result(JobResult(COMPLETED, value=0.5, metrics={"val_accuracy": 0.5}))
    return done


HydraLauncher.start = start
main(sys.argv[1:])
took["CPU s of the command"] = time.process_time()
took["MB of memory, at most"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(json.dumps(took))
"""
QUICK = ["model.hidden_sizes=[8]", "data.limit=200", "trainer.max_epochs=1", "report=none"]
POLL = "backend.poll=0.5"
MARKS = (1, 100, 300, 1_000, 3_000)  # finished jobs at which the memory is noted as well
COMPOSED = (300, 1_000, 3_000, 10_000)  # jobs of a grid that are composed and begun, no more


class Grid:
    """One grid that runs, and the memory of the command that submits it.

    Args:
        jobs: How many it has.
        folder: Doesn't exist.
        address: Of the cluster.
    """

    def __init__(self, jobs: int, folder: Path, address: str) -> None:
        folder.mkdir()
        (folder / "grid.py").write_text(COMMAND)
        where = ["backend=ray", f"backend.address={address}", "backend.workers=2"]
        self.jobs = jobs
        self.folder = folder
        self.began = time.monotonic()
        self.most = 0.0
        self.marks: list[tuple[int, float, float]] = []
        with (folder / "said.txt").open("w") as said:
            self.process = subprocess.Popen(
                [sys.executable, "grid.py", *QUICK, f"seed=range({jobs})", *where, POLL],
                cwd=folder,
                stdout=said,
                stderr=said,
            )

    def run(self, minutes: float) -> None:
        """To its end, or until so many minutes are over; then it is told to end."""
        about = Process(self.process.pid)
        while self.process.poll() is None:
            with suppress(Error):  # it has just ended
                self.most = max(self.most, about.memory_info().rss / 1e6)
            if len(self.marks) < len(MARKS) and self.finished() >= MARKS[len(self.marks)]:
                self.mark()
            if self.seconds() > minutes * 60:
                self.mark()
                self.process.terminate()
                self.process.wait(120)
                return

            time.sleep(0.2)

        assert self.process.returncode == 0, (self.folder / "said.txt").read_text()[-2000:]
        assert self.finished() == self.jobs, (self.finished(), self.jobs)
        if not self.marks or self.marks[-1][0] != self.jobs:
            self.mark()

    def seconds(self) -> float:
        """Since it was begun."""
        return time.monotonic() - self.began

    def mark(self) -> None:
        """Note how many are finished, the memory so far, and the seconds."""
        self.marks.append((self.finished(), self.most, self.seconds()))

    def finished(self) -> int:
        """Jobs whose result is here."""
        runs = self.folder / "runs"
        if not runs.exists():
            return 0
        # Folders of jobs are named by a hash; `latest` is a link to one of them
        return sum(1 for path in runs.glob("*/result.json") if not path.parent.is_symlink())

    def rows(self) -> list[str]:
        """Of the table."""
        lines = []
        for finished, most, seconds in self.marks:
            said = f"{finished:,} of {self.jobs:,}"
            if (finished, most, seconds) == self.marks[-1] and finished < self.jobs:
                said += ", where it was broken off"
            rate = finished / seconds * 60
            lines.append(f"| {said} | {most:.0f} MB | {seconds / 60:.1f} | {rate:.0f} |")

        return lines


def composing(folder: Path) -> list[str]:
    """The table of what the command itself costs."""
    folder.mkdir()
    (folder / "grid.py").write_text(COMPOSING)
    costs = []
    for jobs in COMPOSED:
        command = [sys.executable, "grid.py", *QUICK, f"seed=range({jobs})"]
        done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        costs.append(json.loads(done.stdout.splitlines()[-1]))
        print(jobs, costs[-1], flush=True)

    why = {"CPU s until the first job begins": "up to 500 jobs all are composed before"}
    rows = [
        row(name, COMPOSED, [cost[name] for cost in costs], why.get(name, "")) for name in costs[0]
    ]
    return ["", "The command alone, whose jobs end when they begin:", "", *head("figure"), *rows]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument(
        "--minutes", type=float, default=600, help="of each grid; then it is broken off"
    )
    asked = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)

    table = [
        "| finished jobs | the command's memory, at most | minutes | jobs a minute |",
        "| --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as where, ray_cluster.ray_cluster() as cluster:
        for jobs in asked.jobs:
            grid = Grid(jobs, Path(where) / str(jobs), cluster.address)
            grid.run(asked.minutes)
            table += grid.rows()
            print("\n".join(grid.rows()), flush=True)

    with tempfile.TemporaryDirectory() as where:
        table += composing(Path(where) / "alone")

    text = "a sweep over `seed`, two actors, jobs without training; the machine was shared."
    write("ray_grid", "A grid on Ray", text, table)


if __name__ == "__main__":
    main()
