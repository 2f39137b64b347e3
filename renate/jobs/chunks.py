"""The data of a job, cut into the chunks of its updates."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from renate.data.base import Data, Known, Source
from renate.data.batch import Columns, length
from renate.data.contract.inspector import Inspector
from renate.data.contract.rules import Rules
from renate.data.contract.text import read_contract
from renate.data.kept.encoders import KeptEncoder
from renate.data.kept.newcomers import in_words, where_they_stand
from renate.data.scenarios import Scenario
from renate.errors import ConfigError, DataError, NothingNewError
from renate.jobs.building.heads import with_task
from renate.jobs.context import Config, Job
from renate.jobs.saved.restore import Saved
from renate.problems.base import Problem
from renate.seeds import derive
from renate.threads import computing_with


@dataclass
class Test:
    """One column of the accuracy matrix: data, and the classes it is about where the scenario
    cuts by class.
    """

    columns: Columns
    classes: list[int] | None = None


@dataclass
class Chunk:
    """The data of one update.

    Attributes:
        train: Columns to train on.
        val: Columns to choose the best epoch by; None where there are none.
        tests: name -> columns to measure on.
        is_last: Whether the whole of what was read has been trained on with it.
        seen: How many of the tests are of this chunk or an earlier one; None: all of them.
    """

    train: Columns
    val: Columns | None
    tests: dict[str, Test] = field(default_factory=dict)
    is_last: bool = True
    seen: int | None = None

    @property
    def tests_seen(self) -> list[str]:
        """The names of the tests of this chunk and of earlier ones."""
        return list(self.tests)[: self.seen]


def load_data(job: Job, known: Known | None, *, training: bool = True) -> Data:
    """Read the job's data; from then on the config's objective is that of what is predicted."""
    source = job.build("data")
    scenario = job.build("scenario")
    source.inspector = inspector_of(job, source, known)
    source.marker = scenario.marks
    source.ends = scenario.ends
    if job.ranks.first:
        source.show = job.show

    problem = problem_of(job, known)
    data: Data = source.load(
        seed=derive(job.config["seed"], "split"), known=known, problem=problem, training=training
    )
    if job.ranks.first:
        notes = [*data.notes, *scenario.notes]
        if training and data.problem.classes:
            notes += scenario.left_out(data.train["targets"], data.problem.labels)
        for text in notes:
            job.emit({"event": "report", "text": text, "always": True})

    job.config["objective"] = objective_of(job.config["objective"], data.problem)
    _check_alike(job, data)

    if data.new_labels and known is not None and not job.config["model"].get("grow"):
        raise DataError(
            f"labels {data.new_labels} are new, the state knows {known.problem.labels}: "
            "model.grow=true grows the "
            f"model, or correct the data; {where_they_stand(data.newcomers)}"
        )

    if data.newcomers and training and job.ranks.first:
        what = "classes" if data.problem.classes else "labels"
        text = f"new {what}: {in_words(data.newcomers)}"
        job.emit({"event": "report", "text": text, "always": True})

    return data


def inspector_of(job: Job, source: Source, known: Known | None) -> Inspector:
    """What holds data against the contract that the config names, else the state's.

    A contract that is named also counts where the rules look at nothing: a version keeps it.

    Raises:
        ConfigError: There is no such contract, or a rule can't be.
    """
    rules = Rules.of(job.config.get("contract"))
    named = source.contract
    if named is not None:
        return Inspector(rules, job.ranks.broadcast(lambda: read_contract(str(named))))

    contract = known.contract if known is not None else None
    return Inspector(rules, contract, fits=known is None)


def _check_alike(job: Job, data: Data) -> None:
    """Raises DataError where another process has read other data, or fitted an encoder
    otherwise.
    """
    kept = None
    if data.encoder is not None:
        kept = KeptEncoder.of(data.encoder)

    seen = job.ranks.gather((data.problem.labels, length(data.train), data.input_shape))
    encoders = job.ranks.gather(kept)
    other = next((other for other in seen if other != seen[0]), None)

    if other is not None:
        raise DataError(
            f"data.train isn't the same on all hosts: {seen[0][1]} examples of {len(seen[0][0])} "
            f"labels here, {other[1]} of {len(other[0])} there: give each host the same files"
        )

    if kept is not None and not all(each and kept.same_as(each) for each in encoders):
        raise DataError(
            f"data: {kept.target} was fitted otherwise in another process: let fit give the same "
            "from the same examples, sorted where it goes through a set"
        )


def load_new(job: Job, saved: Saved | None, *, cut: bool) -> Data:
    """Read the job's data, to be trained on where the state hasn't trained on their files yet.

    Args:
        job: With `resume=false` files that the state has trained on count where no other is there.
        saved: The version that it starts from; None at a first update.
        cut: Whether an update trains on one chunk of them, which isn't all of a file.

    Raises:
        NothingNewError: It has trained on all of them.
    """
    if saved is None:
        return load_data(job, None)

    known = saved.known
    if cut:
        return load_data(job, known)

    try:
        return load_data(job, replace(known, trained=saved.trained))
    except NothingNewError as error:
        if job.config["resume"]:
            raise
        if job.ranks.first:
            text = f"data: {error}; resume=false trains on all again"
            job.emit({"event": "report", "text": text, "always": True})

    return load_data(job, known)


def problem_of(job: Job, known: Known | None) -> Problem | None:
    """The problem that the config names; None where it leaves that open.

    Raises:
        ConfigError: The state's is another one.
    """
    if job.config["problem"]["_target_"] is None:
        return None

    problem: Problem = job.build("problem")
    if known is not None and type(problem) is not type(known.problem):
        raise ConfigError(
            f"problem={problem.name}: the state's is {known.problem.name}: leave it out, "
            "or start another state"
        )

    return problem


def objective_of(node: Mapping[str, Any], problem: Problem) -> Config:
    """The config's objective; `auto` is the problem's main metric on validation data."""
    if node["metric"] != "auto":
        return dict(node)
    return {**node, "metric": f"val_{problem.metric}", "mode": problem.mode}


def chunk_of(job: Job, scenario: Scenario, columns: Columns, index: int, **how: Any) -> Columns:
    """Return chunk `index` of the columns of a part, with each example's head where the model has
    several; `how` as of `Scenario.cut`.
    """
    found = scenario.cut(columns, index, **how)
    return with_task(job.config, found, scenario, index)


def cut(job: Job, scenario: Scenario, data: Data, index: int) -> Chunk:
    """Cut one chunk out of the training and validation data; its tests are those of the data."""
    take = _taker(job, scenario, data, index)
    tests = {name: Test(take(columns, part="test")) for name, columns in data.test.items()}

    # By hand, chunks come in any order, and perhaps not all of them
    is_last = scenario.chunks == 1
    return replace(_to_train_on(job, scenario, data, index), tests=tests, is_last=is_last)


def chunks_from(job: Job, scenario: Scenario, data: Data, first: int) -> Iterator[Chunk]:
    """Cut one chunk after the other, without tests. Where that computes, the next one is made by
    one core while this one is trained on: most trainings leave it idle.
    """

    made = partial(_to_train_on, job, scenario, data)

    def made_ahead(index: int) -> Chunk:
        with computing_with(1):
            return made(index)

    with ExitStack() as ends:
        ahead: Executor | None = None
        coming: Future[Chunk] | None = None
        if scenario.computes:
            ahead = ends.enter_context(ThreadPoolExecutor(1, "next chunk"))

        for index in range(first, scenario.chunks):
            chunk = made(index) if coming is None else coming.result()
            if ahead is not None and index + 1 < scenario.chunks:
                coming = ahead.submit(made_ahead, index + 1)
            yield chunk


def _taker(job: Job, scenario: Scenario, data: Data, index: int) -> Callable[..., Columns]:
    """What returns chunk `index` of columns of a part."""
    seed = derive(job.config["seed"], "scenario")
    classes = data.problem.classes
    return partial(chunk_of, job, scenario, index=index, seed=seed, num_classes=classes)


def _to_train_on(job: Job, scenario: Scenario, data: Data, index: int) -> Chunk:
    """A chunk without its tests.

    Raises:
        DataError: It has no training examples.
    """
    take = _taker(job, scenario, data, index)
    val = None
    if data.val is not None:
        val = take(data.val, part="val")

    train = take(data.train, part="train")
    if not length(train):
        raise DataError(
            f"chunk {index} of {scenario.chunks} has no training examples: give fewer chunks or "
            "more data"
        )

    if val is not None and not length(val):
        val = None

    return Chunk(train, val)
