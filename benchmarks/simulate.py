"""How often to retrain: `python benchmarks/simulate.py [--seeds 3] [--folder FOLDER]`.

A year of weekly MNIST in which images turn, classes appear and a week is mislabelled
(`experiment=weekly`, smaller), and the flights of a year by weeks (late or not, from what is known
before departure), each played through seven policies by three updaters; beside them scikit-learn's
gradient boosting. What has run before in FOLDER isn't run again; `--table` only writes what there
is.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from machine import write
from scipy import stats
from simulate_picture import picture

RENATE = [sys.executable, "-m", "renate"]
DATA = Path(os.environ.get("RENATE_DATA", "../shared/data"))
JOINT = "joint"
UPDATERS = ("fine_tuning", "er", JOINT)
COSTS = ("policy=cost", "policy.per_error=1", "policy.per_hour=360000")  # a second: 100 errors
FIRST = 4  # weeks that the first version is trained on
EACH = 12  # of so many flights one is taken
LATE = 15  # minutes
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure")
KNOWN = ("carrier", "origin", "dest", "distance", "sched_dep_time", "sched_arr_time", "weekday")
INPUTS = (*KNOWN, *WEATHER, "visib")
SHARED = (
    "trainer.threads=1",
    "backend.workers=1",
    "job.cost.per_hour=360000",
    f"job.first_slices={FIRST}",
)

Found = dict[tuple[str, str], list[dict[str, Any]]]  # (policy, updater) -> metrics of its seeds


@dataclass(frozen=True)
class Year:
    """A year that is played.

    Attributes:
        name: Its folder's.
        metric: What its weeks are scored by.
        overrides: Of every command.
        amount: Examples of `policy=amount`, some four weeks'.
        capacity: Examples in the memory of `er`; None: by default.
    """

    name: str
    metric: str
    overrides: tuple[str, ...]
    amount: int
    capacity: int | None = None

    @property
    def policies(self) -> dict[str, tuple[str, ...]]:
        """Name -> overrides."""
        plain = ("never", "weekly", "monthly", "performance", "drift", "unusual_drift")
        found = {name: (f"policy={name}",) for name in plain}
        amount = ("policy=amount", f"policy.examples={self.amount}")
        return found | {"amount": amount, "cost": COSTS}


def mnist() -> Year:
    """`experiment=weekly` with fewer examples, so that some sixty years are played in minutes."""
    smaller = ("scenario.per_week=300", "trainer.max_epochs=3", "model.hidden_sizes=[64]")
    gate = (
        "gate.regression={per_update:60,size:10400}",
        "gate.intervals.min_examples=30",
        "gate.max_slice_drop=0.1",
    )
    return Year("mnist", "accuracy", ("experiment=weekly", *smaller, *gate), 1200, capacity=1000)


def flights(folder: Path) -> Year:
    """Late or not, by an MLP."""
    file = folder / "flights.parquet"
    if not file.exists():
        pq.write_table(known_before_departure(), file)

    return Year(
        "flights",
        "auroc",
        (
            *("job=simulate", "data=files", f"data.train={file}", "data.target=late"),
            *("data.time=time_hour", f"data.inputs=[{','.join(INPUTS)}]", "job.metric=auroc"),
            *("metrics=classification_detailed", "objective.metric=val_auroc", "job.window=1"),
            *("model.hidden_sizes=[64]", "optimizer=adam", "trainer.max_epochs=3"),
            "data.batch_size=128",
        ),
        2000,
    )


def known_before_departure() -> pa.Table:
    """Every twelfth flight that has arrived."""
    whole = pq.read_table(DATA / "nycflights13" / "flights.parquet")
    whole = whole.filter(pc.is_valid(whole["arr_delay"]))
    whole = whole.take(np.arange(0, whole.num_rows, EACH))
    whole = whole.append_column("weekday", pc.day_of_week(whole["time_hour"]))
    late = pc.cast(pc.greater(whole["arr_delay"], LATE), pa.int64())
    return whole.append_column("late", late).select(["time_hour", *INPUTS, "late"])


def play(year: Year, folder: Path, seeds: int, policies: Sequence[str]) -> None:
    """Play it by each of some policies, by every updater; each policy is a sweep."""
    for name, overrides in year.policies.items():
        if name not in policies:
            continue
        run_dir = f"run_dir={folder / year.name / name}"
        swept = (f"seed={','.join(map(str, range(seeds)))}", run_dir)
        line = [*year.overrides, *SHARED, *overrides, *swept]
        print(year.name, name, flush=True)
        with (folder / f"{year.name}-{name}.log").open("w") as log:
            for updaters in _by_memory(year):
                command = [*RENATE, *line, *updaters]
                subprocess.run(command, check=True, stdout=log, stderr=log, cwd=folder)


def _by_memory(year: Year) -> list[tuple[str, ...]]:
    """Overrides of the updaters that share a command: joint has a memory without a capacity."""
    if year.capacity is None:
        return [(f"updater={','.join(UPDATERS)}",)]
    others = ",".join(name for name in UPDATERS if name != JOINT)
    capacity = f"memory.capacity={year.capacity}"
    return [(f"updater={others}", capacity), (f"updater={JOINT}", "~memory.capacity")]


def results(year: Year, folder: Path, policy: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the updater and the metrics of each finished job."""
    for path in sorted((folder / year.name / policy).glob("*/result.json")):
        if path.parent.is_symlink():
            continue
        overrides = json.loads((path.parent / "job.json").read_text())["overrides"]
        updater = next(line for line in overrides if line.startswith("updater="))
        found = json.loads(path.read_text())
        if found["status"] == "completed":
            yield updater.removeprefix("updater="), found["metrics"]


def interval(values: Sequence[float], digits: int = 4) -> str:
    """A mean and its 95 % interval (Student's t) over seeds."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return f"{mean:.{digits}f}"
    error = statistics.stdev(values) / len(values) ** 0.5
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def played(year: Year, folder: Path) -> Found:
    """Return the metrics of the seeds, in the order of policies and updaters."""
    found: Found = {}
    for policy in year.policies:
        for updater, metrics in results(year, folder, policy):
            found.setdefault((policy, updater), []).append(metrics)

    places = [*year.policies]
    order = sorted(found, key=lambda key: (places.index(key[0]), UPDATERS.index(key[1])))
    return {key: found[key] for key in order}


def section(year: Year, title: str, folder: Path) -> list[str]:
    """A year's table and its picture."""
    found = played(year, folder)
    score = f"prequential_{year.metric}"
    points = {
        key: ([run["updates"] for run in runs], [run[score] for run in runs])
        for key, runs in found.items()
    }
    file = picture(year.name, year.metric, points)
    alt = f"{title}: mean {year.metric} against updates, by policy and updater"
    caption = (
        "Each point is a policy, its small dots the seeds. Up and to the left is better: more "
        "right answers for fewer updates."
    )
    shown = [f"![{alt}]({file.name})", "", caption]
    return [f"### {title}", "", *shown, "", *table(year, found), ""]


def table(year: Year, found: Found) -> list[str]:
    """One row for each policy and updater; the share is that of weekly retraining's score."""
    score = f"prequential_{year.metric}"
    lines = [
        f"| policy | updater | n | {year.metric} | of weekly's | updates | training, s | cost |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (policy, updater), runs in found.items():
        weekly = found.get(("weekly", updater))
        share = ""
        if weekly:
            ratio = statistics.fmean(run[score] for run in runs)
            share = f"{ratio / statistics.fmean(run[score] for run in weekly):.1%}"
        cells = [
            interval([run[score] for run in runs]),
            share,
            interval([run["updates"] for run in runs], 1),
            interval([run["training_seconds"] for run in runs], 1),
            interval([run["cost"] for run in runs], 0),
        ]
        lines.append(f"| {policy} | {updater} | {len(runs)} | {' | '.join(cells)} |")
    return lines


def boosting(folder: Path) -> list[str]:
    """Gradient boosting on the same flights: weeks from the fifth on, each predicted before it is
    learned.
    """
    kept = folder / "boosting.md"
    if kept.exists():
        return kept.read_text().splitlines()

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    flown = pq.read_table(folder / "flights.parquet")
    days = flown["time_hour"].to_numpy().astype("datetime64[D]").astype(np.int64)
    week = (days + 3) // 7  # from Monday, as `job.every=week`
    week -= week.min()
    late = flown["late"].to_numpy()
    inputs = np.stack([_numbers(flown[name]) for name in INPUTS], 1)
    categories = [name in ("carrier", "origin", "dest") for name in INPUTS]

    lines = ["| retrained | auroc |", "| --- | --- |"]
    for name, every in (("never", None), ("every four weeks", 4), ("weekly", 1)):
        scores = []
        model = None
        for number in range(FIRST, int(week.max()) + 1):
            if model is None or (every is not None and (number - FIRST) % every == 0):
                model = HistGradientBoostingClassifier(
                    max_iter=100, categorical_features=categories, random_state=0
                )
                model.fit(inputs[week < number], late[week < number])
            own = week == number
            scores.append(roc_auc_score(late[own], model.predict_proba(inputs[own])[:, 1]))
        lines.append(f"| {name} | {statistics.fmean(scores):.4f} |")

    kept.write_text("\n".join(lines) + "\n")
    return lines


def _numbers(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Numbers as they are; categories as codes in the order of their names."""
    if pa.types.is_large_string(column.type) or pa.types.is_string(column.type):
        _, codes = np.unique(column.to_numpy(), return_inverse=True)
        return codes.astype(np.float64)
    return column.cast(pa.float64()).to_numpy()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", choices=("mnist", "flights"))
    known = [*mnist().policies]
    parser.add_argument("--policies", nargs="+", choices=known, default=known)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    folder = (asked.folder or Path(tempfile.mkdtemp())).absolute()
    folder.mkdir(parents=True, exist_ok=True)

    years = [mnist(), flights(folder)]
    for year in years:
        if not asked.table and asked.only in (None, year.name):
            play(year, folder, asked.seeds, asked.policies)

    text = (
        "Each week is scored before it is trained on; the mean over weeks 5 to 52, ± half the 95 % "
        "interval over n seeds. Updates and their seconds (one thread, a shared machine) are "
        "those after the first version, which is trained on four weeks. Cost: 1 for a wrong "
        "answer, 100 for a second of training; `policy=cost` goes by the same prices. A row that "
        "isn't there wasn't run."
    )
    body = section(years[0], "MNIST, with its gate", folder)
    body += section(years[1], "Flights", folder)
    body += ["scikit-learn's gradient boosting on the same flights, on all so far:", ""]
    body += boosting(folder)
    write("simulate", "How often to retrain", text, body)


if __name__ == "__main__":
    main()
