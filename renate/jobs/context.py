"""A running job: its config, its directory, and where its progress goes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from renate.build import build
from renate.jobs.directory import JobDirectory, in_words, strict
from renate.jobs.records import TOLD, JobRecord
from renate.ranks import ALONE, Ranks
from renate.state.cache import Cache
from renate.state.versions import State

Config = dict[str, Any]

# Settings of a job that stand in the group which they are about.
OURS = ("grow", "backfill", "max_ram", "interval", "monitor")
# A source takes it itself.
TAKEN = {"data": ("max_ram",)}


@dataclass
class Job:
    """A running job: its plain, resolved config, its directory, and where its progress goes.

    Attributes:
        config: As composed; every interpolation resolved.
        saved: The same as text, what comes from the environment unresolved; this is what a state
            keeps.
        directory: See `JobDirectory`.
        record: What the launcher wrote into job.json.
        emit: Takes progress events.
        prefix: What the progress is of, in a stream: `update 2/5`.
        ranks: The processes that run it together.
        content: A hash of what it has read, where only that tells.
        loggers: Those of its fit, see `renate.jobs.running.loggers`.
    """

    config: Config
    saved: str
    directory: JobDirectory
    record: JobRecord
    emit: Callable[[dict[str, Any]], None] = lambda event: None
    prefix: str = ""
    ranks: Ranks = ALONE
    content: str | None = None
    loggers: list[Any] = field(default_factory=list)

    def build(self, group: str, **given: Any) -> Any:
        """Build the object that a group of the config describes, `given` being what the config
        can't hold.

        Raises:
            ConfigError: See `renate.build.build`.
        """
        return build(self.node(group), group, trust=self.config["trust"], **given)

    def node(self, group: str) -> Config:
        """What a group's class is given, without what the job does with it."""
        ours = set(OURS) - set(TAKEN.get(group, ()))
        return {k: v for k, v in self.config[group].items() if k not in ours}

    @property
    def candidate(self) -> str | None:
        """Where a tuner's trial leaves its outcome, if this is one: nothing of it may reach the
        state by itself.
        """
        if self.record.trial is None:
            return None
        if self.record.candidate is None:
            return str(self.directory.path / "candidate")
        return self.record.candidate

    def state(self, url: str) -> State:
        """A state with the job's cache, whose large transfers are progress of this job."""
        settings = self.config["state"]
        cache = Cache(settings["cache_dir"], (settings["cache_gb"] or 0) * 1e9)
        return State(url, cache=cache, show=self.show)

    def show(self, done: int, total: int, text: str) -> None:
        """Emit as progress that `done` of `total` is done, with `prefix` before the text."""
        self.emit(
            {
                "event": "progress",
                "done": done,
                "total": total,
                "text": f"{self.prefix} {text}".strip(),
            }
        )

    def tick(self, done: int, total: int, text: str) -> None:
        """Show progress, and look whether the job was asked to stop, where it is one process.

        Raises:
            Stopped: It was.
        """
        self.show(done, total, text)
        if self.ranks.alone:  # several stop together: see `RankSync`
            self.directory.check()

    def say(self, text: str) -> None:
        """Tell the user, once of several processes, and once of a stream's updates."""
        if self.ranks.first and self.prefix.partition("/")[0] in ("", "update 1"):
            self.emit({"event": "report", "text": text, "always": True})

    def report(self, **metrics: float | int | str | None) -> None:
        """Emit metrics as a report and append them to metrics.jsonl; only the first process does.

        Raises:
            Stopped: The job was asked to stop, and is one process.
        """
        if not self.ranks.first:
            return

        text = in_words(self.prefix, metrics)
        metrics = strict(metrics)
        self.emit({"event": "report", "text": text, "update": self.prefix, "metrics": metrics})
        self.directory.report(**({"update": self.prefix} if self.prefix else {}), **metrics)
        if self.ranks.alone:
            self.directory.check()

    def tell_again(self) -> None:
        """Emit at once what earlier runs of this job have reported: whoever follows from another
        machine may have missed some, and what is done already isn't reported anew.
        """
        reports = self.directory.reports()
        if reports and self.ranks.first:
            self.emit({"event": TOLD, "reports": [strict(row.to_json()) for row in reports]})
