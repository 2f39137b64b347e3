"""What a backend's machines are for its jobs, and what a job can't have there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import DictConfig

from renate.errors import ConfigError

from ..base import ComposedJob
from ..composing.checks.kinds import AMOUNT, COUNT, Flag, Number, OneOf, Setting
from ..composing.secrets import variables

WORKING_COPY = OneOf(("shared", "shipped"))
# What every backend's group has
SETTINGS: dict[str, Setting] = {
    "wait": Flag(),
    "poll": AMOUNT,
    "sweep": OneOf(("inside", "per_trial")),
    "workers": COUNT,
    "price_per_hour": Number(optional=True),
}


@dataclass(frozen=True)
class Machine:
    """What a backend's jobs find where they run.

    Attributes:
        backend: The backend's name, for messages.
        channel: The folder of a job's own files there, `config.yaml` among them.
        store: The object store that its jobs can reach, in words.
        scheme: How its URLs begin.
        entry: Further files of every job, by name.
        shared: Whether jobs see the files of this machine where they are here: then code, data and
            states are used where they lie.
        inherits: Whether jobs have this command's environment.
    """

    backend: str
    channel: str
    store: str
    scheme: str
    entry: Mapping[str, Path] = field(default_factory=dict)
    shared: bool = False
    inherits: bool = False

    @property
    def example(self) -> str:
        """A URL as it expects them."""
        return f"{self.scheme}bucket/prefix"


def absolute(folder: str) -> str:
    """A folder of this machine's, as jobs elsewhere find it."""
    return str(Path(folder.removeprefix("file://")).expanduser().absolute())


def check_scheme(key: str, url: str, machine: Machine) -> None:
    """Raises ConfigError for a state that jobs can't reach."""
    if not url.startswith(machine.scheme):
        raise ConfigError(
            f"state.{key}={url}: backend={machine.backend} knows {machine.example} and local "
            "folders"
        )


def check_variables(job: ComposedJob, settings: DictConfig, machine: Machine) -> None:
    """Raises ConfigError where the job would lack a variable that its config takes a value from."""
    if machine.inherits:
        return

    for key, name in variables(job.config):
        if not key.startswith("backend.") and name not in settings.environment:
            raise ConfigError(
                f"{key} needs {name} in the job's environment, where nothing of this machine's is: "
                f"+backend.environment.{name}=…; who may describe the job can read it"
            )
