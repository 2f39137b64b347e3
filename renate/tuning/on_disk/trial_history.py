"""The history of a state's tuning: one row per trial of every update so far, kept in `hpo.csv`."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from renate.errors import ConfigError
from renate.metrics import COST
from renate.state.contents import FIXED as FIELDS
from renate.state.contents import history_from
from renate.state.manifest import Manifest
from renate.state.versions import State
from renate.tuning.base import COMPLETED
from renate.tuning.space import Config, Space
from renate.tuning.trial import Trial

if TYPE_CHECKING:
    from pandas import DataFrame

HISTORY = "hpo.csv"

Row = dict[str, str]


def rows_of(trials: Iterable[Trial], secondary: Iterable[str] = (), **same: Any) -> list[Row]:
    """One row per trial; `secondary` names further objectives, `same` has what they share: update,
    sweep, metric, …
    """
    names = list(secondary)
    return [
        {name: str(value) for name, value in same.items()}
        | {
            "trial": str(trial.id),
            "source": trial.source,
            "status": trial.status,
            "step": str(trial.step),
            "value": "" if trial.value is None else repr(trial.value),
            "seconds": f"{trial.seconds:.3f}",
            "error": trial.error or "",
        }
        | dict(zip(names, map(repr, trial.secondary), strict=False))
        | trial.config
        for trial in trials
    ]


def encode(rows: Sequence[Row]) -> bytes:
    """CSV; a column per key follows the fixed ones, empty where the key is inactive."""
    keys = dict.fromkeys(key for row in rows for key in row if key not in FIELDS)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [*FIELDS, *keys], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def decode(data: bytes, where: str = HISTORY) -> list[Row]:
    """Read what `encode` wrote; `where` is for messages.

    Raises:
        CorruptError: It is something else.
    """
    rows = history_from(data, where)
    return [{k: v for k, v in row.items() if k in FIELDS or v} for row in rows]


def read(state: State, manifest: Manifest | None) -> list[Row]:
    """The rows that a version holds; none where nothing was tuned yet."""
    if manifest is None or HISTORY not in manifest.files:
        return []
    return decode(bytes(state.read(manifest, HISTORY)), f"{state.url}: '{HISTORY}' of {manifest}")


def history(url: str, version: int | None = None) -> "DataFrame":
    """Every trial of every tuned update of a state, as a pandas data frame.

    Args:
        url: The state, on a disk or in an object store.
        version: The rows up to this version; None is the newest.

    Raises:
        ConfigError: pandas isn't installed.
        StateError: No such state or version.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ConfigError("renate.tuning.history needs pandas: pip install pandas") from error

    state = State(url)
    data = encode(read(state, state.manifest(version)))
    # A value that is null is no key that was left out, which is empty
    return pd.read_csv(
        io.BytesIO(data),
        dtype={"sweep": str, "error": str},
        keep_default_na=False,
        na_values=["", "nan"],
    )


def best_of_each_update(
    rows: Sequence[Row], space: Space, defaults: Mapping[str, str], *, metric: str, mode: str
) -> list[Config]:
    """The best configuration of each earlier update, newest first, as far as the space has room
    for it.
    """
    found: list[Config] = []
    sign = COST[mode]

    for update in reversed(_completed(rows, metric, mode)):
        config = _fitted(min(update, key=lambda row: sign * float(row["value"])), space, defaults)
        if space.fits(config) and config not in found:
            found.append(config)

    return found


def completed_of_each_update(
    rows: Sequence[Row], space: Space, defaults: Mapping[str, str], *, metric: str, mode: str
) -> list[list[tuple[Config, float]]]:
    """Configuration and value, turned so that less is better, of the completed trials that fit
    the space.
    """
    sign = COST[mode]
    updates = _completed(rows, metric, mode)
    found = [
        [(_fitted(row, space, defaults), sign * float(row["value"])) for row in update]
        for update in updates
    ]
    return [[(config, value) for config, value in update if space.fits(config)] for update in found]


def _completed(rows: Sequence[Row], metric: str, mode: str) -> list[list[Row]]:
    """The completed trials with this objective, update by update, oldest first."""
    updates: dict[str, list[Row]] = {}
    for row in rows:
        if (row["metric"], row["mode"], row["status"]) == (metric, mode, COMPLETED) and row[
            "value"
        ]:
            updates.setdefault(row["update"], []).append(row)

    return [updates[update] for update in sorted(updates, key=int)]


def _fitted(row: Row, space: Space, defaults: Mapping[str, str]) -> Config:
    """Keys that the space doesn't know are left out, keys that the row lacks take their default."""
    return space.active({key: row.get(key, defaults.get(key, "")) for key in space.domains})
