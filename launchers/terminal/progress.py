"""What the terminal shows while jobs run: one bar per job, or plain lines where the output is
no terminal.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from renate.jobs.records import PROGRESS, REPORT, Event, JobResult

from .console import PlainConsole

if TYPE_CHECKING:  # a job that shows no bars doesn't wait for them to be imported
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class Progress:
    """Receives the events of all jobs, from any thread."""

    def __init__(self) -> None:
        self.console = PlainConsole(stderr=True, highlight=False, soft_wrap=True)
        self.bars: Bars | None = None
        self.tasks: dict[str, TaskID] = {}
        self.lock = threading.Lock()
        self.quiet = False
        self.many = False
        # How a report is worded; whoever asked for the job may want it otherwise.
        self.worded: Callable[[Event], str] = lambda event: event.text

    @contextmanager
    def watching(self, jobs: int) -> Iterator[None]:
        """Show bars while the block runs."""
        self.many = jobs > 1
        if not self.console.is_terminal or self.quiet:
            yield
            return

        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
        with Bars(
            *columns,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        ) as self.bars:
            try:
                yield
            finally:
                self.bars = None
                self.tasks = {}

    def line(self, text: str) -> None:
        """Print a line, above the bars where there are any."""
        if not self.quiet:
            with self.lock:
                self.console.print(text, markup=False)

    def event(self, job: str, event: Event) -> None:
        """Take what a job reports about itself."""
        if event.kind == REPORT and (self.bars is None or event.always):
            text = self.worded(event)
            self.line(f"[{job}] {text}" if self.many else text)
        elif event.kind == PROGRESS and self.bars is not None:
            with self.lock:
                if job not in self.tasks:
                    self.tasks[job] = self.bars.add_task(job, total=event.total, text="")
                task = self.tasks[job]
                self.bars.update(task, completed=event.done, total=event.total, text=event.text)

    def ended(self, job: str, result: JobResult) -> None:
        """Take a job's end: failures are shown at once."""
        with self.lock:
            if self.bars is not None and job in self.tasks:
                self.bars.remove_task(self.tasks.pop(job))
        if result.failed and self.many:  # a lone job's error is the command's last line
            self.line(f"{job}: failed: {result.reason}")
