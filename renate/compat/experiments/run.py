"""`execute_experiment_job`: an update for each chunk, all chunks measured after each."""

import csv
import io
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renate.compat import benchmark
from renate.compat.calls.arguments import by_name
from renate.compat.calls.training import method_and_space, run_training_job
from renate.compat.names.defaults import WORKING_DIRECTORY
from renate.errors import ConfigError
from renate.metrics import average_accuracy, backward_transfer, forgetting, forward_transfer
from renate.state.contents import metrics_from
from renate.state.store import open_store
from renate.state.versions import State

CHUNK = "chunk_"
COLUMNS = (
    "Task ID",
    "Average Accuracy",
    "Forgetting",
    "Forward Transfer",
    "Backward Transfer",
)
SUMMARY = "metrics_summary"


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

    States are at `update_<k>` of the outputs, tables of metrics in its `logs`.

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
    matrix: list[list[float]] = []
    untrained: list[float] = []

    for update in range(num_updates):
        url = f"{base}/update_{update}"
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
        before, after = _accuracies(url, num_updates)
        untrained = untrained or before
        matrix.append(after)
        _write(base, f"{SUMMARY}_update_{update}.csv", [_row(matrix, untrained)])

    rows = [_row(matrix[: t + 1], untrained) for t in range(num_updates)]
    _write(base, f"{SUMMARY}.csv", rows)
    if not save_state:
        for update in range(num_updates):
            shutil.rmtree(Path(base) / f"update_{update}")

    return matrix


def _accuracies(url: str, chunks: int) -> tuple[list[float], list[float]]:
    """Accuracy on each chunk before and after the newest version's update."""
    state = State(url)
    manifest = state.manifest()
    where = f"{url}: 'metrics.json' of {manifest}"
    scores = metrics_from(state.read(manifest, "metrics.json"), where)
    names = [f"{CHUNK}{number}" for number in range(chunks)]
    missing = [name for name in names if name not in scores["after"]]
    if missing:
        raise ConfigError(
            f"num_updates={chunks}: the data module has no test data of {missing[0]}: "
            "data_module_fn must return a scenario of at least as many chunks"
        )

    before = [scores["before"].get(name, {}).get("accuracy", 0.0) for name in names]
    return before, [scores["after"][name]["accuracy"] for name in names]


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


def _write(base: str, name: str, rows: list[list[float]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    open_store(f"{base}/logs").replace(name, text.getvalue().encode())
