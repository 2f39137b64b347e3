"""The data of a simulation: read once, and loaded slice by slice as updates would read them."""

import hashlib
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from renate.data.base import Data, Known, Source
from renate.data.batch import Columns
from renate.data.items.stored import extended, of_examples
from renate.data.kept.reading import problem_of as learned
from renate.data.kept.reading import table_of
from renate.data.kept.sides import hashes_of
from renate.data.scenarios import Scenario
from renate.data.table import Table, targets_of
from renate.errors import ConfigError, DataError
from renate.jobs.chunks import problem_of
from renate.jobs.context import Job
from renate.jobs.simulating.slices import Arrivals, Calendar, arrivals_of
from renate.problems.base import Problem
from renate.seeds import derive


@dataclass
class Incoming:
    """What came, and how it is loaded.

    Attributes:
        job: The job.
        source: Has read the whole; its encoder knows nothing of it yet.
        arrivals: The slices.
    """

    job: Job
    source: Source
    arrivals: Arrivals

    @classmethod
    def read(cls, job: Job, first: int) -> "Incoming":
        """Read the job's data and cut them.

        Args:
            job: Its config has source, scenario, and how slices are cut.
            first: How many slices the first version is trained on.

        Raises:
            DataError: They can't be read, or are fewer slices than that and one more; or labels
                come later that the model can't take.
            ConfigError: Nothing says when they came.
        """
        node = job.config["job"]
        calendar = Calendar.of(node["begins"], node["every"])
        if job.config["config_file"] is not None:
            raise ConfigError(
                "job=simulate reads data as renate does, and a config file's data module says "
                "itself what is held out: data=torch_dataset takes its data set"
            )
        source: Source = job.build("data")
        scenario: Scenario = job.build("scenario")
        source.show = job.show
        raw, tests = source.read()
        table = table_of(raw, "data.train")
        notes = [*table.notes]
        if not isinstance(tests, int | float):
            notes.append("data.test isn't used: each slice is the test of the version before it")

        seed = derive(job.config["seed"], "scenario")
        arrivals = arrivals_of(table, source, scenario, calendar, problem_of(job, None), seed)
        for text in [*notes, *scenario.notes]:
            job.emit({"event": "report", "text": text, "always": True})

        found = cls(job, source, arrivals)
        if len(found) <= first:
            raise DataError(
                f"job.first_slices={first}: the data come in {len(found)} slices, and one more "
                "than that is needed to predict"
            )
        found.check_labels(first)
        return found

    def __len__(self) -> int:
        return len(self.arrivals.slices)

    def load(self, first: int, last: int, known: Known | None, *, training: bool) -> Data:
        """Load slices, as an update or an evaluation loads files that hold them.

        Args:
            first: The first one's number.
            last: The last one's.
            known: What the version in use knows; None at the first update.
            training: Whether they will be trained on; else all of them count, whatever
                `data.limit` says.
        """
        source = copy(self.source)
        source.given = self.arrivals.between(first, last)
        if not training:
            source.limit = None
            if known is not None and known.split is not None:
                # Of what isn't trained on nothing has to be held out, however few there are
                known = replace(known, split=replace(known.split, asked=0.0, val=0.0))

        return source.load(
            seed=derive(self.job.config["seed"], "split"),
            known=known,
            problem=problem_of(self.job, None) if known is None else None,
            training=training,
        )

    def content(self) -> str:
        """Return a hash of all that was read, where only reading tells."""
        table = self.arrivals.table
        return f"{_digest(hashes_of(table, 'data.train'))}-{_digest(table.targets)}"

    def first_problem(self, first: int) -> Problem:
        """Return what is predicted, as the first version will know it."""
        return learned(self._targets(1, first), None, problem_of(self.job, None))[0]

    def check_labels(self, first: int) -> None:
        """Return if the model can take every label that ever comes: a simulation of hours needn't
        end with one that it can't.

        Raises:
            DataError: It can't.
        """
        problem = self.first_problem(first)
        if self.job.config["model"].get("grow"):
            return

        for number in range(first + 1, len(self) + 1):
            new = copy(problem).fit(self._targets(number, number))
            if new:
                raise DataError(
                    f"labels {new[:5]} first come in slice {number}, the first version knows "
                    f"{problem.labels}: model.grow=true grows the model when they do, "
                    "job.first_slices waits for them"
                )

    def _targets(self, first: int, last: int) -> Any:
        table: Table = self.arrivals.between(first, last)
        return targets_of(table, "data.train")


def all_of(data: Data) -> Columns:
    """Return inputs and targets of both sides: all examples of a slice that is predicted."""
    if data.val is None:
        return of_examples(data.train)
    if not len(data.train["targets"]):
        return of_examples(data.val)
    return extended(of_examples(data.train), of_examples(data.val))


def _digest(values: np.ndarray[Any, Any]) -> str:
    raw = values.tobytes()
    if values.dtype == object:  # those bytes would be addresses
        raw = repr(values.tolist()).encode()
    return hashlib.sha256(raw).hexdigest()[:32]
