"""Published tables, run again: `python benchmarks/reproduce.py --seeds 5`.

Runs every experiment of conf/experiment/reproduce/ (or those whose names begin with a given word),
each seed as the command that a user would type, two at a time with a thread each, and writes
benchmarks/results/reproduction.md: what papers report (benchmarks/published.yaml), what came out
here, and the 95 % interval of the difference (Welch). Each run's figures are kept in
reproduction.jsonl beside it, under a digest of the composed config: a second call runs only what is
missing, or what a change of the config has made another experiment. `--table` runs nothing.

`--suite pretrained` does the same for benchmarks/pretrained/, into pretrained.md: real pretrained
networks on subsets of real data, of which nothing is published.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml
from machine import write
from scipy.stats import t as student
from suites import ROOT, SUITES, Reproduced, Suite

OF_METRIC = {"class_il": "average_accuracy", "task_il": "task_accuracy"}
# Groups whose every setting may change a figure
DECISIVE = (
    "updater",
    "model",
    "memory",
    "optimizer",
    "lr_scheduler",
    "loss",
    "transform",
    "scenario",
)
TITLES = {"class_il": "class-IL", "task_il": "task-IL"}
SOURCES = {
    "DER": "[Buzzega et al., 2020](https://arxiv.org/abs/2004.07211)",
    "CLS-ER": "[Arani et al., 2022](https://arxiv.org/abs/2201.12604)",
    "GDumb": "[Prabhu et al., 2020](https://doi.org/10.1007/978-3-030-58536-5_31)",
}


@dataclass(frozen=True)
class Run:
    """One seed of one experiment."""

    experiment: str
    seed: int
    config: str  # digest of the composed config, without the seed
    commit: str
    seconds: float
    class_il: float  # in %
    task_il: float | None


@dataclass(frozen=True)
class Sample:
    """Mean and standard deviation (ddof = 1) of n runs, in %."""

    mean: float
    sd: float
    n: int

    def __str__(self) -> str:
        if self.n == 1:
            return f"{self.mean:.2f}"
        return f"{self.mean:.2f} ± {self.sd:.2f}"


@dataclass(frozen=True)
class Command:
    """Runs experiments of a suite as a user would."""

    suite: Suite
    environment: dict[str, str]

    def __call__(self, experiment: str, *more: str, cwd: str) -> subprocess.CompletedProcess[str]:
        words = [f"experiment={self.suite.folder}/{experiment}", *more]
        return subprocess.run(
            [sys.executable, "-m", "renate", *words],
            cwd=self.suite.home or cwd,
            capture_output=True,
            text=True,
            env=os.environ | self.environment,
        )


def digest(command: Command, experiment: str) -> str:
    """Return what tells two configs of an experiment apart: the groups that say what is learned
    and how, and of the others what the experiment sets. A default that is new in those changes no
    figure, as versions go on under it.
    """
    done = command(experiment, "--cfg", "job", cwd=".")
    done.check_returncode()
    composed = yaml.safe_load(done.stdout)
    own = yaml.safe_load(
        (command.suite.conf / command.suite.folder / f"{experiment}.yaml").read_text()
    )
    told = {group: composed.get(group) for group in DECISIVE}
    told |= {key: value for key, value in own.items() if key not in told and key != "defaults"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def commit() -> str:
    """Return the short name of the commit, with a `+` where files other than results differ."""
    name = _git("describe", "--always", "--exclude=*")
    differs = _git("status", "--porcelain", "--", ".", ":(exclude)benchmarks/results")
    return name + ("+" if differs else "")


def _git(*words: str) -> str:
    found = ["git", "-C", str(ROOT), *words]
    return subprocess.run(found, capture_output=True, text=True, check=True).stdout.strip()


def run(command: Command, experiment: str, seed: int, config: str, at: str) -> Run | None:
    """Run one seed; say so and return None where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        more = [f"seed={seed}", f"run_dir={folder}", "resume=false", "report=none"]
        done = command(experiment, *more, cwd=folder)
        if done.returncode:
            last = (done.stderr.strip() or "no reason given").splitlines()[-1]
            print(f"{experiment} seed {seed} failed: {last}", flush=True)
            return None

        result: dict[str, Any] = json.loads((Path(folder) / "latest" / "result.json").read_text())

    metrics = result["metrics"]
    task = metrics.get("task_accuracy")
    found = Run(
        experiment,
        seed,
        config,
        at,
        round(result["seconds"], 1),
        round(100 * metrics["average_accuracy"], 3),
        None if task is None else round(100 * task, 3),
    )
    print(json.dumps(asdict(found)), flush=True)
    return found


def kept(suite: Suite) -> list[Run]:
    if not suite.runs.exists():
        return []
    return [Run(**json.loads(line)) for line in suite.runs.read_text().splitlines()]


def keep(suite: Suite, runs: Sequence[Run]) -> None:
    ordered = sorted(runs, key=lambda run: (run.experiment, run.seed))
    part = suite.runs.with_suffix(".part")
    part.write_text("".join(json.dumps(asdict(run)) + "\n" for run in ordered))
    part.replace(suite.runs)


def run_missing(command: Command, experiments: Sequence[str], seeds: int, jobs: int) -> None:
    at = commit()
    suite = command.suite
    configs = {experiment: digest(command, experiment) for experiment in experiments}
    # What another config of the same name came to is no run of this experiment
    runs = [r for r in kept(suite) if configs.get(r.experiment, r.config) == r.config]
    have = {(run.experiment, run.seed) for run in runs}
    missing = [
        (experiment, seed)
        for seed in range(seeds)
        for experiment in experiments
        if (experiment, seed) not in have
    ]

    def run_one(missed: tuple[str, int]) -> Run | None:
        experiment, seed = missed
        return run(command, experiment, seed, configs[experiment], at)

    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(run_one, missing):
            if found is not None:
                runs.append(found)
                keep(suite, runs)


def sample(values: Sequence[float]) -> Sample:
    sd = statistics.stdev(values) if len(values) > 1 else float("nan")
    return Sample(statistics.fmean(values), sd, len(values))


def interval(ours: Sample, published: Sample) -> tuple[float, float]:
    """Return the 95 % interval of the difference of means, by Welch's t."""
    ours_part = ours.sd**2 / ours.n
    published_part = published.sd**2 / published.n
    error = (ours_part + published_part) ** 0.5
    freedom = (ours_part + published_part) ** 2 / (
        ours_part**2 / (ours.n - 1) + published_part**2 / (published.n - 1)
    )
    half = float(student.ppf(0.975, freedom)) * error
    difference = ours.mean - published.mean

    return difference - half, difference + half


def verdict(ours: Sample, published: Sample) -> str:
    """Say where the difference lies, in combined standard deviations."""
    combined = (ours.sd**2 + published.sd**2) ** 0.5
    difference = ours.mean - published.mean
    if abs(difference) <= 2 * combined:
        return "agrees"
    return "above" if difference > 0 else "below"


def rows(runs: Sequence[Run], known: Sequence[dict[str, Any]]) -> Iterator[str]:
    for experiment in sorted({run.experiment for run in runs}):
        of_experiment = [run for run in runs if run.experiment == experiment]
        seconds = statistics.median(run.seconds for run in of_experiment)
        commits = ", ".join(sorted({run.commit for run in of_experiment}))

        for metric in OF_METRIC:
            values = [v for r in of_experiment if (v := getattr(r, metric)) is not None]
            if not values:
                continue

            ours = sample(values)
            cells = [experiment, TITLES[metric], str(ours), str(ours.n)]
            cells += beside(ours, published_of(known, experiment, metric))
            yield f"| {' | '.join([*cells, f'{seconds:.0f}', commits])} |"


def published_of(
    known: Sequence[dict[str, Any]], experiment: str, metric: str
) -> dict[str, Any] | None:
    for row in known:
        if (row["experiment"], row["metric"]) == (experiment, metric):
            return row
    return None


def beside(ours: Sample, row: dict[str, Any] | None) -> list[str]:
    """Return the cells of what was published."""
    if row is None:
        return ["–", "–", "–"]

    published = Sample(row["mean"], row["sd"], row["n"])
    mark = "*" if row.get("unverified") else ""
    shown = f"{published}{mark} ({SOURCES[row['source']]}, n = {published.n})"
    if ours.n < 2:
        return [shown, "–", "one seed"]

    low, high = interval(ours, published)
    return [shown, f"[{low:+.2f}, {high:+.2f}]", verdict(ours, published)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("words", nargs="*", help="names of experiments begin with one of them")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2, help="how many run at a time")
    parser.add_argument("--table", action="store_true", help="of the runs that there are")
    parser.add_argument("--suite", choices=SUITES, default=Reproduced.folder)
    asked = parser.parse_args()

    suite = SUITES[asked.suite]()
    names = suite.experiments()
    chosen = [n for n in names if not asked.words or n.startswith(tuple(asked.words))]
    if not chosen:
        sys.exit(f"{' '.join(asked.words)}: no such experiment; there are {', '.join(names)}")
    if not asked.table:
        with tempfile.TemporaryDirectory() as folder, suite.environment(Path(folder)) as own:
            run_missing(Command(suite, own), chosen, asked.seeds, asked.jobs)

    known = yaml.safe_load((ROOT / "benchmarks" / "published.yaml").read_text())
    table = [
        "| experiment | accuracy | here, % | n | published, % | difference, 95 % | verdict "
        "| s a run | commit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *rows(kept(suite), known),
        "",
        f"Each run is `renate experiment={suite.folder}/<experiment> seed=<seed>` with one thread; "
        "mean ± sd (ddof = 1) over n seeds of accuracy after the last update, mean over its "
        "chunks. agrees: within two combined standard deviations of what was published. *: the "
        "published figure was written down from memory and not looked up.",
    ]
    write(suite.table, suite.title, suite.text, table, script="reproduce", options=suite.options)


if __name__ == "__main__":
    main()
