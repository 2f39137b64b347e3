"""What Renate's users find where a job's outcome goes, besides the state itself."""

import csv
import io
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load

from renate.api import Result
from renate.compat.space.domains import is_domain
from renate.compat.space.keys import OPTIMIZERS, Translation
from renate.errors import StateError
from renate.state.store import Store, open_store
from renate.state.versions import State
from renate.tuning.on_disk.trial_history import read

WEIGHTS = "model.ckpt"
HISTORY = "hpo.csv"
NET = "net."
STATUS = {"completed": "Completed", "stopped": "Stopped", "failed": "Failed"}

Row = dict[str, str]


def write_outputs(
    result: Result, translation: Translation, settings: Mapping[str, Any], input_url: str | None
) -> None:
    """Write the weights that `model_fn` loads, and after tuning the trials in Renate's columns.

    Args:
        result: Of the job; one that runs elsewhere, unwaited for, has published nothing yet.
        translation: Its config_space.
        settings: The call's own, which each row repeats.
        input_url: The state that the update started from, whose trials come first.
    """
    if result.version is None:
        return

    state = State(result.state_url)
    manifest = state.manifest(result.version)
    store = open_store(result.state_url)
    tensors = load(bytes(state.read(manifest, "model.safetensors")))
    weights = {name.removeprefix(NET): tensor for name, tensor in tensors.items()}
    held = io.BytesIO()
    torch.save(weights, held)
    store.replace(WEIGHTS, held.getvalue())

    earlier = []
    if input_url is not None:
        earlier = _earlier(open_store(input_url.rstrip("/")))

    rows = earlier
    if translation.tuned:
        new = _rows(read(state, manifest), translation, settings)
        number = new[0]["update_id"]
        rows = [*(row for row in earlier if row["update_id"] != number), *new]
    if rows:
        store.replace(HISTORY, _encoded(rows))


def _earlier(store: Store) -> list[Row]:
    """The trials that a call of before has left there; none where no call was tuned."""
    try:
        text = bytes(store.get(HISTORY)).decode()
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise StateError(f"{store.url}/{HISTORY}: no CSV file: {error}") from error

    rows = list(csv.DictReader(io.StringIO(text)))
    if rows and "update_id" not in rows[0]:
        raise StateError(
            f"{store.url}/{HISTORY}: expected the column update_id, as a tuned call writes it"
        )
    return rows


def _rows(history: list[Row], translation: Translation, settings: Mapping[str, Any]) -> list[Row]:
    """The newest update's trials, one row each: what it reached, and its configuration."""
    newest = history[-1]["update"]
    theirs = {ours: key for key, ours in translation.keys.items()}
    if "memory_batch_size" in translation.config:
        theirs["updater.replay_batch_size"] = "memory_batch_size"
    fixed = {
        f"config_{key}": str(value)
        for key, value in translation.config.items()
        if not is_domain(value)
    }
    fixed |= {f"config_{key}": str(value) for key, value in settings.items()}

    rows = []
    for trial in history:
        if trial["update"] != newest:
            continue
        row = {
            "update_id": str(int(newest) - 1),
            trial["metric"]: trial["value"],
            "epoch": trial["step"],
            "st_status": STATUS.get(trial["status"], trial["status"]),
            "st_worker_time": trial["seconds"],
            "trial_id": trial["trial"],
        }
        for key, value in trial.items():
            name = theirs.get(key, "")
            if key == "optimizer.momentum":
                name = "momentum"
            if key == "optimizer":
                name = key
                value = next(theirs for theirs, ours in OPTIMIZERS.items() if ours == value)
            if key.startswith("config_file."):
                name = key.removeprefix("config_file.")
            if name:
                row[f"config_{name}"] = value
        rows.append(row | fixed)

    return rows


def _encoded(rows: list[Row]) -> bytes:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
