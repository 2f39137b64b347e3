"""What is seen while jobs run: a bar per job on a terminal, lines elsewhere, JSON for programs, or
nothing.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from renate.errors import ConfigError, nearest
from renate.jobs.records import PROGRESS, REPORT, Event, JobResult

from .console import PlainConsole
from .json_lines import JsonLines

if TYPE_CHECKING:  # a job that shows no bars doesn't wait for them to be imported
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

AUTO = "auto"
PLAIN = "plain"
JSON = "json"
QUIET = "quiet"
MODES = (AUTO, PLAIN, JSON, QUIET)
UPDATE = re.compile(r"update (\d+)/(\d+) epoch ")  # of a stream
NEAR_END = 0.8  # of a stream's steps
ASIDE = ("epoch", "step")  # of a report, these are no metrics


def check_mode(mode: str) -> str:
    """Return the value of the key `terminal`. Raises ConfigError."""
    if mode not in MODES:
        raise ConfigError(
            f"terminal={mode}: expected {', '.join(MODES)}{nearest(str(mode), MODES)}"
        )
    return mode


class Progress:
    """Receives the events of all jobs, from any thread.

    Args:
        mode: What the key `terminal` says.
    """

    def __init__(self, mode: str = AUTO) -> None:
        self.mode = check_mode(mode)
        self.console = PlainConsole(stderr=True, highlight=False, soft_wrap=True)
        self.json = JsonLines()
        self.bars: Bars | None = None
        self.tasks: dict[str, TaskID] = {}
        self.metrics: dict[str, str] = {}  # job -> its last metric, for its bar
        self.lock = threading.Lock()
        self.quiet = False
        self.many = False
        # How a report is worded; whoever asked for the job may want it otherwise.
        self.worded: Callable[[Event], str] = lambda event: event.text
        # Called once, by the thread that brings the event, when a stream is near its end
        self.when_near_end: Callable[[], None] | None = None

    @property
    def is_for_people(self) -> bool:
        """Whether a command ends with tables and words."""
        return self.mode in (AUTO, PLAIN)

    @property
    def is_live(self) -> bool:
        """Whether what is shown changes in place."""
        return self.mode == AUTO and self.console.is_terminal

    @contextmanager
    def watching(self, jobs: int) -> Iterator[None]:
        """Show bars while the block runs."""
        self.many = jobs > 1
        if not self.is_live or self.quiet:
            yield
            return

        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            TextColumn("{task.fields[metric]}", style="bold"),
        )
        with Bars(
            *columns,
            TimeElapsedColumn(),
            TextColumn("left", style="dim"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        ) as self.bars:
            try:
                yield
            finally:
                self.bars = None
                self.tasks = {}
                self.metrics = {}

    def line(self, text: str) -> None:
        """Print a line, above the bars where there are any."""
        if self.quiet or self.mode == QUIET:
            return
        if self.mode == JSON:
            self.json.write("line", text=text)
            return
        with self.lock:
            self.console.print(text, markup=False)

    def event(self, job: str, event: Event) -> None:
        """Take what a job reports about itself."""
        if event.kind == PROGRESS and self.when_near_end is not None and _is_near_end(event):
            call, self.when_near_end = self.when_near_end, None
            call()

        if self.mode == JSON:
            if not self.quiet:
                self.json.event(job, event)
            return

        if event.kind == REPORT and event.metrics:
            self.metrics[job] = _last_metric(event)
        if event.kind == REPORT and (self.bars is None or event.always):
            text = self.worded(event)
            self.line(f"[{job}] {text}" if self.many else text)
        elif event.kind == PROGRESS and self.bars is not None:
            done, total = _of_stream(event)
            with self.lock:
                if job not in self.tasks:
                    self.tasks[job] = self.bars.add_task(job, total=total, text="", metric="")
                self.bars.update(
                    self.tasks[job],
                    completed=done,
                    total=total,
                    text=event.text,
                    metric=self.metrics.get(job, ""),
                )

    def ended(self, job: str, result: JobResult) -> None:
        """Take a job's end: failures are shown at once."""
        with self.lock:
            if self.bars is not None and job in self.tasks:
                self.bars.remove_task(self.tasks.pop(job))
        if self.mode == JSON and not self.quiet:
            self.json.write("ended", job=job, status=result.status, error=result.error)
        elif result.failed and self.many:  # a lone job's error is the command's last line
            self.line(f"{job}: failed: {result.reason}")


def _of_stream(event: Event) -> tuple[int | None, int | None]:
    """How far a job is: of a stream over all its updates, taken to be equally long."""
    found = UPDATE.match(event.text)
    if found is None or event.done is None or event.total is None:
        return event.done, event.total

    update, updates = int(found[1]), int(found[2])
    return (update - 1) * event.total + event.done, updates * event.total


def _is_near_end(event: Event) -> bool:
    """Whether most steps of a stream are done."""
    done, total = _of_stream(event)
    if UPDATE.match(event.text) is None or done is None or total is None:
        return False
    return done >= NEAR_END * total


def _last_metric(event: Event) -> str:
    """Of a report the metric on validation data, else its first one."""
    numbers = {
        name: value
        for name, value in (event.metrics or {}).items()
        if isinstance(value, float) and name not in ASIDE and "/" not in name
    }
    names = [name for name in numbers if name.startswith("val_") and name != "val_loss"]
    name = next(iter([*names, *numbers]), None)
    if name is None:
        return ""
    return f"{name} {numbers[name]:.4f}"
