"""What a command ends with: what changed, where it is, and what to type next."""

import os
import re
import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.table import Table
from rich.tree import Tree

from renate.build import FROM_STATE
from renate.errors import printable_lines
from renate.jobs.directory import Json

from .base import command
from .compose import Job
from .progress import stdout

Outcome = Sequence[tuple[Job, Json]]


def tree(job: Job, choices: Mapping[str, str | None]) -> None:
    """Show the composed config, in a terminal only; it is saved in the job's directory anyway."""
    if not sys.stdout.isatty():
        return
    root = Tree(f"[bold]renate {job.name}[/bold]")
    for key, value in ((str(key), value) for key, value in job.config.items()):
        option = choices.get(key)
        text = OmegaConf.to_yaml(value).strip() if isinstance(value, DictConfig) else str(value)
        if isinstance(value, DictConfig):
            root.add(f"[bold]{key}[/bold]" + (f": {option}" if option else "")).add(text.replace("[", r"\["))
        else:
            root.add(f"[bold]{key}[/bold]: {text}")
    stdout().print(root)


def outcome(jobs: Outcome) -> None:
    """Print the end of a single job, or the table of several."""
    if len(jobs) == 1:
        single(*jobs[0])
    else:
        several(jobs)


def single(job: Job, result: Json) -> None:
    if result["status"] == "failed":
        return  # the error follows, as the command's last line
    if result["status"] == "submitted":
        stdout().print(f"submitted   {result['training_job']}", markup=False)
        stdout().print(f"follow      {result['follow']}", markup=False)
        return
    if "printed" in result:  # by a sweep, where it ran
        print(printable_lines(result["printed"]), end="")
        return
    out, metrics = stdout(), result.get("metrics") or {}
    if result.get("already"):
        said = f"already published as version {result['already']} of {relative(result.get('url'))}"
        out.print(f"{said}, from this config and data; resume=false trains again", markup=False)
    if result.get("matrix"):
        out.print(matrix(job.name, [result]))
        _print_metrics(metrics)
    else:
        before = result.get("before") or {}
        for name, value in metrics.items():
            earlier = f"{before[name]:.4f} → " if isinstance(before.get(name), float) else ""
            out.print(f"{name:28s} {earlier}{value:.4f}", markup=False)
    if counts := result.get("counts"):
        out.print(", ".join(_count(name, value) for name, value in counts.items()), style="dim")
    out.print()
    where = relative(job.directory.path)
    url = relative(result.get("url"))
    if result.get("evaluated"):
        out.print(f"measured    version {result['evaluated']} of {url}", markup=False)
    if result.get("version"):
        out.print(f"version     {result['version']} of {url}", markup=False)
    if result.get("conflict"):
        out.print(f"candidate   {result['conflict']}", markup=False)
    if result.get("already"):
        where = relative(result.get("job"))
    if where:
        out.print(f"job         {where}", markup=False)
    if result.get("version"):
        out.print(f"next        renate state show {shlex.quote(url)}", markup=False)
        out.print(f"load        {load_line(job, url)}", markup=False)


def load_line(job: Job, url: str) -> str:
    """The command that loads what a job has published; a model of the user's own has to be trusted by name."""
    target = str(job.config.model.get("_target_"))
    more = ""
    if target.startswith("renate.jobs.live."):
        more = ", model=net"
    elif not target.startswith(FROM_STATE):
        more = f", trust=['{target.partition('.')[0]}']"
    line = f"python -c \"import renate; model = renate.load_model('{url}'{more})\""
    return f"{line}  # net: a network of the class that was given" if "model=net" in more else line


def several(jobs: Outcome) -> None:
    """One row per job, then mean ± sd over seeds where there are several, then the matrices of streams."""
    out = stdout()
    shown = metric_names([result for _, result in jobs])
    table = Table("job", "overrides", "status", *shown, "seconds", box=None, pad_edge=False, title_justify="left")
    for job, result in jobs:
        values = [_number((result.get("metrics") or {}).get(metric)) for metric in shown]
        table.add_row(job.id, job.name, result["status"], *values, f"{result.get('seconds', 0):.1f}")
    out.print(table)
    groups: dict[str, list[Json]] = {}
    for job, result in jobs:
        if result["status"] == "completed":
            groups.setdefault(re.sub(r"(^| )seed=\S+", "", job.name).strip() or "all", []).append(result)
    if any(len(results) > 1 for results in groups.values()):
        over = Table("overrides", "seeds", *shown, box=None, pad_edge=False)
        for name, results in groups.items():
            over.add_row(name, str(len(results)), *(_mean([r["metrics"].get(m) for r in results]) for m in shown))
        out.print()
        out.print(over)
    for name, results in groups.items():
        if results[0].get("matrix"):
            out.print()
            out.print(matrix(name, results))
    out.print()
    for job, result in jobs:
        if result.get("version"):
            said = f"{job.name}: version {result['version']} of {relative(result['url'])}"
            if job.config.state.url is None:
                path = relative(job.directory.path)
                said += f"; as the first of another state: {command([], 'state', 'publish', str(path), '--url', 'URL')}"
            out.print(said, markup=False)
        elif result["status"] == "completed":
            path = relative(job.directory.path)
            out.print(f"{job.name}: publish with {command([], 'state', 'publish', str(path))}", markup=False)


def metric_names(results: Sequence[Json]) -> list[str]:
    names: dict[str, None] = {}
    for result in results:
        names |= dict.fromkeys(result.get("metrics") or {})
    return list(names)[:8]


def matrix(title: str, results: Sequence[Json]) -> Table:
    """The matrix of a stream, of several the mean: a metric on each chunk (columns) after each update (rows).

    Shares are shown in percent: what is better the larger, as accuracies and F1 are.
    """
    matrices = [result["matrix"] for result in results]
    metric = results[0].get("metric", "accuracy")
    in_percent = results[0].get("mode", "max") == "max"
    seeds = f", mean of {len(matrices)} seeds" if len(matrices) > 1 else ""
    what = f"{metric} in %" if in_percent else metric
    table = Table(title=f"{title}: {what} on each chunk after each update{seeds}", title_justify="left")
    table.add_column("after update")
    for chunk in range(len(matrices[0][0])):
        table.add_column(f"chunk {chunk + 1}", justify="right")

    for row in range(len(matrices[0])):
        means = [statistics.fmean(m[row][i] for m in matrices) for i in range(len(matrices[0][0]))]
        cells = [f"{100 * value:.1f}" if in_percent else f"{value:.4g}" for value in means]
        table.add_row(str(row + 1), *cells)
    return table


def _print_metrics(metrics: Mapping[str, float]) -> None:
    for name, value in metrics.items():
        stdout().print(f"{name:28s} {_number(value)}", markup=False)


def _count(name: str, value: float) -> str:
    if name == "best_epoch":
        return f"weights of epoch {value:.0f}"
    return f"{value:.1f} seconds" if name == "seconds" else f"{value:,.0f} {name.replace('_', ' ')}"


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "–"


def _mean(values: Sequence[float | None]) -> str:
    known = [v for v in values if v is not None]
    if not known:
        return "–"
    return f"{statistics.fmean(known):.4f}" + (f" ± {statistics.stdev(known):.4f}" if len(known) > 1 else "")


def relative(path: object) -> str:
    text = str(path)
    if not text.startswith(os.sep):
        return text
    try:
        return "./" + str(Path(text).relative_to(Path.cwd()))
    except ValueError:
        return text


def link_latest(folder: Path) -> None:
    """Point runs/latest at a job's or a sweep's folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f".latest.{folder.name}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name, target_is_directory=True)
    temporary.replace(folder.parent / "latest")
