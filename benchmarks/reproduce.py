"""Published tables, run again: `python benchmarks/reproduce.py s_mnist --seeds 0,1,2`.

Runs every experiment of conf/experiment/reproduce/ whose name begins with the given word, and
writes the means beside the published numbers to benchmarks/results/reproduce_<word>.md. Published:
Buzzega et al., 2020, https://arxiv.org/abs/2004.07211, table 2 (mean ± sd of 10 runs, class-IL).
Reference: one seed of an independent implementation of the same protocol on the same data (class-IL
/ task-IL).
"""

import argparse
import os
import platform
import statistics
from importlib.metadata import version
from pathlib import Path

import renate
from renate.jobs.directory import JobDirectory
from renate.launchers.composing.conf import CONF

ROOT = Path(__file__).parents[1]
# method: (published class-IL, reference class-IL, reference task-IL)
NUMBERS = {
    "s_mnist_sgd": ("19.60 ± 0.04", 19.61, 96.48),
    "s_mnist_er": ("86.12 ± 1.89", 87.49, 99.21),
    "s_mnist_derpp": ("91.00 ± 1.49", 90.24, 98.94),
    "s_mnist_joint": ("95.57 ± 0.24", 95.57, None),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "word", nargs="?", default="s_mnist", help="names begin with it; default s_mnist"
    )
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument(
        "--resume", action="store_true", help="take what earlier runs in ./runs have"
    )
    asked = parser.parse_args()
    os.environ.setdefault("RENATE_DATA", str(ROOT.parent / "shared" / "data"))
    seeds = [int(seed) for seed in asked.seeds.split(",")]
    names = [
        n
        for n in NUMBERS
        if n.startswith(asked.word) and (CONF / "experiment" / "reproduce" / f"{n}.yaml").is_file()
    ]
    lines = [
        f"# {asked.word}: published numbers, run again",
        "",
        f"`python benchmarks/reproduce.py {asked.word} --seeds {asked.seeds}`; each row is "
        "`renate experiment=reproduce/<experiment> seed=<seed>`. Means ± sd over seeds, in %; "
        "accuracy after the last "
        "update, mean over its chunks.",
        "",
        f"Python {platform.python_version()}, torch {version('torch')}, CPU, {os.cpu_count()} "
        "cores.",
        "",
        "| experiment | seeds | class-IL | published | reference | task-IL | reference | seconds a "
        "run |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in names:
        lines.append(row(name, seeds, asked.resume))
        print(lines[-1], flush=True)

    path = ROOT / "benchmarks" / "results" / f"reproduce_{asked.word}.md"
    path.write_text("\n".join(lines) + "\n")


def row(name: str, seeds: list[int], resume: bool) -> str:
    published, class_il, task_il = NUMBERS[name]
    metrics = []
    seconds = []

    for seed in seeds:
        result = renate.run(
            [f"experiment=reproduce/{name}", f"seed={seed}", f"resume={str(resume).lower()}"]
        )
        metrics.append(result.metrics)
        reports = JobDirectory(result.job_dir).result
        assert reports is not None
        seconds.append(reports.seconds or 0.0)

    found = [
        shown([100 * m[key] for m in metrics]) for key in ("average_accuracy", "task_accuracy")
    ]
    task = "–" if task_il is None else f"{task_il}"

    return (
        f"| {name} | {len(seeds)} | {found[0]} | {published} | {class_il} | {found[1]} | {task} "
        f"| {statistics.fmean(seconds):.0f} |"
    )


def shown(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f}" + (
        f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    )


if __name__ == "__main__":
    main()
