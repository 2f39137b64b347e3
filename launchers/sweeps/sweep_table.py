"""What a terminal shows of a sweep: a live table of trials.

Plain lines where the output is no terminal.
"""

import threading
import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

from renate.jobs.records import JobResult
from renate.metrics import COST
from renate.tuning.base import COMPLETED, FAILED, STOPPED
from renate.tuning.sweep import Sweep
from renate.tuning.trial import RUNNING, Trial

from ..terminal.console import cell, stdout
from ..terminal.progress import JSON, Progress
from ..terminal.verdict import gated

SHOWN = 12


class SweepTable:
    """Told of every change of a trial.

    Args:
        console: Where the live table, or the lines, go.
        metric: The objective.
        mode: `max` or `min`.
        total: Trials in all, if that is known.
        secondary: Further objectives.
    """

    sweep: Sweep
    unit = "epoch"  # what a trial's steps are

    def __init__(
        self,
        console: Console,
        *,
        metric: str,
        mode: str,
        total: int | None,
        secondary: Sequence[str] = (),
    ) -> None:
        self.console = console
        self.metric = metric
        self.mode = mode
        self.total = total
        self.secondary = secondary
        self.progress = Progress()  # says in which mode; the sweep's own takes its place
        self.live: Live | None = None
        self.seen: dict[int, str] = {}
        self.lock = threading.Lock()
        self.began = time.monotonic()

    def __enter__(self) -> "SweepTable":
        if self.console.is_terminal and self.progress.is_live:
            self.live = Live(
                get_renderable=self.table,
                console=self.console,
                transient=True,
                refresh_per_second=4,
            )
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def tell(self, trial: Trial) -> None:
        """Say what happened to a trial: began, was stopped early, failed, completed."""
        if self.seen.get(trial.id) == trial.status:
            return

        self.seen[trial.id] = trial.status
        if not self.progress.is_for_people:
            if self.progress.mode == JSON:
                self.progress.json.trial(trial)
            return

        config = " ".join(f"{key}={short(value)}" for key, value in trial.config.items())
        name = f"trial {trial.id}"

        if trial.twin is not None:
            text = ""
            if trial.status == RUNNING:
                text = f"{name}: the same as trial {trial.twin}"
        elif trial.status == RUNNING:
            source = ""
            if trial.source != "sampled":
                source = f" ({trial.source})"

            text = f"{name}: {config}{source}"
        elif trial.status == STOPPED:
            why = trial.error or f"{self.metric} {trial.value:.4f} is behind"
            text = f"{name}: stopped at {self.unit} {trial.step}, {why}"
        elif trial.status == FAILED:
            text = f"{name}: failed, {trial.error}"
        else:
            best = ""
            if self.sweep.best is trial:
                best = ", the best so far"

            text = f"{name}: completed, {self.metric} {trial.value:.4f}{best}"

        if text and (self.live is None or trial.status == FAILED):
            with self.lock:
                self.console.print(text, markup=False)

    def table(self) -> Table:
        """The running trials, the best, and how far the sweep is."""
        sweep = self.sweep
        trials = list(sweep.trials)
        best = sweep.best
        count = {s: sum(t.status == s for t in trials) for s in (COMPLETED, STOPPED, FAILED)}
        title = ", ".join(f"{n} {status}" for status, n in count.items())

        if self.total and trials:
            ended = sum(count.values())
            left = (time.monotonic() - self.began) / max(1, ended) * (self.total - ended)
            title += f"; {ended} of {self.total}, about {left:.0f} s left" if ended else ""

        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for column in ("trial", "status", self.unit, self.metric, "configuration"):
            table.add_column(column)

        running = [t for t in trials if t.status == RUNNING]
        rest = [t for t in reversed(trials) if t.status != RUNNING and t is not best]
        for trial in [*([best] if best else []), *running, *rest][:SHOWN]:
            style = ""
            if trial.status in (STOPPED, FAILED):
                style = "dim"

            if trial is best:
                style = "bold green"
            table.add_row(*map(cell, row(trial)), style=style)

        return table

    def end(self, sweep: Sweep, best: Trial, outcome: JobResult, winner: str) -> None:
        """The best trials, and the winner as a command."""
        out = stdout()
        sign = COST[self.mode]
        if self.secondary:
            out.print(self.front(sweep))
            out.print()

        count = {s: sum(t.status == s for t in sweep.trials) for s in (COMPLETED, STOPPED, FAILED)}
        ranked = [
            t
            for t in sweep.trials
            if t.status == COMPLETED and t.value is not None and t.twin is None
        ]
        ranked.sort(key=lambda t: sign * float(t.value or 0.0))
        table = Table(box=None, pad_edge=False)
        for column in ("trial", "status", self.unit, self.metric, "configuration"):
            table.add_column(column)

        for trial in ranked[:5]:
            table.add_row(*map(cell, row(trial)))

        out.print(table)
        out.print()
        counted = ", ".join(
            f"{n} {status}{' early' if status == STOPPED else ''}"
            for status, n in count.items()
            if n
        )
        out.print(
            f"trials      {len(sweep.trials)}: {counted}; ended by {outcome.why}", markup=False
        )
        out.print(f"best        trial {best.id}, {self.metric} {best.value:.4f}", markup=False)
        for name, value in outcome.metrics.items():
            if name != self.metric:
                out.print(f"{name:28s} {value:.4f}", style="dim", markup=False)

        out.print(f"version     {outcome.version} of {outcome.url}{gated(outcome)}", markup=False)
        out.print(f"winner      {winner}", markup=False)

    def front(self, sweep: Sweep) -> Table:
        """The trials that no other beats in all objectives."""
        named = f"{self.metric} and {', '.join(self.secondary)}"
        title = f"Pareto front: what no other trial beats in {named}"
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for column in ("trial", self.metric, *self.secondary, "configuration"):
            table.add_column(column)

        sign = COST[self.mode]
        for trial in sorted(sweep.front(), key=lambda t: sign * float(t.value or 0.0)):
            number, _, _, value, config = map(cell, row(trial))
            table.add_row(number, value, *(f"{other:.4f}" for other in trial.secondary), config)

        return table


def row(trial: Trial) -> list[str]:
    """A trial's cells: number, status, step, value, configuration."""
    value = "–"
    if trial.value is not None:
        value = f"{trial.value:.4f}"

    config = " ".join(f"{key}={short(text)}" for key, text in trial.config.items())
    return [str(trial.id), trial.status, str(trial.step), value, config]


def short(text: str) -> str:
    """A number with four digits; anything else as it is."""
    try:
        if text.lstrip("-").isdigit():
            return text
        return f"{float(text):.4g}"
    except ValueError:
        return text
