"""A job is a directory: its config goes in; reports, a log and a result come out."""

import fcntl
import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from renate.errors import JobError
from renate.files import ANEW, json_lines, replacing
from renate.files import UNFINISHED as BEING_WRITTEN
from renate.jobs.records import FAILED, UNFINISHED, JobRecord, JobResult, ReportRow

Json = dict[str, Any]
START = "start.pt"  # of a tuner's clone: its parent, as it was after some epoch


# No error: somebody decided that the job isn't worth finishing
class Stopped(Exception):  # noqa: N818
    """Raised within a job that was asked to stop."""


def strict(content: Any) -> Any:
    """The same as JSON can hold it: a float that is no number becomes null."""
    if isinstance(content, Mapping):
        return {str(key): strict(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [strict(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None

    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object into a JSON file, whole or not at all.

    Raises:
        ValueError: It holds a float that is no number.
        OSError: The file can't be written.
    """
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False, default=str) + "\n")


def read_json(path: Path) -> Json | None:
    """Return the object in a JSON file; None where there is no such file.

    Raises:
        JobError: The file holds something else, or a part of it.
    """
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, RecursionError) as error:
        raise JobError(
            f"{path}: not a complete JSON file ({error}); delete the job's folder and run it again"
        ) from error


def describe(error: BaseException) -> str:
    """An exception's own words, which can themselves raise, be empty, or be no text."""
    try:
        text = str(error).strip()
    except Exception:  # the user's own exception may do anything
        text = ""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text or type(error).__name__


def in_words(update: str, metrics: Mapping[str, Any]) -> str:
    """A report as the terminal shows it, but for the metrics of single labels."""
    shown = " ".join(
        f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}"
        for k, v in metrics.items()
        if "/" not in k
    )
    if update:
        return f"{update}: {shown}"
    return shown


@dataclass
class JobDirectory:
    """One job's files.

    `config.yaml` and `job.json` go in; `metrics.jsonl`, `log.txt`, `result.json` and
    `traceback.txt` of a failure come out, of a trial also `candidate/`; `stop` asks the job to
    stop. Of several processes each but the first has its own `log-<rank>.txt`, and each that failed
    leaves `failed-<rank>.json`.
    """

    path: Path

    @property
    def record(self) -> JobRecord:
        """What the launcher wrote into `job.json`.

        Raises:
            JobError: There is none, or a key is missing or of another kind.
        """
        path = self.path / "job.json"
        found = read_json(path)
        if found is None:
            raise JobError(f"{self.path}: no job directory (it has no job.json)")

        try:
            return JobRecord.from_json(found)
        except ValueError as error:
            raise JobError(f"{path}: {error}; delete the job's folder and run it again") from error

    @property
    def result(self) -> JobResult | None:
        """How the job ended; None while it hasn't."""
        found = read_json(self.path / "result.json")
        if found is None:
            return None
        return JobResult.from_json({"status": UNFINISHED} | found)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the directory; two processes must not write into one.

        Raises:
            JobError: Another process holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise JobError(
                    f"{self.path}: this very job is running already, in another process"
                ) from None
            yield

    def prepare(
        self,
        config: str,
        record: JobRecord,
        *,
        resume: bool = False,
        keep_state: bool = False,
    ) -> None:
        """Remove what an earlier try left, unless it is to be continued, and write config and
        record.
        """
        try:
            with self.alone():
                if not keep_state:
                    shutil.rmtree(self.path / "state", ignore_errors=True)

                stale = [
                    "stop",
                    "log*.txt",
                    "torchrun.txt",
                    "traceback.txt",
                    "result.json",
                    "failed-*.json",
                    f".*{BEING_WRITTEN}",  # of a process that was killed: nobody else is here
                ]
                if not resume:
                    stale += ["metrics.jsonl", "best.pt", "checkpoint*.pt", "simulation.*"]
                for name in stale:
                    for file in self.path.glob(name):
                        file.unlink(missing_ok=True)

                (self.path / "config.yaml").write_text(config)
                write_json(self.path / "job.json", record.to_json())
        except OSError as error:
            raise JobError(
                f"{self.path}: can't write the job's folder: {error.strerror}"
            ) from error

    def report(self, **metrics: float | int | str | None) -> None:
        """Append one line to metrics.jsonl."""
        with (self.path / "metrics.jsonl").open("a") as file:
            line = strict({"time": round(time.time(), 3), **metrics})
            file.write(json.dumps(line, allow_nan=False) + "\n")

    @property
    def asked_to_stop(self) -> bool:
        """Whether the file `stop` is there, which asks the job to end."""
        return (self.path / "stop").exists()

    def check(self) -> None:
        """Return if the job may go on.

        Raises:
            Stopped: The job was asked to stop.
        """
        if self.asked_to_stop:
            raise Stopped

    def forget(self, prefix: str, *, after: int) -> None:
        """Drop the reports of an interrupted update from the epochs that it will run again,
        those after `after`.
        """
        kept = [row for row in self.reports() if row.update != prefix or row.epoch <= after]
        if (self.path / "metrics.jsonl").exists():
            self.recall(kept)

    def recall(self, reports: Sequence[ReportRow]) -> None:
        """Make metrics.jsonl hold these reports and no others."""
        rows = [strict(report.to_json()) for report in reports]
        lines = [json.dumps(row, allow_nan=False) + "\n" for row in rows]
        with replacing(self.path / "metrics.jsonl") as temporary:
            temporary.write_text("".join(lines))

    def reports(self) -> list[ReportRow]:
        """The complete lines of metrics.jsonl; a line still being written is left out.

        Raises:
            JobError: One is no JSON object, or a key is missing or of another kind.
        """
        path = self.path / "metrics.jsonl"
        rows: list[ReportRow] = []

        for line, content in enumerate(json_lines(path), start=1):
            try:
                rows.append(ReportRow.from_json(content))
            except ValueError as error:
                raise JobError(f"{path}, line {line}: {error}; {ANEW}") from error

        return rows

    def finish(self, result: JobResult) -> JobResult:
        """Write result.json, whatever is in it, and return what became of it; raises nothing.

        Where it can't be written (a full disk, say), the job has failed, and the answer says so.
        """
        said = strict(result.to_json())
        answer = JobResult.from_json(said)

        try:
            write_json(self.path / "result.json", said)
        except (OSError, ValueError, TypeError, RecursionError) as error:
            why = f"{self.path}: can't write the job's result: {describe(error)}"
            if answer.error:
                why = f"{answer.error} ({why})"
            return replace(answer, status=FAILED, error=why)

        return answer

    def stop(self) -> None:
        """Ask the job to stop, by the file `stop`: it ends when it next looks."""
        (self.path / "stop").touch()
