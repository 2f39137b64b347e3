"""What a launcher is: it starts jobs, stops them, and leaves nothing running.

A backend is one folder with a subclass of `JobLauncher`, and one YAML in `conf/backend/` whose
`_target_` names it. Backends of this machine derive from `composing.launcher.HydraLauncher`, those
of other machines from `remote.launcher.RemoteLauncher`, which have the rest of it.
"""

import copy
import pickle
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError, JobError
from renate.jobs.directory import JobDirectory, Json
from renate.jobs.records import JobRecord, JobResult
from renate.tuning.base import Proposer


@dataclass
class ComposedJob:
    """One config, ready to run.

    Attributes:
        number: Its place in the sweep, from 0.
        overrides: The overrides that it was composed of, as the command line has them.
        config: Composed, checked, and resolved but for what comes from the environment.
        directory: Where it runs; a worker needs nothing else.
        record: What becomes the directory's `job.json`.
        name: What tables and messages call it.
        parts: Of a sweep that is one job, the jobs in it; of a tuner's, one that stands for all
            trials.
        packed: The config as bytes, of a job that waits; see `rest`.
    """

    number: int
    overrides: list[str]
    config: DictConfig
    directory: JobDirectory
    record: JobRecord
    name: str = ""
    parts: list["ComposedJob"] = field(default_factory=list)
    packed: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        own = [line for line in self.overrides if not line.startswith("hydra.")]
        self.name = " ".join(own) or "defaults"

    @property
    def id(self) -> str:
        """What the job is, as a hash; names its directory."""
        return self.record.id

    @cached_property
    def kind(self) -> str:
        """What it does: `update`, `stream`, …"""
        return str(self.config.job.name)

    @property
    def waits(self) -> bool:
        """Whether it is still to be composed, which whatever it is asked for would do."""
        return False

    def rest(self) -> None:
        """Keep the config as bytes: of many jobs that wait few are looked at.

        Until it is set again it is read anew whenever it is asked for, and a change of what was
        read is an error: it would be lost.
        """
        _ = self.kind  # known from here on without it
        self.packed = zlib.compress(pickle.dumps(self.__dict__.pop("config")), 1)

    def __getattr__(self, name: str) -> Any:
        if name != "config" or not self.__dict__.get("packed"):
            raise AttributeError(f"{type(self).__name__} has no {name}")
        config = pickle.loads(zlib.decompress(self.packed))
        OmegaConf.set_readonly(config, True)
        return config

    def own_config(self) -> DictConfig:
        """A copy of the config that may be changed."""
        config = copy.deepcopy(self.config)
        OmegaConf.set_readonly(config, None)
        return config

    def known(self) -> bool:
        """Whether what the directory holds is of this very job.

        A trial's is named by its number alone.
        """
        try:
            return self.directory.record.recipe == self.record.recipe
        # No record, or half of one: nobody knows whose reports and checkpoints are there.
        except JobError:
            return False


def name_apart(jobs: Sequence[ComposedJob]) -> None:
    """Name each job by the overrides that the others don't share, for tables and messages."""
    shared = set.intersection(*(set(job.overrides) for job in jobs))
    for job in jobs:
        job.name = " ".join(o for o in job.overrides if o not in shared) or job.name


class SubmittedJobs(ABC):
    """Jobs that run elsewhere, looked at by another command: `renate jobs … --backend NAME`.

    Attributes:
        columns: What a table of them is headed by.
    """

    columns: Sequence[str]

    @property
    @abstractmethod
    def nothing(self) -> str:
        """Said in place of an empty table."""

    @abstractmethod
    def rows(self, last: int) -> list[Sequence[str]]:
        """A row for each of the newest `last` jobs, the newest first."""

    @abstractmethod
    def lines(self, name: str, *, follow: bool) -> Iterator[str]:
        """What a job has printed and reported, so far or until its end. Raises JobError."""

    @abstractmethod
    def stop(self, name: str) -> str:
        """Ask a job to end; says what becomes of it. Raises JobError."""

    @abstractmethod
    def wait(self, name: str, run_dir: Path) -> tuple[ComposedJob, JobResult]:
        """Follow a job to its end, as the command that submitted it would have. Raises JobError."""


class JobLauncher(ABC):
    """Starts jobs; a worker needs nothing but the job's directory, so all backends share the rest.

    Attributes:
        elsewhere: Whether jobs run where `renate jobs` can't see them without `--backend`.
        whole_sweeps: Whether a sweep becomes one job, which runs all of it.
        latest: Whether run_dir gets a link to what runs; not where it is mirrored.
        listener: Is handed each report of a job.
    """

    elsewhere: ClassVar[bool] = False
    whole_sweeps: bool = False
    latest: bool = True
    listener: Callable[[ComposedJob, Json], None]

    @abstractmethod
    def submit(self, job: ComposedJob) -> Future[JobResult]:
        """Start a prepared job.

        The future gives its result, whatever its status, and never raises.
        """

    @abstractmethod
    def stop(self, job: ComposedJob) -> None:
        """Ask a job to end at its next report."""

    @abstractmethod
    def close(self) -> None:
        """Leave nothing running; called after Ctrl-C, else at exit, and perhaps twice."""

    def release(self) -> None:
        """Called where `close` would be, but more jobs of this process may follow."""
        self.close()

    def check(self, job: ComposedJob) -> None:  # noqa: B027 (few have to)
        """Find out what of a job can't be had here; before any job starts. Raises ConfigError."""

    def expect(self, job: ComposedJob, jobs: int) -> None:  # noqa: B027 (few have to)
        """Get ready for `jobs` jobs of which this is the first; the others may yet be refused."""

    def check_tuner(self, proposer: Proposer) -> None:  # noqa: B027 (few have to)
        """Raises ConfigError for a tuner whose trials this launcher can't run."""

    def outcome_of(self, job: ComposedJob) -> str | None:
        """URL where a tuner's trial leaves its outcome, a state by itself.

        None: in its directory.
        """
        return None

    @classmethod
    def submitted(cls, region: str | None) -> SubmittedJobs:
        """The jobs that any command has submitted.

        Args:
            region: Where to look, if the backend has several such places; None: where it would
                submit.

        Raises:
            ConfigError: Jobs of this backend are known by their directories alone.
        """
        raise ConfigError(f"{cls.__name__} keeps no list of jobs: they are those of --run-dir")
