"""The same from Python: `renate.run`, `renate.stream`."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renate.compat.files.overrides import with_config_file
from renate.errors import ConfigError, JobError
from renate.jobs import passed_objects
from renate.jobs.config_yaml import quoted
from renate.jobs.directory import read_json
from renate.jobs.identity.already import in_words
from renate.jobs.records import SUBMITTED, JobResult

if TYPE_CHECKING:
    from torch import nn
    from torch.utils.data import Dataset

    from renate.launchers.base import ComposedJob
    from renate.launchers.sweeps.tuned_update import Tuning

Overrides = Sequence[str] | Mapping[str, Any]


@dataclass
class Result:
    """What a job came to.

    Attributes:
        metrics: As printed at the end of a command; of a sweep, the winner's.
        state_url: Where the state is.
        version: The version published; None where none was.
        job_dir: The job's directory: config, reports, log, result; of a sweep, its folder.
        matrix: In a stream, the problem's metric on chunk i (column) after update t (row); rows so
            far.
    """

    metrics: dict[str, float]
    state_url: str
    version: int | None
    job_dir: Path
    matrix: list[list[float]] = field(default_factory=list)


def run(overrides: Overrides = (), *, model: "nn.Module | None" = None, data: Any = None) -> Result:
    """Run one job, or the sweep of a tuner, as `renate …` would: same launcher, same workers, same
    directory.

    Args:
        overrides: As on the command line, or a mapping from keys to values.
        model: A network to train instead of the config's; a copy of it is trained, the caller's
            stays as it is.
        data: A Dataset of (input, target), or a mapping with `train` and `test`.

    Returns:
        The result; the model is at its `state_url`.

    Raises:
        ConfigError: A key or value that can't be right.
        JobError: The job failed.
    """
    with Session(overrides, model, data) as session:
        return session.result()


def stream(
    overrides: Overrides = (), *, model: "nn.Module | None" = None, data: Any = None
) -> Iterator[Result]:
    """Run a stream of updates through a scenario and yield a result after each.

    Arguments as in `run`.
    """
    with Session([*as_list(overrides), "job=stream"], model, data) as session:
        yield from session.rows()


def running(overrides: Overrides) -> "Session":
    """What `run` enters; for who wants to look at the job before its result."""
    return Session(overrides, None, None)


def as_list(overrides: Overrides) -> list[str]:
    """Overrides as the command line has them; a mapping's values are quoted for Hydra's grammar."""
    if isinstance(overrides, Mapping):
        return [f"{key}={quoted(value)}" for key, value in overrides.items()]
    if isinstance(overrides, str):
        raise ConfigError(
            f"overrides: expected a list or a mapping, got the text {overrides!r}: write "
            f"[{overrides!r}]"
        )

    return list(overrides)


class Session:
    """One job, run in a thread so that a stream can be watched, or one tuned sweep.

    Ctrl-C ends it.
    """

    def __init__(self, overrides: Overrides, model: Any, data: Any) -> None:
        self.overrides = with_config_file(as_list(overrides))
        self.model = model
        self.data = data
        self.done = threading.Event()
        self.future: Future[JobResult] = Future()
        self.job: ComposedJob | None = None
        self.tuning: Tuning | None = None

    def __enter__(self) -> "Session":
        from renate.launchers.base import ComposedJob
        from renate.launchers.sweeps.from_python import composed

        self.passed = PassedObjects(self.overrides, self.model, self.data)

        try:
            self.launcher, asked = composed([*self.overrides, *self.passed.overrides])
        except BaseException:
            self.passed.release()
            raise

        if isinstance(asked, ComposedJob):
            self.job = asked
            threading.Thread(target=self._work, args=[asked], daemon=True).start()
        else:
            self.tuning = asked

        return self

    def _work(self, job: "ComposedJob") -> None:
        try:
            self.future.set_result(self.launcher.run([job])[0])
        except BaseException as error:
            self.future.set_exception(error)
        finally:
            self.done.set()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, JobError):  # the job is over, well or not
            self.launcher.release()  # its workers stay warm for the next call
        else:
            self.launcher.close()
        self.passed.release()

    def result(self) -> Result:
        """Run to the end. Raises JobError."""
        if self.tuning is not None:
            return self._tuned(self.tuning)

        from renate.launchers.composing.registering import check_registered, registered

        assert self.job is not None
        while not self.done.wait(0.2):  # an endless wait would not see Ctrl-C
            time.sleep(0)

        outcome = self.future.result()
        folder = self.job.directory.path
        if not outcome.completed and outcome.status != SUBMITTED:
            raise JobError(f"{outcome.reason} (log: {folder}/log.txt)")

        outcome = registered(self.job.config, outcome)
        check_registered([outcome])
        url = outcome.url or str(self.job.config.state.url)
        if outcome.already is not None:
            said = in_words(outcome.already, url, outcome.nothing_new)
            self.launcher.progress.line(said)

        return _result(outcome, url, folder)

    def _tuned(self, tuning: "Tuning") -> Result:
        from renate.launchers.sweeps.tuned_stream import tune

        outcome = tune(self.launcher, tuning.settings, tuning.parsed)
        return _result(outcome, str(outcome.url), tuning.folder)

    def rows(self) -> Iterator[Result]:
        """The stream's result after each update, as soon as it is there. Raises JobError."""
        if self.job is None:
            raise ConfigError("renate.stream runs one stream without a tuner; renate.run tunes")

        directory = self.job.directory
        url = self.job.config.state.url or str(directory.path / "state")
        shown = 0
        over = False

        while not over:
            over = self.done.wait(0.1)  # before the last look
            written = read_json(directory.path / "matrix.json") or {}
            metric = written.get("metric", "")
            matrix = written.get(metric, [])
            for count in range(shown + 1, len(matrix) + 1):
                yield _after_updates(matrix[:count], metric, url, directory.path)
            shown = max(shown, len(matrix))

        self.result()


def _result(outcome: JobResult, url: str, folder: Path) -> Result:
    matrix = [list(row) for row in outcome.matrix or []]
    return Result(dict(outcome.metrics), url, outcome.version, folder, matrix)


def _after_updates(matrix: list[list[float]], metric: str, url: str, folder: Path) -> Result:
    """A stream's result so far; there is one version per row."""
    from renate.metrics import average_accuracy

    updates = len(matrix)
    metrics = {f"average_{metric}": average_accuracy([row[:updates] for row in matrix])}
    return Result(metrics, url, updates, folder, matrix)


class PassedObjects:
    """Objects of this process where the job finds them, until `release`, and what points the config
    there.

    Args:
        overrides: The other ones; they may say where the run directory is.
        model: A network, or None.
        data: A data set, a mapping with `train` and `test`, or None.

    Raises:
        ConfigError: Something else, or an object that can't be taken to another process.
    """

    def __init__(self, overrides: Sequence[str], model: Any, data: Any) -> None:
        self.overrides: list[str] = []
        self.release: Callable[[], None] = lambda: None
        if model is None and data is None:
            return

        from renate.jobs.passed_objects.held import Held

        held = Held(passed_objects.folder_of(_run_dir(overrides)))
        self.release = held.release

        if model is not None:
            path = quoted(str(held.save(model, "model")))
            self.overrides += [
                "model=torch_module",
                f"model._target_={passed_objects.MODEL}",
                f"+model.path={path}",
            ]

        if data is not None:
            self.overrides.append("data=torch_dataset")
            for name, items in _parts(data).items():
                path = quoted(str(held.save(items, f"data.{name}")))
                node = f"{{_target_:{passed_objects.DATASET},path:{path}}}"
                self.overrides.append(f"data.{name}={node}")


def _parts(data: Any) -> "dict[str, Dataset[Any]]":
    if isinstance(data, Mapping):
        parts = dict(data)
    else:
        parts = {"train": data}

    if unknown := parts.keys() - {"train", "test"}:
        raise ConfigError(f"data: expected the keys train and test, got {sorted(unknown)[0]!r}")
    if "train" not in parts:
        raise ConfigError("data: expected the key train, and perhaps test")
    return parts


def _run_dir(overrides: Sequence[str]) -> Path:
    """Where the config puts run_dir.

    Composed only where something besides the command line may say.
    """
    named = [line.partition("=")[2] for line in overrides if line.startswith("run_dir=")]
    if named:
        return Path(named[-1].strip("\"'"))
    if not any(line.lstrip("+").startswith("experiment=") for line in overrides):
        return Path("runs")

    from renate.launchers.composing.session import opened

    with opened(overrides) as (_, sweep, _):
        return Path(str(sweep.run_dir))
