"""Renate's hpo.csv, a row for each report, as ours, a row for each trial."""

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from renate.compat.space.keys import COMMON, REPLAY
from renate.compat.space.methods import method_named
from renate.errors import ConfigError, StateError
from renate.tuning.on_disk.trial_history import Row

FILE = "hpo.csv"
NEEDED = ("update_id", "trial_id", "config_metric", "config_mode")
MODES = ("max", "min")
STATUS = {"Completed": "completed", "Stopped": "stopped", "Stopping": "stopped"}
# What a call says besides its config_space.
NOT_TUNED = (
    "optimizer",
    "updater",
    "config_file",
    "prepare_data",
    "task_id",
    "chunk_id",
    "working_directory",
    "seed",
    "accelerator",
    "devices",
    "strategy",
    "precision",
    "deterministic_trainer",
    "gradient_clip_val",
    "gradient_clip_algorithm",
    "metric",
    "mode",
    "input_state_url",
    "early_stopping",
    "mask_unused_classes",
)


def history_of(folder: Path) -> list[Row]:
    """Return the trials of an old state; none where nothing was recorded.

    Raises:
        StateError: The file is another one.
    """
    path = folder / FILE
    if not path.is_file():
        return []

    try:
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file))
    except (csv.Error, UnicodeDecodeError) as error:
        raise StateError(f"{path}: no CSV file: {error}") from error

    missing = [name for name in NEEDED if lines and name not in lines[0]]
    if missing:
        raise StateError(f"{path}: it has no column {missing[0]}: is it Renate's?")

    trials: dict[tuple[int, int], list[dict[str, str]]] = {}
    for number, line in enumerate(lines, 2):
        where = f"{path}: line {number}"
        _check_line(line, where)
        try:
            key = (int(line["update_id"]), int(line["trial_id"]))
        except ValueError as error:
            raise StateError(f"{where}: {error}") from error
        if min(key) < 0:
            raise StateError(
                f"{where}: update_id is {key[0]}, trial_id {key[1]}: expected 0 or more"
            )
        trials.setdefault(key, []).append(line)

    return [_row(path, *key, reports) for key, reports in sorted(trials.items())]


def _check_line(line: Mapping[str | None, object], where: str) -> None:
    """Raises StateError for a report that isn't what Renate wrote."""
    # What csv calls what no name stands for, and what is missing
    if None in line or None in line.values():
        raise StateError(f"{where}: it has more or fewer fields than the first line names")
    if line["config_mode"] not in MODES:
        raise StateError(f"{where}: config_mode is '{line['config_mode']}', expected max or min")
    if line["config_metric"] not in line:
        raise StateError(
            f"{where}: config_metric is '{line['config_metric']}', and there is no such column"
        )


def _row(path: Path, update: int, trial: int, reports: list[dict[str, str]]) -> Row:
    last = reports[-1]
    metric = last["config_metric"]
    mode = last["config_mode"]
    values = [_number(path, metric, report.get(metric)) for report in reports]
    # A trial that diverged has reached nothing by the reports that say so
    known = [value for value in values if value is not None and math.isfinite(value)]
    best = None
    if known:
        if mode == "max":
            best = max(known)
        else:
            best = min(known)
    epochs = [_number(path, "epoch", report.get("epoch")) or 0.0 for report in reports]
    if not all(map(math.isfinite, epochs)):
        raise StateError(f"{path}: an epoch is nan, expected a number")

    row = {
        "update": str(update + 1),
        "sweep": "imported",
        "trial": str(trial),
        "source": "Renate",
        "status": STATUS.get(last.get("st_status", ""), "failed"),
        "step": str(int(max(epochs))),
        "metric": metric,
        "mode": mode,
        "value": "" if best is None else repr(best),
        "seconds": last.get("st_worker_time") or "",
        "seed": last.get("config_seed") or "0",
        "error": "",
    }
    return row | _configuration(last)


def _number(path: Path, name: str, text: str | None) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise StateError(f"{path}: {name} is '{text}', expected a number") from error


def _configuration(report: Mapping[str, str]) -> dict[str, str]:
    """The configuration in our keys; what none of them is was an argument of the config file's."""
    try:
        own = method_named(report.get("config_updater", "ER")).keys
    except ConfigError:
        own = {}

    keys = {**COMMON, **REPLAY, **own, "momentum": "optimizer.momentum"}
    found: dict[str, str] = {}
    for column, value in report.items():
        name = column.removeprefix("config_")
        if not column.startswith("config_") or not value or name in NOT_TUNED:
            continue
        found[keys.get(name, f"config_file.{name}")] = value

    return found
