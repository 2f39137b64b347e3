"""`renate jobs ls | show | rm | logs | stop | wait`: jobs of a run directory, or those of
another backend.
"""

import argparse
import shutil
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.table import Table

from renate.cli.counts import count_of
from renate.errors import JobError, nearest, printable_lines
from renate.jobs.directory import JobDirectory, Json, read_json
from renate.jobs.identity.already import is_gone
from renate.jobs.records import UNFINISHED, JobRecord, JobResult
from renate.launchers.base import ComposedJob
from renate.launchers.composing.session import launcher_class
from renate.launchers.links import link_latest
from renate.launchers.local import running
from renate.launchers.sweeps.sweep_table import row
from renate.launchers.terminal import report
from renate.launchers.terminal.console import cell, relative, stdout
from renate.launchers.terminal.tables import matrix
from renate.tuning.on_disk.sweep_folder import trials_of
from renate.tuning.on_disk.sweep_record import RECORD, SweepRecord

MOST = 50  # jobs of another backend that are listed, where nothing else is said
HERE = "local"  # the backend whose jobs are known by their directories


def run(argv: list[str]) -> None:
    """The verb."""
    asked = _parser().parse_args(argv)
    if asked.verb == "show":
        show(find(asked.run_dir, asked.job))
    elif asked.verb == "rm":
        for job in [find(asked.run_dir, name) for name in asked.job]:
            remove(asked.run_dir, job)
    elif asked.backend == HERE:
        _here(asked)
    else:
        _submitted(asked)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="renate jobs", description="The jobs of a run directory, or of another backend."
    )
    run_dir: Json = {"type": Path, "help": "as run_dir; default ./runs"}
    parser.add_argument("--run-dir", default=Path("runs"), **run_dir)
    verbs = parser.add_subparsers(dest="verb", required=True)

    for name, text in {
        "ls": "a line each: overrides, metric, status, time",
        "show": "config, reports and result of one; of a sweep, its trials",
        "rm": "delete jobs or sweeps and what they hold",
        "logs": "what one has reported and printed",
        "stop": "ask one to end; the same command goes on from its last checkpoint",
        "wait": "follow one to its end, as the command that started it",
    }.items():
        verb = verbs.add_parser(name, help=text, description=text)
        # Before the verb or after it.
        verb.add_argument("--run-dir", default=argparse.SUPPRESS, **run_dir)
        if name != "ls":
            count = "+" if name == "rm" else None
            verb.add_argument("job", nargs=count, help="an id, a training job, or latest")
        if name in ("show", "rm"):
            continue

        verb.add_argument(
            "--backend", default=HERE, help="where it runs, as backend=; default local"
        )
        verb.add_argument(
            "--region", help="of SageMaker; default: the profile's, or AWS_DEFAULT_REGION"
        )
        if name == "ls":
            text = "so many of the newest jobs alone; default: all here, 50 of another backend"
            verb.add_argument("--last", type=count_of("--last"), help=text)
        if name == "logs":
            verb.add_argument("--follow", action="store_true", help="until its end")

    return parser


def _here(asked: argparse.Namespace) -> None:
    if asked.verb == "ls":
        ls(asked.run_dir, asked.last)
        return

    directory = find(asked.run_dir, asked.job)
    if (directory.path / RECORD).exists():
        _refuse_sweep(directory)
    if asked.verb == "logs":
        _print(running.lines(directory, follow=asked.follow))
    elif asked.verb == "stop":
        print(running.stop(directory))
    else:
        job, result = running.wait(directory)
        _end(job, result)
        if result.completed and is_gone(result, job.id):
            url = relative(result.url)
            raise JobError(f"version {result.version} is gone from {url}: its command makes it")


def _refuse_sweep(directory: JobDirectory) -> None:
    """Raises JobError: only jobs can be followed and stopped here."""
    name = directory.path.name
    if (directory.path / "job.json").exists():
        backend = directory.record.backend or "…"
        raise JobError(f"{name}: a sweep that was submitted: add --backend {backend}")

    raise JobError(
        f"{name}: a sweep, which its own command shows and Ctrl-C ends; name a job of it"
    )


def _submitted(asked: argparse.Namespace) -> None:
    jobs = launcher_class(asked.backend).submitted(asked.region)
    if asked.verb == "ls":
        table = Table(*jobs.columns, box=None, pad_edge=False)
        for words in jobs.rows(asked.last or MOST):
            table.add_row(*map(cell, words))

        if table.row_count:
            stdout().print(table)
        else:
            print(jobs.nothing)
    elif asked.verb == "logs":
        _print(jobs.lines(asked.job, follow=asked.follow))
    elif asked.verb == "stop":
        print(jobs.stop(asked.job))
    else:
        _end(*jobs.wait(asked.job, asked.run_dir))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(printable_lines(line), flush=True)


def _end(job: ComposedJob, result: JobResult) -> None:
    """As the command's: outcome and exit code.

    Raises:
        JobError: The job failed.
    """
    link_latest(job.directory.path)
    report.outcome([(job, result)])
    if result.failed:
        raise JobError(result.reason)


def find(run_dir: Path, name: str) -> JobDirectory:
    """The job of that id, or `latest`, or at that path."""
    for path in (run_dir / name, Path(name)):
        if (path / "job.json").is_file() or (path / RECORD).is_file():
            return JobDirectory(path.resolve())
    ids = [p.parent.name for name in ("job.json", RECORD) for p in run_dir.glob(f"*/{name}")]
    raise JobError(f"{run_dir}: no job '{name}'{nearest(name, ids)}")


def ls(run_dir: Path, last: int | None) -> None:
    """A line for each job and sweep of a run directory, or for the newest `last` of them."""
    columns = ["job", "overrides", "status", "objective", "version", "seconds", "started"]
    found = [
        p.parent
        for name in ("job.json", RECORD)
        for p in run_dir.glob(f"*/{name}")
        if not p.parent.is_symlink()
    ]
    found = list(dict.fromkeys(found))  # a sweep that was a job is both
    listed = [(path, _listed(path)) for path in found]
    listed = sorted(listed, key=lambda pair: pair[1].created)
    if last is not None:
        listed = listed[-last:]

    said = {path: _words(record) for path, record in listed}
    if any(said.values()):
        columns.append("tags, notes")

    table = Table(*columns, box=None, pad_edge=False)
    for path, record in listed:
        result = JobDirectory(path).result or JobResult(UNFINISHED)
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.created))
        table.add_row(
            cell(record.id),
            cell(" ".join(record.overrides) or "defaults"),
            cell(result.status),
            _number(result.value),
            cell(result.version or "–"),
            _number(result.seconds, 1),
            started,
            *([cell(said[path])] if any(said.values()) else []),
        )

    if table.row_count:
        stdout().print(table)
    else:
        print(f"no jobs in {run_dir}")


def _words(record: JobRecord | SweepRecord) -> str:
    """What the user said of a job: its tags, and then its notes."""
    if isinstance(record, SweepRecord):
        return ""
    return " ".join([*(record.tags or []), *([record.notes] if record.notes else [])])


def _listed(path: Path) -> JobRecord | SweepRecord:
    """What a job, or a sweep, is."""
    if (path / RECORD).exists():
        return SweepRecord.read(path)
    return JobDirectory(path).record


def show(directory: JobDirectory) -> None:
    """Config, reports and result of a job; of a sweep, its trials."""
    if (directory.path / RECORD).exists():
        show_sweep(directory)
        return

    out = stdout()
    record = directory.record.to_json()
    result = directory.result or JobResult(UNFINISHED)
    for key in ("id", "overrides", "parent", "cwd"):
        out.print(f"{key:10s} {record.get(key)}", markup=False)

    for key in ("status", "error", "value", "version", "url", "seconds"):
        if getattr(result, key) is not None:
            out.print(f"{key:10s} {getattr(result, key)}", markup=False)

    found = _matrix_of(directory, result)
    if found is not None:
        out.print()
        out.print(matrix(" ".join(directory.record.overrides) or "defaults", [found]))

    for name, value in result.metrics.items():
        out.print(f"  {name:28s} {_number(value)}", markup=False)

    if found is None:
        out.print((directory.path / "config.yaml").read_text(), markup=False)
    else:
        out.print(f"{'config':10s} {directory.path}/config.yaml", markup=False)
    out.print(f"{len(directory.reports())} reports in {directory.path}/metrics.jsonl", markup=False)


def _matrix_of(directory: JobDirectory, result: JobResult) -> JobResult | None:
    """A stream's result, so far where it goes on; None where the job is no stream, or has no row
    yet.
    """
    if result.matrix:
        return result

    written = read_json(directory.path / "matrix.json") or {}
    metric = written.get("metric")
    if metric is None or not written.get(metric):
        return None
    return replace(result, matrix=written[metric], metric=metric, mode=written.get("mode"))


def show_sweep(directory: JobDirectory) -> None:
    """A tuner's sweep: what it is about, and its trials."""
    out = stdout()
    record = SweepRecord.read(directory.path)
    listed = record.to_json()
    result = directory.result or JobResult(UNFINISHED)
    for key in ("id", "overrides", "parent", "to", "metric", "mode"):
        out.print(f"{key:10s} {listed[key]}", markup=False)

    for key in ("status", "why", "value", "version", "best_trial"):
        if getattr(result, key) is not None:
            out.print(f"{key:10s} {getattr(result, key)}", markup=False)

    table = Table(
        "trial", "status", "epoch", record.metric, "configuration", box=None, pad_edge=False
    )
    for trial in trials_of(directory.path):
        table.add_row(*map(cell, row(trial)))

    out.print(table)


def remove(run_dir: Path, directory: JobDirectory) -> None:
    """Delete a job's directory; `latest` no longer points to it."""
    latest = run_dir / "latest"
    if latest.is_symlink() and latest.resolve() == directory.path:
        latest.unlink()
    shutil.rmtree(directory.path)
    print(f"removed {directory.path.name}")


def _number(value: Any, digits: int = 4) -> str:
    if isinstance(value, int | float):
        return f"{value:.{digits}f}"
    return "–"
