"""A grid of thousands of jobs on Ray: `python benchmarks/ray_grid.py --jobs 1000 10000`.

What the command costs that submits them: its memory and its time. The cluster is one of this
machine; jobs are real ones to all that the command does (composed, checked, packed, claimed,
handed to an actor, followed through their folders, listed at the end), but the actor answers each
with a report and a result at once, without training: what a step costs is measured elsewhere.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import write
from psutil import Process

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
QUICK = ["model.hidden_sizes=[8]", "data.limit=200", "trainer.max_epochs=1", "report=false"]


def grid(jobs: int, folder: Path, address: str) -> tuple[float, float]:
    """Run a grid; return the most memory of the command, in MB, and its seconds."""
    folder.mkdir()
    (folder / "grid.py").write_text(COMMAND)
    words = [*QUICK, f"seed=range({jobs})", "backend=ray", f"backend.address={address}"]
    began = time.monotonic()
    with (folder / "said.txt").open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "grid.py", *words, "backend.workers=2", "backend.poll=0.5"],
            cwd=folder,
            stdout=said,
            stderr=said,
        )
    most = 0.0
    about = Process(process.pid)
    while process.poll() is None:
        most = max(most, about.memory_info().rss / 1e6)
        time.sleep(0.2)
    seconds = time.monotonic() - began
    assert process.returncode == 0, (folder / "said.txt").read_text()[-2000:]
    results = sum(1 for _ in (folder / "runs").glob("*/result.json")) - 1  # latest is a link
    assert results == jobs, (results, jobs)
    return most, seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, nargs="+", default=[100, 1000, 10_000])
    asked = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)

    table = [
        "| jobs | the command's memory, at most | minutes | jobs a minute |",
        "| --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as where, ray_cluster.ray_cluster() as cluster:
        for jobs in asked.jobs:
            most, seconds = grid(jobs, Path(where) / str(jobs), cluster.address)
            rate = jobs / seconds * 60
            table.append(f"| {jobs:,} | {most:.0f} MB | {seconds / 60:.1f} | {rate:.0f} |")
            print(table[-1], flush=True)

    text = "a sweep over `seed`, two actors, jobs without training; the machine was shared."
    write("ray_grid", "A grid on Ray", text, table)


if __name__ == "__main__":
    main()
