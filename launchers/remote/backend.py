"""What a backend on other machines writes: how a job begins there, how it is looked at, how it
ends.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from renate.jobs.records import JobResult

from ..base import ComposedJob
from .job_upload import JobUpload


@dataclass(frozen=True)
class PreparedJob:
    """A job on its way.

    Attributes:
        job: As composed here.
        upload: What goes with it.
        request: What its backend is asked for; see `RemoteBackend.request_for`.
    """

    job: ComposedJob
    upload: JobUpload
    request: Any


@dataclass(frozen=True)
class RemoteJob:
    """What a backend says of a job that was submitted to it.

    Attributes:
        running: Whether it may still do something; else it is over.
        phase: What the terminal says of it; empty where there is nothing to say.
        why_ended: Of one that is over: why, if it has left no result that says so.
        no_machine: Whether that is because none was free.
    """

    running: bool
    phase: str = ""
    why_ended: str = "it ended without a result"
    no_machine: bool = False


class RemoteBackend(ABC):
    """A place where jobs run; each submission of a job has a name there.

    Attributes:
        named_by: The setting that names come from, as messages begin with it; empty: none.
    """

    named_by: str = ""

    def check_settings(self) -> None:  # noqa: B027 (few have to)
        """What can be wrong with the group, and needs no service to know. Raises ConfigError."""

    @abstractmethod
    def request_for(self, job: ComposedJob, upload: JobUpload) -> Any:
        """What `create` will ask for.

        Raises:
            ConfigError: What can't be right; nothing is uploaded yet.
        """

    @abstractmethod
    def new_name(self) -> str:
        """A name for a submission, unlike any other."""

    @abstractmethod
    def create(self, name: str, prepared: PreparedJob) -> bool:
        """Have a job begin; all that it needs is uploaded.

        Returns:
            False where the name is another job's.

        Raises:
            RenateError: The backend refuses.
        """

    @abstractmethod
    def look(self, name: str, upload: JobUpload) -> RemoteJob | None:
        """How a submission is; None where none of that name is known that is this job's."""

    @abstractmethod
    def end(self, name: str) -> None:
        """Ask a submission to end; one that has ended is left alone."""

    @abstractmethod
    def send(self, prepared: PreparedJob) -> None:
        """Upload what a job needs."""

    def tries_again(self, job: ComposedJob, result: JobResult, tries: int) -> bool:
        """Whether a job that failed is submitted once more, after so many tries."""
        return False
