"""Grids of thousands of jobs: the first ones begin within seconds, the others are composed as their
turn comes.

What can be wrong in a grid is still found before anything begins: each choice is composed with the
first choices of all other keys, of a long range of numbers the ends. A grid whose jobs may depend
on when they are composed, or on one another, is composed as a whole.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..base import ComposedJob
from .launcher import FEW, HydraLauncher

NUMBER = re.compile(r"([\w.]+)=(-?\d+(?:\.\d+)?(?:e-?\d+)?)", re.IGNORECASE)
LONG = 100  # distinct numbers of a key; of more, all lie between the ends that are looked at
TRAINED = ("update", "stream")  # what begins with a state of its own where none is named

Grid = Sequence[Sequence[str]]


class LaterJob(ComposedJob):
    """A job that is composed once its config, its directory or its record is asked for.

    Args:
        number: Its place in the grid.
        overrides: Of it.
        compose: Makes the job of both.
    """

    def __init__(
        self,
        number: int,
        overrides: Sequence[str],
        compose: Callable[[int, Sequence[str]], ComposedJob],
    ) -> None:
        self.number = number
        self.overrides = list(overrides)
        self.parts = []
        self.packed = b""
        self._compose = compose
        self.__post_init__()

    @property
    def waits(self) -> bool:
        """Whether it isn't composed yet."""
        return "record" not in vars(self)

    def __getattr__(self, name: str) -> Any:
        if name in ("config", "directory", "record") and self.waits:
            made = self._compose(self.number, self.overrides)
            made.rest()
            self.packed = made.packed
            self.kind = made.kind
            self.directory = made.directory
            self.record = made.record
            return getattr(self, name)
        return super().__getattr__(name)


def jobs_of(launcher: HydraLauncher, grid: Grid) -> list[ComposedJob]:
    """The jobs of a grid, all or the first of them composed.

    Raises:
        RenateError: What `HydraLauncher.compose` says of a job.
    """
    looked_at = _looked_at(grid)
    if len(grid) <= FEW or launcher.whole_sweeps or len(looked_at) > FEW:
        return launcher.batch(grid)

    folder = Path(str(launcher.config.hydra.sweep.dir))
    jobs: list[ComposedJob] = [
        LaterJob(number, overrides, launcher.compose) for number, overrides in enumerate(grid)
    ]
    for number in looked_at:
        if not _stands_alone(jobs[number], folder):
            return launcher.batch(grid)

    if jobs[0].directory.result is None:
        launcher.expect(jobs[0], len(jobs))
    folder.mkdir(parents=True, exist_ok=True)

    return jobs


def _looked_at(grid: Grid) -> list[int]:
    """The jobs that are composed at once: of each choice the first that has it."""
    first: dict[str, int] = {}
    for number, overrides in enumerate(grid):
        for line in overrides:
            first.setdefault(line, number)

    values: dict[str, dict[float, str]] = {}
    for line in first:
        if found := NUMBER.fullmatch(line):
            values.setdefault(found[1], {})[float(found[2])] = line

    for lines in values.values():
        if len(lines) > LONG:
            ends = (min(lines), max(lines), 0.0)
            for value, line in lines.items():
                if value not in ends:
                    del first[line]

    return sorted({0, len(grid) - 1, *first.values()})


def _stands_alone(job: ComposedJob, folder: Path) -> bool:
    """Whether a job is the same whenever it is composed, and writes to its own directory alone."""
    config = job.config
    if config.state.url is not None or config.get("publish"):
        return False
    return job.kind in TRAINED and folder.absolute() == job.directory.path.parent
