"""A job's own folder in S3, `<state.url>/jobs/<id>`: what it needs, who submitted it when, what it reports.

job/                          config, record and entry, as a channel of the training job
attempts/<n>.json             each submission's name, by put-if-absent before the service hears of it: of two
                              commands that submit the same job, the second finds the first's
<name>/reports/<n>.json       lists of events; <name>/result.json: the end (launchers/outbox.py)
checkpoints/                  mirrored by the service
"""

import json
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from renate.errors import JobError
from renate.jobs.directory import Json
from renate.state.store import Store, open_store

from ..outbox import report_key, result_key
from ..returned import attempt_from, checked, events_from, record_from, result_from


@dataclass
class Attempt:
    """One submission of a job."""

    number: int
    name: str
    seconds: float  # since it was written down
    withdrawn: bool  # the service refused it


class Home:
    """See the module.

    Args:
        url: Of the folder.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def store(self) -> Store:
        return open_store(self.url)

    def config(self) -> DictConfig:
        """The job's, as it reads it. Raises JobError."""
        try:
            config = OmegaConf.create(self._submitted("config.yaml"))
        except (YAMLError, OmegaConfBaseException, RecursionError) as error:
            raise JobError(f"{self.url}/job/config.yaml is no YAML: it isn't what renate wrote there") from error
        if not isinstance(config, DictConfig) or not {"state", "backend", "job"} <= config.keys():
            raise JobError(f"{self.url}/job/config.yaml is no job's config: it isn't what renate wrote there")
        return config

    def record(self) -> Json:
        """What the launcher wrote down. Raises JobError."""
        raw = self._submitted("job.json").encode()
        record: Json = checked(record_from, raw, f"{self.url}/job/job.json")
        return record

    def _submitted(self, name: str) -> str:
        try:
            return bytes(self.store.get(f"job/{name}")).decode()
        except UnicodeDecodeError:
            raise JobError(f"{self.url}/job/{name} is no text: it isn't what renate wrote there") from None
        except FileNotFoundError:
            raise JobError(f"{self.url}/job/{name} was removed, and nothing else tells what the job was") from None

    def last(self) -> Attempt | None:
        """The last submission."""
        entries = self.store.list("attempts")
        if not entries:
            return None
        key = entries[-1].key
        written = checked(attempt_from, self.store.get(key), f"{self.url}/{key}")
        seconds = time.time() - entries[-1].modified
        return Attempt(len(entries), written["name"], seconds, written.get("withdrawn", False))

    def claim(self, number: int, name: str) -> None:
        """Write down that a submission begins.

        Raises:
            FileExistsError: Somebody else's did.
        """
        self.store.create(_attempt_key(number), json.dumps({"name": name}).encode())

    def withdraw(self, number: int, name: str) -> None:
        """Write down that the service knows nothing of a submission, so that nobody looks for it."""
        self.store.replace(_attempt_key(number), json.dumps({"name": name, "withdrawn": True}).encode())

    def owns(self, training: Any) -> bool:
        """Whether a training job, as the SDK describes it, is of this job."""
        return bool(training.output_data_config.s3_output_path == f"{self.url}/out")

    def reports(self, run: str, number: int) -> list[Json] | None:
        """The events of one object, counted from 1; None while it isn't there."""
        try:
            raw = self.store.get(report_key(run, number))
        except FileNotFoundError:
            return None
        events: list[Json] = checked(events_from, raw, f"{self.url}/{report_key(run, number)}")
        return events

    def result(self, run: str) -> Json | None:
        try:
            raw = self.store.get(result_key(run))
        except FileNotFoundError:
            return None
        result: Json = checked(result_from, raw, f"{self.url}/{result_key(run)}")
        return result

    def forget_checkpoints(self) -> None:
        self.store.delete([entry.key for entry in self.store.list("checkpoints")])


def _attempt_key(number: int) -> str:
    return f"attempts/{number:04d}.json"
