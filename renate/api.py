"""The same from Python: `renate.run`, `renate.stream`."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from renate.errors import ConfigError, JobError
from renate.jobs.directory import JobDirectory, Json, read_json
from renate.jobs.text import quoted

if TYPE_CHECKING:
    from torch import nn
    from torch.utils.data import Dataset

Overrides = Sequence[str] | Mapping[str, Any]


@dataclass
class Result:
    """What a job came to.

    Attributes:
        metrics: As printed at the end of a command; of a sweep, the winner's.
        state_url: Where the state is.
        version: The version published; None where none was.
        job_dir: The job's directory: config, reports, log, result; of a sweep, its folder.
        matrix: In a stream, the problem's metric on chunk i (column) after update t (row); rows so far.
    """

    metrics: dict[str, float]
    state_url: str
    version: int | None
    job_dir: Path
    matrix: list[list[float]] = field(default_factory=list)


def run(overrides: Overrides = (), *, model: "nn.Module | None" = None, data: Any = None) -> Result:
    """Run one job, or the sweep of a tuner, as `renate …` would: same launcher, same workers, same directory.

    Args:
        overrides: As on the command line, or a mapping from keys to values.
        model: A network to train instead of the config's; a copy of it is trained, the caller's stays as it is.
        data: A Dataset of (input, target), or a mapping with `train` and `test`.

    Returns:
        The result; the model is at its `state_url`.

    Raises:
        ConfigError: A key or value that can't be right.
        JobError: The job failed.
    """
    with _Session(overrides, model, data) as session:
        return session.result()


def stream(overrides: Overrides = (), *, model: "nn.Module | None" = None, data: Any = None) -> Iterator[Result]:
    """Run a stream of updates through a scenario and yield a result after each; arguments as in `run`."""
    with _Session([*as_list(overrides), "job=stream"], model, data) as session:
        if not session.lone:
            raise ConfigError("renate.stream runs one stream without a tuner; renate.run tunes")
        shown = 0
        while True:
            over = session.done.wait(0.1)
            written = read_json(session.directory / "matrix.json") if session.directory else None
            rows = written[written["metric"]] if written else []
            for count in range(shown + 1, len(rows) + 1):
                yield session.partial(written or {}, count)
            shown = max(shown, len(rows))
            if over:
                session.result()
                return


def as_list(overrides: Overrides) -> list[str]:
    """Overrides as the command line has them; a mapping's values are quoted for Hydra's grammar."""
    if isinstance(overrides, Mapping):
        return [f"{key}={quoted(value)}" for key, value in overrides.items()]
    if isinstance(overrides, str):
        raise ConfigError(f"overrides: expected a list or a mapping, got the text {overrides!r}: write [{overrides!r}]")
    return list(overrides)


class _Session:
    """One job, run in a thread so that a stream can be watched; Ctrl-C ends it."""

    def __init__(self, overrides: Overrides, model: Any, data: Any) -> None:
        self.overrides = as_list(overrides)
        self.model, self.data = model, data
        self.done = threading.Event()
        self.future: Future[Any] = Future()
        self.directory: Path | None = None

    def __enter__(self) -> "_Session":
        from renate.cli.session import composed
        from renate.launchers.tuned.update import Tuning

        self.live = LiveObjects(self.overrides, self.model, self.data)
        try:
            self.launcher, job = composed([*self.overrides, *self.live.overrides])
        except BaseException:
            self.live.release()
            raise
        self.job, self.lone = job, not isinstance(job, Tuning)
        if isinstance(job, Tuning):
            self.directory = job.folder
        else:
            self.directory = job.directory.path
            threading.Thread(target=self._work, daemon=True).start()
        return self

    def _work(self) -> None:
        try:
            self.future.set_result(self.launcher.run([self.job])[0])
        except BaseException as error:
            self.future.set_exception(error)
        finally:
            self.done.set()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, JobError):  # the job is over, well or not
            self.launcher.release()  # its workers stay warm for the next call
        else:
            self.launcher.close()
        self.live.release()

    def result(self) -> Result:
        if not self.lone:
            from renate.launchers.tuned.stream import tune

            tuned = tune(self.launcher, self.job.settings, self.job.parsed)
            return Result(
                tuned.get("metrics") or {}, tuned["url"], tuned["version"], self.job.folder, tuned.get("matrix") or []
            )
        while not self.done.wait(0.2):  # an endless wait would not see Ctrl-C
            time.sleep(0)
        outcome: Json = self.future.result()
        directory = JobDirectory(self.job.directory.path)
        if outcome["status"] not in ("completed", "submitted"):
            raise JobError(f"{outcome.get('error', outcome['status'])} (log: {directory.path}/log.txt)")
        if outcome.get("already"):
            said = f"already published as version {outcome['already']} of {outcome['url']}"
            self.launcher.progress.line(f"{said}, from this config and data; resume=false trains again")
        url = outcome.get("url") or str(self.job.config.state.url)
        matrix = outcome.get("matrix", [])
        return Result(outcome["metrics"], url, outcome["version"], directory.path, matrix)

    def partial(self, written: Json, rows: int) -> Result:
        from renate.metrics import average_accuracy

        metric = written["metric"]
        matrix = written[metric][:rows]
        metrics = {f"average_{metric}": average_accuracy([row[:rows] for row in matrix])}
        url = self.job.config.state.url or str(self.job.directory.path / "state")
        return Result(metrics, url, rows, self.job.directory.path, matrix)


class LiveObjects:
    """Objects of this process where the job finds them, until `release`, and what points the config there.

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

        from renate.jobs.live import Held

        held = Held(_run_dir(overrides) / "live")
        self.release = held.release
        if model is not None:
            path = quoted(str(held.save(model, "model")))
            self.overrides += [
                "model=torch_module",
                "model._target_=renate.jobs.live.LiveModel",
                f"+model.path={path}",
            ]
        if data is not None:
            self.overrides.append("data=torch_dataset")
            for name, items in _parts(data).items():
                path = quoted(str(held.save(items, f"data.{name}")))
                node = f"{{_target_:renate.jobs.live.LiveDataset,path:{path}}}"
                self.overrides.append(f"data.{name}={node}")


def _parts(data: Any) -> "dict[str, Dataset[Any]]":
    parts = dict(data) if isinstance(data, Mapping) else {"train": data}
    if unknown := parts.keys() - {"train", "test"}:
        raise ConfigError(f"data: expected the keys train and test, got {sorted(unknown)[0]!r}")
    if "train" not in parts:
        raise ConfigError("data: expected the key train, and perhaps test")
    return parts


def _run_dir(overrides: Sequence[str]) -> Path:
    """Where the config puts run_dir; composed only where something besides the command line may say."""
    named = [line.partition("=")[2] for line in overrides if line.startswith("run_dir=")]
    if named:
        return Path(named[-1].strip("\"'"))
    if not any(line.lstrip("+").startswith("experiment=") for line in overrides):
        return Path("runs")

    from renate.cli.session import opened

    with opened(overrides) as (_, whole, _):
        return Path(str(whole.run_dir))
