"""What a simulation is told by the group `job`."""

from dataclasses import dataclass

from renate.errors import ConfigError, nearest
from renate.jobs.context import Job
from renate.jobs.simulating.summary import Costs

LEAVE_OUT = "leave_out"
NOT_PROMOTED = (LEAVE_OUT, "again")


@dataclass(frozen=True)
class Settings:
    """The group `job`, checked.

    Attributes:
        first: How many slices the first version is trained on.
        window: How many of the last slices policies compare; None: all since the last update.
        leaves_out: Whether data of an update that wasn't promoted aren't trained on again.
        costs: Of wrong answers and of training.
    """

    first: int
    window: int | None
    leaves_out: bool
    costs: Costs

    @classmethod
    def of(cls, job: Job) -> "Settings":
        """Read it.

        Raises:
            ConfigError: What can't be.
        """
        node = job.config["job"]
        for name in ("first_slices", "window"):
            value = node[name]
            is_whole = type(value) is int and value >= 1
            if not is_whole and (name == "first_slices" or value is not None):
                raise ConfigError(f"job.{name}={value}: expected a whole number, 1 or more")

        rule = node["not_promoted"]
        if rule not in NOT_PROMOTED:
            raise ConfigError(
                f"job.not_promoted={rule}: expected {' or '.join(NOT_PROMOTED)}"
                f"{nearest(str(rule), NOT_PROMOTED)}"
            )
        if not job.ranks.alone:
            raise ConfigError("job=simulate runs in one process: trainer.devices=1")

        return cls(node["first_slices"], node["window"], rule == LEAVE_OUT, Costs.of(node["cost"]))
