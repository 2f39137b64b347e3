"""What a command ends with: what changed, where it is, and what to type next."""

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from renate.build import FROM_STATE, targets
from renate.errors import printable_lines
from renate.jobs.identity import already
from renate.jobs.records import SUBMITTED, JobResult
from renate.jobs.saved.given import maker_of

from ..base import ComposedJob
from .console import cell, relative, stdout
from .tables import matrix, number, of_several
from .verdict import decided, gated

STDOUT = "-"  # as an output

Outcome = Sequence[tuple[ComposedJob, JobResult]]


def tree(job: ComposedJob, choices: Mapping[str, str | None]) -> None:
    """Show the composed config, in a terminal only; it is saved in the job's directory anyway."""
    if not sys.stdout.isatty():
        return

    root = Tree(f"[bold]renate {cell(job.name)}[/bold]")
    for key, value in ((str(key), value) for key, value in job.config.items()):
        if not isinstance(value, DictConfig):
            root.add(f"[bold]{key}[/bold]: {cell(value)}")
            continue
        option = choices.get(key)
        if option:
            title = f"[bold]{key}[/bold]: {option}"
        else:
            title = f"[bold]{key}[/bold]"

        root.add(title).add(escape(OmegaConf.to_yaml(value).strip()))

    stdout().print(root)


def outcome(jobs: Outcome) -> None:
    """Print the end of a single job, or the table of several."""
    if len(jobs) == 1:
        single(*jobs[0])
    else:
        of_several(jobs)


def single(job: ComposedJob, result: JobResult) -> None:
    """Print the end of one job."""
    out = stdout()
    if result.failed:
        return  # the error follows, as the command's last line
    if result.status == SUBMITTED:
        out.print(f"submitted   {result.training_job}", markup=False)
        out.print(f"follow      {result.follow}", markup=False)
        return

    if result.printed is not None:  # by a sweep, where it ran
        print(printable_lines(result.printed), end="")
        return

    if result.output is not None and job.config.output == STDOUT:
        print_file(Path(result.output))
        return

    for line in decided(result):
        out.print(line, markup=False)

    url = relative(result.url)
    if result.already is not None:
        out.print(already.in_words(result.already, url, result.nothing_new), markup=False)

    _print_metrics(out, job, result)
    if result.counts:
        counted = ", ".join(_count(name, value) for name, value in result.counts.items())
        out.print(counted, style="dim")

    out.print()
    _print_places(out, job, result, url)


def print_file(path: Path) -> None:
    """Print a file of text as it is, for another program to read."""
    with path.open(encoding="utf-8") as file:
        shutil.copyfileobj(file, sys.stdout)


def _print_metrics(out: Console, job: ComposedJob, result: JobResult) -> None:
    if result.matrix:
        out.print(matrix(job.name, [result]))
        for name, value in result.metrics.items():
            out.print(f"{name:28s} {number(value)}", markup=False)
        return

    before = result.before or {}
    for name, value in result.metrics.items():
        earlier = ""
        if isinstance(before.get(name), float):
            earlier = f"{before[name]:.4f} → "

        out.print(f"{name:28s} {earlier}{value:.4f}", markup=False)


def _print_places(out: Console, job: ComposedJob, result: JobResult, url: str) -> None:
    """Where the outcome is, and what can be done with it."""
    if result.evaluated is not None:
        out.print(f"measured    version {result.evaluated} of {url}", markup=False)
    if result.predicted is not None:
        out.print(f"predicted   by version {result.predicted} of {url}", markup=False)
    if result.output is not None:
        out.print(f"output      {relative(result.output)}", markup=False)
    if result.detected is not None:
        out.print(f"compared    with version {result.detected} of {url}", markup=False)
    if result.version is not None:
        out.print(f"version     {result.version} of {url}{gated(result)}", markup=False)

    if result.registered is not None and "where" in result.registered:
        out.print(f"registered  {result.registered['where']}", markup=False)

    folder = str(job.directory.path) if result.already is None else result.job
    if folder is not None:
        out.print(f"job         {relative(folder)}", markup=False)
    if result.version is not None:
        out.print(f"next        renate state show {shlex.quote(url)}", markup=False)
        out.print(f"load        {load_line(job, url)}", markup=False)


def load_line(job: ComposedJob, url: str) -> str:
    """The command that loads what a job has published.

    Modules of the user's own are trusted by name.
    """
    target = str(job.config.model.get("_target_"))
    more = ""
    if maker_of(target):
        more = ", model=net"

    own = _own_modules(job)
    if any(maker_of(node._target_) for node in job.config.transform.inputs.test):
        own.append("renate")  # to call the config file's test_transform
    if own:
        more += f", trust={own}"

    line = f"python -c \"import renate; model = renate.load_model('{url}'{more})\""
    if "model=net" in more:
        return f"{line}  # net: a network of the class that was given"

    return line


def _own_modules(job: ComposedJob) -> list[str]:
    """Modules that whoever loads the version has to trust, since classes of theirs are part of
    it.
    """
    config = job.config
    parts = [config.model, config.problem, config.updater, config.data.get("encoder")]
    parts += [each for side in ("inputs", "targets") for each in config.transform[side].test]
    plain = [OmegaConf.to_container(part) for part in parts if isinstance(part, DictConfig)]
    named = [target for _, target in targets(plain) if not target.startswith(FROM_STATE)]

    return sorted({target.partition(".")[0] for target in named if not maker_of(target)})


def _count(name: str, value: float) -> str:
    if name == "best_epoch":
        return f"weights of epoch {value:.0f}"
    if name == "seconds":
        return f"{value:.1f} seconds"
    if name.endswith("_bytes"):
        return f"{value / 1e6:,.1f} MB {name.removesuffix('_bytes').replace('_', ' ')}"
    if "_flip_" in name:
        return f"{name.replace('_', ' ')} {value:.4f}"
    return f"{value:,.0f} {name.replace('_', ' ')}"
