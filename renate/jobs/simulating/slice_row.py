"""What a simulation leaves: a row for each slice of data, in `simulation.csv` and
`simulation.parquet` of its job's directory.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from renate.errors import JobError
from renate.files import replacing

PARQUET = "simulation.parquet"
CSV = "simulation.csv"
BETWEEN = "; "  # reasons
SCHEMA = pa.schema(
    [
        ("slice", pa.int64()),
        ("time", pa.string()),
        ("examples", pa.int64()),
        ("score", pa.float64()),
        ("errors", pa.int64()),
        ("version", pa.int64()),
        ("decision", pa.string()),
        ("reasons", pa.string()),
        ("updated", pa.int64()),
        ("verdict", pa.string()),
        ("verdict_reasons", pa.string()),
        ("in_use", pa.int64()),
        ("seconds", pa.float64()),
        ("effect", pa.float64()),
    ]
)
# Of earlier releases, which didn't keep the last column
EARLIER = pa.schema(list(SCHEMA)[:-1])


@dataclass(frozen=True)
class SliceRow:
    """What happened when a slice of data came. In the CSV what is None is an empty cell.

    Attributes:
        slice: Its number, from 1.
        time: When it had wholly come, by the data's own time: ISO 8601, UTC.
        examples: How many it has.
        score: What the version in use was worth on all of them, before any version was trained on
            them; by the metric that `result.json` names, which also says which way it is better.
            None where no version was in use yet, or the metric isn't defined on them.
        errors: How many of its answers were wrong; None where answers aren't right or wrong.
        version: The version that was in use; None where there was none yet.
        decision: `update` or `wait`, as the policy said.
        reasons: Why, joined by `; `.
        updated: The version that an update then made; None where there was no update.
        verdict: What the gate said of it: `promote`, `hold` or `reject`; None without a gate or an
            update.
        verdict_reasons: Why, joined by `; `; None without a verdict.
        in_use: The version in use from then on; None where there is none yet.
        seconds: What the update took; 0 where there was none.
        effect: How much the last slices differed from the reference of the version in use, the
            largest effect that was found; None where the policy didn't ask.
    """

    slice: int
    time: str
    examples: int
    score: float | None
    errors: int | None
    version: int | None
    decision: str
    reasons: str
    updated: int | None
    verdict: str | None
    verdict_reasons: str | None
    in_use: int | None
    seconds: float
    effect: float | None = None


COLUMNS = tuple(each.name for each in fields(SliceRow))


def write_rows(folder: Path, rows: Sequence[SliceRow]) -> None:
    """Write both files, each whole or not at all; the parquet file, which a resumed simulation
    goes on from, last.
    """
    plain = [asdict(row) for row in rows]
    with replacing(folder / CSV) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(plain)

    with replacing(folder / PARQUET) as temporary:
        pq.write_table(pa.Table.from_pylist(plain, SCHEMA), temporary)


def read_rows(folder: Path) -> list[SliceRow]:
    """Return the rows that an earlier, interrupted run has left; none where it has left none.

    Raises:
        JobError: The file isn't what a simulation writes.
    """
    path = folder / PARQUET
    if not path.exists():
        return []

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise JobError(_odd(path, str(error).splitlines()[0])) from error

    if table.schema.remove_metadata() not in (SCHEMA, EARLIER):
        raise JobError(_odd(path, "its columns are others"))

    plain: list[Mapping[str, Any]] = table.to_pylist()
    if [row["slice"] for row in plain] != list(range(1, len(plain) + 1)):
        raise JobError(_odd(path, "its slices don't follow one another"))
    return [SliceRow(**row) for row in plain]


def _odd(path: Path, why: str) -> str:
    return f"{path}: not what a simulation writes ({why}); resume=false plays it anew"
