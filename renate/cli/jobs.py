"""`renate jobs ls | show | rm`: the jobs of a run directory."""

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

from rich.table import Table

from renate.errors import JobError, nearest
from renate.jobs.directory import JobDirectory
from renate.launchers.board import row
from renate.launchers.progress import stdout
from renate.tuning.winner import RECORD, record_of, trials_of


def run(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="renate jobs", description="The jobs of a run directory.")
    parser.add_argument("--run-dir", type=Path, default=Path("runs"), help="as run_dir; default ./runs")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("ls", help="a line each: overrides, metric, status, time")
    for verb, text in (
        ("show", "config, reports and result of one; of a sweep, its trials"),
        ("rm", "delete jobs or sweeps and what they hold"),
    ):
        verbs.add_parser(verb, help=text).add_argument(
            "job", nargs="+" if verb == "rm" else None, help="an id, or latest"
        )
    asked = parser.parse_args(argv)
    if asked.verb == "ls":
        ls(asked.run_dir)
    elif asked.verb == "show":
        show(find(asked.run_dir, asked.job))
    else:
        for job in [find(asked.run_dir, name) for name in asked.job]:
            remove(asked.run_dir, job)


def find(run_dir: Path, name: str) -> JobDirectory:
    """The job of that id, or `latest`, or at that path."""
    for path in (run_dir / name, Path(name)):
        if (path / "job.json").is_file() or (path / RECORD).is_file():
            return JobDirectory(path.resolve())
    ids = [p.parent.name for name in ("job.json", RECORD) for p in run_dir.glob(f"*/{name}")]
    raise JobError(f"{run_dir}: no job '{name}'{nearest(name, ids)}")


def ls(run_dir: Path) -> None:
    table = Table("job", "overrides", "status", "objective", "version", "seconds", "started", box=None, pad_edge=False)
    found = [p.parent for name in ("job.json", RECORD) for p in run_dir.glob(f"*/{name}") if not p.parent.is_symlink()]
    listed = [(p, record_of(p) if (p / RECORD).exists() else JobDirectory(p).record) for p in found]
    for path, record in sorted(listed, key=lambda pair: pair[1]["created"]):
        result = JobDirectory(path).result or {"status": "unfinished"}
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(record["created"]))
        table.add_row(
            record["id"],
            " ".join(record["overrides"]) or "defaults",
            result["status"],
            _number(result.get("value")),
            str(result.get("version") or "–"),
            _number(result.get("seconds"), 1),
            started,
        )
    if table.row_count:
        stdout().print(table)
    else:
        print(f"no jobs in {run_dir}")


def show(directory: JobDirectory) -> None:
    if (directory.path / RECORD).exists():
        show_sweep(directory)
        return
    out = stdout()
    record, result = directory.record, directory.result or {"status": "unfinished"}
    for key in ("id", "overrides", "parent", "cwd"):
        out.print(f"{key:10s} {record.get(key)}", markup=False)
    for key in ("status", "error", "value", "version", "url", "seconds"):
        if result.get(key) is not None:
            out.print(f"{key:10s} {result[key]}", markup=False)
    for name, value in (result.get("metrics") or {}).items():
        out.print(f"  {name:28s} {_number(value)}", markup=False)
    out.print((directory.path / "config.yaml").read_text(), markup=False)
    out.print(f"{len(directory.reports())} reports in {directory.path}/metrics.jsonl", markup=False)


def show_sweep(directory: JobDirectory) -> None:
    """A tuner's sweep: what it is about, and its trials."""
    out, record = stdout(), record_of(directory.path)
    result = directory.result or {"status": "unfinished"}
    for key in ("id", "overrides", "parent", "to", "metric", "mode"):
        out.print(f"{key:10s} {record[key]}", markup=False)
    for key in ("status", "why", "value", "version", "best_trial"):
        if result.get(key) is not None:
            out.print(f"{key:10s} {result[key]}", markup=False)
    table = Table("trial", "status", "epoch", record["metric"], "configuration", box=None, pad_edge=False)
    for trial in trials_of(directory.path):
        table.add_row(*row(trial))
    out.print(table)


def remove(run_dir: Path, directory: JobDirectory) -> None:
    """Delete a job's directory; `latest` no longer points to it."""
    latest = run_dir / "latest"
    if latest.is_symlink() and latest.resolve() == directory.path:
        latest.unlink()
    shutil.rmtree(directory.path)
    print(f"removed {directory.path.name}")


def _number(value: Any, digits: int = 4) -> str:
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"
