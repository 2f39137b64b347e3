"""The table of several simulations: what each policy bought, and at which price."""

import statistics
from collections.abc import Mapping, Sequence

from rich.table import Table

from renate.jobs.records import JobResult
from renate.metrics import COST
from renate.tuning.pareto import ranks

from .console import cell

BEST = "*"
NOTE = f"{BEST} no other has a score as good with as few updates"
COUNTED = ("updates", "training_seconds", "cost")


def of_simulations(groups: Mapping[str, Sequence[JobResult]]) -> Table:
    """One row for each choice of policy, updater and so on, the best score first: mean ± sd over
    seeds.

    Args:
        groups: What was chosen -> the results of its seeds, all completed.
    """
    first = next(iter(groups.values()))[0]
    score = f"prequential_{first.metric}"
    # Another metric's, or one that is defined on no slice, can't be compared
    found = {
        name: results
        for name, results in groups.items()
        if all(score in result.metrics for result in results)
    }
    sign = COST[first.mode or "max"]
    means = {name: _means(results, score) for name, results in found.items()}
    points = [(sign * mean[score], mean["updates"]) for mean in means.values()]
    best = dict(zip(means, (rank == 0 for rank in ranks(points)), strict=True))

    shown = [score, *(name for name in COUNTED if all(name in mean for mean in means.values()))]
    table = Table("", "overrides", "seeds", box=None, pad_edge=False, caption=NOTE)
    table.caption_justify = "left"
    for name in shown:
        table.add_column(name, justify="right")

    for name in sorted(means, key=lambda each: sign * means[each][score]):
        values = [_spread(found[name], metric) for metric in shown]
        mark = BEST if best[name] else ""
        table.add_row(mark, cell(name), str(len(found[name])), *values)

    return table


def _means(results: Sequence[JobResult], score: str) -> dict[str, float]:
    names = [
        name
        for name in (score, *COUNTED)
        if all(isinstance(result.metrics.get(name), int | float) for result in results)
    ]
    return {name: statistics.fmean(result.metrics[name] for result in results) for name in names}


def _spread(results: Sequence[JobResult], metric: str) -> str:
    """A mean, and its deviation over seeds; scores with four digits, the rest with one."""
    values = [float(result.metrics[metric]) for result in results]
    digits = 1 if metric in COUNTED else 4
    mean = f"{statistics.fmean(values):,.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):,.{digits}f}"
