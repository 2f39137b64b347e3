"""A job's own folder in an object store, `<state.url>/jobs/<id>`, by which two machines speak of
it.

job/                          config, record and entry: all that the job's machine is given of it
attempts/<n>.json             each submission's name, by put-if-absent before the backend hears of
it:
                              of two commands that submit the same job, the second finds the first's
<name>/reports/<n>.json       lists of events; <name>/result.json: the end (remote/inside/outbox.py)
checkpoints/                  the job's directory, where the backend mirrors it
"""

import json
import re
import time
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from renate.errors import JobError
from renate.jobs.identity.data_files import is_local
from renate.jobs.records import Event, JobRecord, JobResult
from renate.state.store import Store, open_store

from .inside.outbox import report_key, result_key
from .outcome.returned import (
    attempt_from,
    checked,
    events_from,
    job_record_from,
    reports_from,
    result_from,
)

ATTEMPT = re.compile(r"attempts/(\d{4,})\.json")


@dataclass(frozen=True)
class Attempt:
    """One submission of a job.

    Attributes:
        number: Counted from 1.
        name: By which the backend knows it.
        seconds: Since it was written down.
        withdrawn: Whether the backend refused it.
    """

    number: int
    name: str
    seconds: float
    withdrawn: bool


class JobFolder:
    """See the module.

    Args:
        url: Of the folder.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def store(self) -> Store:
        """Where the folder lies; its keys are relative to it."""
        return open_store(self.url)

    def config(self) -> DictConfig:
        """The job's, as it reads it. Raises JobError."""
        where = f"{self.url}/job/config.yaml"
        try:
            config = OmegaConf.create(self._submitted("config.yaml"))
        except (YAMLError, OmegaConfBaseException, RecursionError) as error:
            raise JobError(f"{where} is no YAML: it isn't what renate wrote there") from error

        if not isinstance(config, DictConfig) or not {"state", "backend", "job"} <= config.keys():
            raise JobError(f"{where} is no job's config: it isn't what renate wrote there")

        return config

    def record(self) -> JobRecord:
        """What the launcher wrote down. Raises JobError."""
        raw = self._submitted("job.json").encode()
        record: JobRecord = checked(job_record_from, raw, f"{self.url}/job/job.json")
        return record

    def _submitted(self, name: str) -> str:
        where = f"{self.url}/job/{name}"
        try:
            return bytes(self.store.get(f"job/{name}")).decode()
        except UnicodeDecodeError:
            raise JobError(f"{where} is no text: it isn't what renate wrote there") from None
        except FileNotFoundError:
            raise JobError(
                f"{where} was removed, and nothing else tells what the job was"
            ) from None

    def last(self) -> Attempt | None:
        """The last submission."""
        # By the number in its name: earlier ones may have been tidied up, others' files be there
        entries = {
            int(found[1]): entry
            for entry in self.store.list("attempts")
            if (found := ATTEMPT.fullmatch(entry.key))
        }
        if not entries:
            return None

        number = max(entries)
        entry = entries[number]
        written = checked(attempt_from, self.store.get(entry.key), f"{self.url}/{entry.key}")
        # The store's clock may be ahead of this machine's
        seconds = max(0.0, time.time() - entry.modified)

        return Attempt(number, written["name"], seconds, written.get("withdrawn", False))

    def claim(self, number: int, name: str) -> None:
        """Write down that a submission begins.

        Raises:
            FileExistsError: Somebody else's did.
        """
        self.store.create(_attempt_key(number), json.dumps({"name": name}).encode())

    def withdraw(self, number: int, name: str) -> None:
        """Write down that the backend knows nothing of a submission, so that nobody looks for
        it.
        """
        content = json.dumps({"name": name, "withdrawn": True})
        self.store.replace(_attempt_key(number), content.encode())

    def reports(self, run: str, number: int) -> list[Event] | None:
        """The events of one object of a submission, counted from 1; None while it isn't there."""
        key = report_key(run, number)
        try:
            raw = self.store.get(key)
        except FileNotFoundError:
            return None

        events: list[Event] = checked(events_from, raw, f"{self.url}/{key}")
        return events

    def result(self, run: str) -> JobResult | None:
        """How a submission ended; None while it hasn't said so."""
        key = result_key(run)
        try:
            raw = self.store.get(key)
        except FileNotFoundError:
            return None
        check = partial(result_from, from_here=is_local(self.url))
        return JobResult.from_json(checked(check, raw, f"{self.url}/{key}"))

    def kept_reports(self) -> list[dict[str, Any]]:
        """The lines of the job's own `metrics.jsonl`; of several machines the first one's."""
        for key in ("checkpoints/metrics.jsonl", "checkpoints/0/metrics.jsonl"):
            try:
                raw = bytes(self.store.get(key))
            except FileNotFoundError:
                continue

            lines = raw.split(b"\n")[:-1]  # after the last end of a line: one being written
            rows: list[dict[str, Any]] = checked(
                reports_from, b"[" + b",".join(lines) + b"]", f"{self.url}/{key}"
            )
            return rows

        return []

    def forget_checkpoints(self) -> None:
        """Let the next submission begin anew."""
        self.store.delete([entry.key for entry in self.store.list("checkpoints")])


def _attempt_key(number: int) -> str:
    return f"attempts/{number:04d}.json"
