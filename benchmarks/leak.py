"""Does any row change sides? `python benchmarks/leak.py [--updates 10]` (about two minutes).

A folder of files grows week by week, in five ways: rows come again in other files, files are
renamed so that they come in another order, a file is split, files are merged, columns are written
in another order. Every week is one update of one state, with the README's weekly command: no
data.test. The labels are coin flips, so a model that is tested on rows that it hasn't seen is right
half of the time; the model is large enough to learn what it does see by heart.

The memory is one that keeps everything, so that the last version's holds every row that any update
trained on. Each row carries a number of its own, by which the rows of the memory are told from
those of the test and validation sides.
"""

import argparse
import csv
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from machine import write
from scipy.stats import binom

import renate
from renate.data.batch import BatchTransform
from renate.data.files import Files
from renate.jobs.saved.restore import Saved
from renate.memory.infinite import Infinite
from renate.memory.store.memory import Memory
from renate.state.versions import State

FEATURES = 20
FIRST = 300  # rows of the first week
WEEKLY = 60
Rows = list[list[float]]


def fresh(generator: np.random.Generator, first: int, count: int) -> Rows:
    """Rows of a number of its own, noise, and a coin flip."""
    noise = generator.normal(size=(count, FEATURES)).round(6)
    flips = generator.integers(0, 2, count)
    return [[first + i, *noise[i].tolist(), int(flips[i])] for i in range(count)]


NAMES = ["id", *(f"x{i}" for i in range(FEATURES)), "y"]


def save(path: Path, rows: Rows, order: list[int] | None = None) -> None:
    order = order or list(range(len(NAMES)))
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([NAMES[i] for i in order])
        writer.writerows([row[i] for i in order] for row in rows)


def load(path: Path) -> Rows:
    with path.open() as file:
        return [
            [float(row[name]) for name in NAMES[:-1]] + [int(row["y"])]
            for row in csv.DictReader(file)
        ]


Growth = Callable[[Path, int, np.random.Generator, Rows], None]


def repeated(folder: Path, week: int, generator: np.random.Generator, new: Rows) -> None:
    """The new file also holds rows of earlier ones, some of them twice."""
    old = [row for file in sorted(folder.glob("*.csv")) for row in load(file)]
    again = [old[i] for i in generator.integers(0, len(old), 40)] if old else []
    save(folder / f"week{week:02d}.csv", [*new, *again, *again[:10]])


def reordered(folder: Path, week: int, generator: np.random.Generator, new: Rows) -> None:
    """Files are renamed at random, so that they are read in another order; so are the rows
    within them.
    """
    save(folder / f"new{week}.csv", new)
    files = sorted(folder.glob("*.csv"))
    names = generator.permutation(10_000)[: len(files)]

    for file, name in zip(files, names, strict=True):
        rows = load(file)
        save(
            folder / f"w{week}-{name:04d}.csv", [rows[i] for i in generator.permutation(len(rows))]
        )
        file.unlink()


def split(folder: Path, week: int, generator: np.random.Generator, new: Rows) -> None:
    """The largest file becomes two."""
    save(folder / f"week{week:02d}.csv", new)
    largest = max(folder.glob("*.csv"), key=lambda file: file.stat().st_size)
    rows = load(largest)
    save(folder / f"{largest.stem}a.csv", rows[::2])
    save(folder / f"{largest.stem}b.csv", rows[1::2])
    largest.unlink()


def merged(folder: Path, week: int, generator: np.random.Generator, new: Rows) -> None:
    """All files become one, the newest rows first."""
    old = [row for file in sorted(folder.glob("*.csv")) for row in load(file)]
    for file in folder.glob("*.csv"):
        file.unlink()
    save(folder / f"upto{week:02d}.csv", [*new, *old])


def columns(folder: Path, week: int, generator: np.random.Generator, new: Rows) -> None:
    """Every file is written anew with its columns in another order."""
    save(folder / f"week{week:02d}.csv", new)
    for file in folder.glob("*.csv"):
        save(file, load(file), generator.permutation(len(NAMES)).tolist())


GROWTHS: dict[str, Growth] = {
    "rows repeated": repeated,
    "files reordered": reordered,
    "files split": split,
    "files merged": merged,
    "columns reordered": columns,
}


def grow(folder: Path, growth: Growth, week: int) -> None:
    """Let a week pass (from 1)."""
    generator = np.random.default_rng(week)
    first = 0 if week == 1 else FIRST + (week - 2) * WEEKLY
    growth(folder, week, generator, fresh(generator, first, FIRST if week == 1 else WEEKLY))


def source(folder: Path) -> Files:
    """What the command's `data` is, to see the sides of a version."""
    return Files(
        train=f"{folder}/*.csv",
        test=None,
        test_size=0.2,
        target="y",
        inputs=None,
        image_size=None,
        cache_dir=str(folder.parent / "cache"),
        batch_size=32,
        val_size=0.1,
        limit=None,
    )


def numbers(columns: Any, place: int) -> set[int]:
    return set(columns["inputs"][:, place].int().tolist())


def remembered(state: State, version: int, place: int) -> set[int]:
    """The numbers of the rows in a version's memory."""
    memory = Memory(Infinite(), None)
    manifest = state.manifest(version)
    memory.bind(seed=0, transform=BatchTransform(), scratch=tempfile.gettempdir())
    memory.load(lambda name: state.read(manifest, name))
    return numbers(memory.columns(), place)


def weeks(growth: Growth, updates: int, top: Path) -> dict[str, Any]:
    """Grow a folder and update a state each week; return what was found."""
    folder = top / "new"
    folder.mkdir(parents=True)
    url = str(top / "state")
    held: set[int] = set()
    leaked = 0
    right = 0
    tested = 0

    for week in range(1, updates + 1):
        grow(folder, growth, week)
        result = renate.run(
            [
                "data=files",
                f"data.train={folder}/*.csv",
                "data.target=y",
                "transform=none",
                f"state.url={url}",
                f"state.first={str(week == 1).lower()}",
                f"seed={week}",
                "updater=er",
                "memory=infinite",
                "optimizer=adam",
                "optimizer.lr=0.005",
                "trainer.max_epochs=8",
                "model.hidden_sizes=[256]",
                "objective.metric=null",
                f"data.cache_dir={top / 'cache'}",
            ]
        )
        state = State(url)
        known = Saved.read(state, state.manifest(week)).known
        assert known.inputs is not None
        place = known.inputs.names.index("id")
        data = source(folder).load(seed=0, known=known)
        test = data.test["test"]
        held |= numbers(test, place) | numbers(data.val, place)
        leaked += len(held & (remembered(state, week, place) | numbers(data.train, place)))
        right += round(result.metrics["test_accuracy"] * len(test["targets"]))
        tested += len(test["targets"])

    # Later test sets hold the earlier ones, and a row may be there several times: each counts once,
    # at the end.
    once = np.unique(test["inputs"][:, place].numpy(), return_index=True)[1]
    final = len(once)
    logits = renate.load_model(url)(test["inputs"][once])
    correct = int((logits.argmax(1) == test["targets"][once]).sum())
    low, high = binom.interval(0.99, final, 0.5)

    return {
        "held": len(held),
        "leaked": leaked,
        "accuracy": correct / final,
        "low": low / final,
        "high": high / final,
        "mean": right / tested,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=10)
    updates = parser.parse_args().updates
    began = time.monotonic()
    lines = [
        "| growth | rows held out | of them trained on or kept | last accuracy, each row once | 99 "
        "% of chance |",
        "| --- | --- | --- | --- | --- |",
    ]
    before = Path.cwd()

    for name, growth in GROWTHS.items():
        top = Path(tempfile.mkdtemp())
        os.chdir(top)
        try:
            found = weeks(growth, updates, top / "leak")
        finally:
            os.chdir(before)
            shutil.rmtree(top)

        inside = found["low"] <= found["accuracy"] <= found["high"]
        lines.append(
            f"| {name} | {found['held']} | {found['leaked']} | {found['accuracy']:.3f} "
            f"(mean of all {found['mean']:.3f}) | {found['low']:.3f} to {found['high']:.3f}"
            f"{'' if inside else ': OUTSIDE'} |"
        )

    seconds = time.monotonic() - began
    text = (
        f"{updates} weekly updates of each, {seconds:.0f} seconds. `updater=er memory=infinite`, "
        "coin flips."
    )
    write("leak", "Rows that change sides", text, lines)


if __name__ == "__main__":
    main()
