"""`execute_experiment_job`: an update for each chunk, all chunks measured after each."""

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from renate.compat import benchmark
from renate.compat.calls import lines
from renate.compat.calls.arguments import by_name
from renate.compat.calls.running import also, tell_once
from renate.compat.calls.training import method_and_space, run_training_job
from renate.compat.names.defaults import WORKING_DIRECTORY
from renate.errors import ConfigError
from renate.metrics import average_accuracy, backward_transfer, forgetting, forward_transfer
from renate.state.contents import metrics_from
from renate.state.store import open_store
from renate.state.versions import State

CHUNK = "chunk_"
METRIC = "accuracy"
COLUMNS = (
    "Task ID",
    "Average Accuracy",
    "Forgetting",
    "Forward Transfer",
    "Backward Transfer",
)
SUMMARY = "metrics_summary"

Scores = list[Mapping[str, float]]  # of each chunk, metric -> value


def experiment_config_file() -> str:
    """Return the path of the config file that makes Renate's models, data sets and scenarios by
    name: `model_name`, `dataset_name`, `scenario_name` and their arguments are keys of the
    config_space then.
    """
    return str(Path(benchmark.__file__).parent / "experiment_config.py")


@by_name(others=run_training_job)
def execute_experiment_job(  # noqa: PLR0913 (Renate's signature)
    backend: str,
    config_file: str,
    config_space: Mapping[str, Any],
    experiment_outputs_url: str,
    mode: str,
    metric: str,
    num_updates: int,
    working_directory: str = WORKING_DIRECTORY,
    seed: int = 0,
    deterministic_trainer: bool = True,
    save_state: bool = True,
    **others: Any,
) -> list[list[float]]:
    """Update a model once for each chunk, and measure it on the test data of every chunk.

    States are at `update_<k>` of the outputs, tables in its `logs`: one of all updates at the end,
    and after each update one of every metric of every chunk.

    Args:
        backend: See `run_training_job`, as what isn't named here.
        config_file: Its `data_module_fn` returns one of Renate's scenarios.
        config_space: As of an update; `updater` may stand in it.
        experiment_outputs_url: A folder, or a place in an object store.
        mode: See there.
        metric: See there.
        num_updates: How many, of the chunks 0, 1, …
        working_directory: See there.
        seed: See there.
        deterministic_trainer: See there.
        save_state: False removes each state from a folder once the experiment is over.
        **others: Further arguments of `run_training_job`.

    Returns:
        Accuracy on chunk i (column) after update t (row).

    Raises:
        ConfigError: An argument that can't be right, or data that aren't in chunks.
    """
    if isinstance(num_updates, bool) or not isinstance(num_updates, int) or num_updates < 1:
        raise ConfigError(f"num_updates={num_updates!r}: expected a whole number of 1 or more")
    if not save_state and "://" in experiment_outputs_url:
        raise ConfigError("save_state=False: only states in a folder can be removed afterwards")

    method, space = method_and_space(others.pop("updater", None), config_space)
    base = experiment_outputs_url.rstrip("/")
    tell_of_scheduler_fn(config_file, others.get("scheduler"))
    measured: list[Scores] = []
    untrained: list[float] = []

    for update in range(num_updates):
        url = f"{base}/update_{update}"
        with also([f"data.chunks={num_updates}"]):
            run_training_job(
                mode=mode,
                config_space=space,
                metric=metric,
                backend=backend,
                updater=method.name,
                chunk_id=update,
                config_file=config_file,
                input_state_url=f"{base}/update_{update - 1}" if update else None,
                output_state_url=url,
                working_directory=working_directory,
                seed=seed,
                deterministic_trainer=deterministic_trainer,
                **others,
            )
        before, after = _scores(url, num_updates)
        untrained = untrained or [each[METRIC] for each in before]
        measured.append(after)
        _write(base, f"{SUMMARY}_update_{update}.csv", _of_each_chunk(measured))

    matrix = [[each[METRIC] for each in after] for after in measured]
    rows = [_row(matrix[: t + 1], untrained) for t in range(num_updates)]
    _write(base, f"{SUMMARY}.csv", [[*COLUMNS], *rows])
    if not save_state:
        for update in range(num_updates):
            shutil.rmtree(Path(base) / f"update_{update}")

    return matrix


def tell_of_scheduler_fn(config_file: str, scheduler: Any) -> None:
    """Say that a config file's `scheduler_fn` isn't asked, where no scheduler is given."""
    if scheduler is None and "scheduler_fn" in lines.description_of(config_file, None).functions:
        tell_once(
            f"scheduler_fn of {config_file} is left out: give scheduler and scheduler_kwargs to "
            "execute_experiment_job"
        )


def _scores(url: str, chunks: int) -> tuple[Scores, Scores]:
    """Each chunk's scores before and after the newest version's update.

    Raises:
        ConfigError: A chunk has no accuracy.
    """
    state = State(url)
    manifest = state.manifest()
    where = f"{url}: 'metrics.json' of {manifest}"
    scores = metrics_from(state.read(manifest, "metrics.json"), where)
    names = [f"{CHUNK}{number}" for number in range(chunks)]
    found = [[scores[when].get(name, {}) for name in names] for when in ("before", "after")]
    for each in (*found[0], *found[1]):
        if METRIC not in each:
            raise ConfigError(
                f"{where} has no {METRIC} of each chunk ({', '.join(each) or 'nothing'}): "
                "execute_experiment_job takes classes"
            )

    return found[0], found[1]


def _of_each_chunk(measured: Sequence[Scores]) -> list[list[Any]]:
    """Every metric of every chunk, a line for each update so far, as Renate wrote them: below two
    lines of headings.
    """
    chunks = len(measured[0])
    metrics = [name for name in measured[0][0] if all(name in each for s in measured for each in s)]
    table: list[list[Any]] = [
        ["Task ID", *(name for name in metrics for _ in range(chunks))],
        ["", *(f"Task {number + 1}" for _ in metrics for number in range(chunks))],
    ]
    for update, scores in enumerate(measured):
        table.append([update + 1, *(each[name] for name in metrics for each in scores)])

    return table


def _row(matrix: list[list[float]], untrained: list[float]) -> list[float]:
    """One update's line of the summary: of the chunks seen so far."""
    seen = len(matrix)
    square = [row[:seen] for row in matrix]
    return [
        seen,
        average_accuracy(square),
        forgetting(square),
        forward_transfer(square, untrained[:seen]),
        backward_transfer(square),
    ]


def _write(base: str, name: str, rows: list[list[Any]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    open_store(f"{base}/logs").replace(name, text.getvalue().encode())
