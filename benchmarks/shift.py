"""False alarms and power of `renate.shift`: `python benchmarks/shift.py alarms`, and `power`.

False alarms: two samples of one distribution are compared so many times; the share of p-values
below 0.05 must lie within 0.03 and 0.07 for each test. Of the family of all tests Holm's
correction bounds it from above. Power: the same with something moved in the second sample. Images
are scikit-learn's digits, whose halves are drawn anew each time; tables are five normal columns and
a category.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from machine import write
from sklearn.datasets import load_digits

from renate.shift.detector import Detector, Drift, Samples
from renate.shift.two_sample import categories, numbers
from renate.shift.views import View

LEVEL = 0.05
BOUNDS = (0.03, 0.07)
SIZES = (50, 200, 800)
POWER_DRAWS = 60
POWER = (
    f"how often anything is found after Holm's correction, of {POWER_DRAWS} draws, and in brackets "
    "the mean of the largest effect that was found (0 where nothing was). Rows are those of each "
    "of the two samples."
)
Array = np.ndarray[Any, Any]
Change = Callable[[Array, np.random.Generator, int], tuple[Array, Array]]
SETTINGS: dict[str, Any] = {
    "level": LEVEL,
    "permutations": 199,
    "classifier": True,
    "min_examples": 5,
    "max_examples": 10_000,
}


def table(rng: np.random.Generator, rows: int) -> tuple[Array, Array]:
    """Five numbers and a category of four, unequally frequent."""
    codes = rng.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1])
    return rng.normal(size=(rows, 5)), codes


def samples(
    before: tuple[Array, Array], now: tuple[Array, Array], *, columns: bool = True
) -> Samples:
    views = []
    if columns:
        views = [
            View(f"x{place}", "number", before[0][:, place], now[0][:, place]) for place in range(5)
        ]
    labels = View("labels", "category", before[1], now[1])
    both = (before[0], now[0])
    return Samples(views, both, None, labels, (len(before[0]), len(now[0])))


def false_alarms(draws: int, rows: int) -> Iterator[tuple[str, int, float]]:
    """Of each test over how many draws, and of the family after Holm's correction. What costs
    little is drawn ten times as often.
    """
    rng = np.random.default_rng(11)
    cheap = {
        "Kolmogorov-Smirnov": lambda: numbers(rng.normal(size=rows), rng.normal(size=rows)),
        "chi-square": lambda: categories(table(rng, rows)[1], table(rng, rows)[1]),
    }
    for name, draw in cheap.items():
        values = np.array([draw().p_value for _ in range(10 * draws)])
        yield name, len(values), float(np.mean(values < LEVEL))

    rng = np.random.default_rng(7)
    detector = Detector(**SETTINGS)
    reports = [
        detector.compare(samples(table(rng, rows), table(rng, rows)), seed) for seed in range(draws)
    ]
    for name in ("kernel MMD", "classifier"):
        values = np.array(
            [next(e.found.p_value for e in each.moved if e.test == name) for each in reports]
        )
        yield name, draws, float(np.mean(values < LEVEL))

    found = float(np.mean([bool(report.found) for report in reports]))
    yield "all together, after Holm", draws, found


def digits() -> tuple[Array, Array]:
    found = load_digits()
    return found.images / 16.0, found.target


def changes(images: Array, target: Array) -> dict[str, Change]:
    """Name -> what becomes of drawn rows: (places of the pool, generator, how many) -> images,
    labels.
    """

    def blurred(rows: Array) -> Array:
        padded = np.pad(rows, ((0, 0), (1, 1), (1, 1)), mode="edge")
        parts = [padded[:, i : i + 8, j : j + 8] for i in range(3) for j in range(3)]
        return 0.5 * rows + 0.5 * np.mean(parts, axis=0)

    def rotated(rows: Array) -> Array:
        from scipy.ndimage import rotate

        return rotate(rows, 15, axes=(1, 2), reshape=False, order=1)

    return {
        "nothing": lambda places, rng, rows: (images[places], target[places]),
        "noise 0.1": lambda places, rng, rows: (
            images[places] + rng.normal(0, 0.1, (len(places), 8, 8)),
            target[places],
        ),
        "blur": lambda places, rng, rows: (blurred(images[places]), target[places]),
        "rotation by 15°": lambda places, rng, rows: (rotated(images[places]), target[places]),
        "class imbalance: half as many below 5": lambda places, rng, rows: imbalanced(
            images, target, places, rng, rows
        ),
    }


def imbalanced(images: Array, target: Array, places: Array, rng: Any, rows: int) -> Any:
    weights = np.where(target[places] < 5, 0.5, 1.0)
    drawn = rng.choice(places, rows, replace=True, p=weights / weights.sum())
    return images[drawn], target[drawn]


def power_on_digits(name: str, rows: int) -> tuple[float, float]:
    """How often anything is found, and the mean of the largest effect that was."""
    images, target = digits()
    change = changes(images, target)[name]
    detector = Detector(**SETTINGS)
    projection = np.random.default_rng(0).normal(size=(64, 32)) / 8
    rng = np.random.default_rng(3)
    reports: list[Drift] = []
    for seed in range(POWER_DRAWS):
        order = rng.permutation(len(images))
        first, pool = order[:rows], order[rows:]
        found, labels = change(pool[:rows], rng, rows)
        before = (images[first].reshape(rows, -1) @ projection, target[first])
        now = (found.reshape(len(found), -1) @ projection, labels)
        reports.append(detector.compare(samples(before, now, columns=False), seed))

    effects = [report.effect for report in reports]
    return float(np.mean([bool(report.found) for report in reports])), float(np.mean(effects))


def power_on_tables(shift: float, rows: int) -> tuple[float, float]:
    detector = Detector(**SETTINGS)
    rng = np.random.default_rng(4)
    reports = []
    for seed in range(POWER_DRAWS):
        now = table(rng, rows)
        now[0][:, 0] += shift
        reports.append(detector.compare(samples(table(rng, rows), now), seed))

    effects = [report.effect for report in reports]
    return float(np.mean([bool(report.found) for report in reports])), float(np.mean(effects))


def row(name: str, found: list[tuple[float, float]]) -> str:
    return f"| {name} | " + " | ".join(f"{share:.2f} ({size:.2f})" for share, size in found) + " |"


def alarms(draws: int) -> None:
    """Write the table of false alarms; ends with an error where one is out of bounds."""
    lines = ["| test | null draws | share below 0.05 |", "| --- | --- | --- |"]
    bad = []
    for name, count, share in false_alarms(draws, 200):
        lines.append(f"| {name} | {count} | {share:.3f} |")
        least = 0.0 if "Holm" in name else BOUNDS[0]
        if not least <= share <= BOUNDS[1]:
            bad.append(f"{name}: {share:.3f}")

    text = "how often something is found where nothing has moved, 200 + 200 rows of a table."
    write("shift_alarms", "Drift: false alarms", text, lines, "shift")
    if bad:
        sys.exit(f"outside of {BOUNDS}: {'; '.join(bad)}")


def power() -> None:
    """Write the table of power."""
    lines = ["| moved | " + " | ".join(f"{rows} rows" for rows in SIZES) + " |"]
    lines.append("| --- |" + " --- |" * len(SIZES))
    for name in changes(*digits()):
        lines.append(row(f"digits: {name}", [power_on_digits(name, rows) for rows in SIZES]))
    for shift in (0.1, 0.25, 0.5):
        found = [power_on_tables(shift, rows) for rows in SIZES]
        lines.append(row(f"table: mean of one of five columns by {shift} sd", found))

    write("shift_power", "Drift: power", POWER, lines, "shift")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=("alarms", "power"))
    parser.add_argument("--draws", type=int, default=500)
    asked = parser.parse_args()
    warnings.simplefilter("error")
    if asked.part == "alarms":
        alarms(asked.draws)
    else:
        power()


if __name__ == "__main__":
    main()
