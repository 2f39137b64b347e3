"""What simulations, sweeps and several jobs came to."""

from collections.abc import Sequence
from statistics import fmean, stdev

from renate.report.facts import Report, Tuning
from renate.report.figures.comparison import groups_of, shown_metric
from renate.report.first_lines.line import BAD, GOOD, OPEN, Line
from renate.state.aliases.verdict import REJECT
from renate.state.versions import spans
from renate.tuning.base import COMPLETED, FAILED, STOPPED


def of_simulation(report: Report) -> list[Line]:
    """What a policy bought, at which price, and what the gate kept out."""
    updates = [each for each in report.slices if each.updated is not None]
    rejected = [each.number for each in updates if each.verdict == REJECT]
    lines = []
    measure = report.measure
    mean = report.metrics.get(f"prequential_{measure.name}") if measure is not None else None
    scored = sum(each.score is not None for each in report.slices)
    if measure is not None and mean is not None:
        said = (
            f"{measure.title} was {measure.text(mean)} on average over {scored} slices, each "
            "before any version was trained on it."
        )
        lines.append(Line("Result", said))

    looked = [each for each in report.slices if each.effect is not None]
    drifted = [each for each in looked if each.effect]
    if drifted:
        most = max(drifted, key=lambda each: each.effect or 0.0)
        said = (
            f"Drift was found in {len(drifted)} of the {len(looked)} slices that were looked at, "
            f"the most in slice {most.number} (effect {most.effect:.2f})."
        )
        lines.append(Line("Detected", said))

    trained = report.metrics.get("updates")
    seconds = report.metrics.get("training_seconds")
    if trained is not None and seconds is not None:
        said = (
            f"{trained:,.0f} updates after the first version, {seconds:,.1f} seconds of training."
        )
        lines.append(Line("Trained", said))
    if rejected:
        reasons = next(each.verdict_reasons for each in updates if each.verdict == REJECT)
        named = spans(rejected).replace("version", "slice")
        lines.append(Line("Kept out", f"The gate rejected what {named} made: {reasons}.", GOOD))
    if report.used is not None:
        lines.append(Line("In use at the end", f"Version {report.used}."))

    return lines


def of_tuning(tuning: Tuning) -> Line:
    """The winner of a sweep, and how its trials ended."""
    count = {
        status: sum(trial.status == status for trial in tuning.trials)
        for status in (COMPLETED, STOPPED, FAILED)
    }
    counted = ", ".join(
        f"{number} {words}"
        for number, words in (
            (count[COMPLETED], "completed"),
            (count[STOPPED], "stopped early"),
            (count[FAILED], "failed"),
        )
        if number
    )
    asked = f"{len(tuning.trials)} trials: {counted or 'none ended yet'}"
    if tuning.best is None or tuning.best.value is None:
        return Line("No winner", f"{asked}; none has completed.", BAD)

    values = ", ".join(f"{key}={value}" for key, value in tuning.best.config.items())
    said = f"Trial {tuning.best.id} has {tuning.metric} {tuning.best.value:.4g} with {values}"
    return Line("Best", f"{said}. {asked}.", GOOD)


def of_runs(report: Report) -> list[Line]:
    """Which of several jobs is best, and which failed."""
    metric = shown_metric(report)
    failed = [run for run in report.runs if run.status == FAILED]
    lines = []
    if metric is not None:
        lines.append(_best_group(report, metric))
    if failed:
        why = failed[0].error or "no reason is known"
        said = f"{len(failed)} of {len(report.runs)} jobs; {failed[0].name}: {why}"
        lines.append(Line("Failed", said, BAD))
    said = "Several jobs side by side publish nothing: renate state publish JOB does."
    if not any(run.rows or run.slices for run in report.runs):
        lines.append(Line("Not shipped", said, OPEN))

    return lines


def _best_group(report: Report, metric: str) -> Line:
    groups = groups_of(report, metric)
    mode = None
    # Of another metric nobody knows which way is better
    if report.measure is not None and metric.endswith(report.measure.name):
        mode = report.measure.mode
    means = {name: fmean(values) for name, values in groups.items()}
    if mode is None or len(means) < 2:
        said = "; ".join(f"{name}: {mean:.4g}" for name, mean in list(means.items())[:4])
        return Line(metric, f"{said}.")

    ranked = sorted(means, key=lambda name: means[name], reverse=mode == "max")
    best, second = ranked[:2]
    said = (
        f"{best} has {metric} {_with_spread(groups[best])}, {second} {_with_spread(groups[second])}"
    )
    spread = _spread(groups[best]) + _spread(groups[second])
    runs = [len(groups[best]), len(groups[second])]
    if max(runs) > 1 and abs(means[best] - means[second]) <= spread:
        return Line("No clear winner", f"{said}: within what seeds differ by.")
    return Line("Best", f"{said}, {_of_seeds(*runs)}.", GOOD)


def _of_seeds(best: int, second: int) -> str:
    if best == second == 1:
        return "one seed each: chance may decide"
    if best == second:
        return f"means of {best} seeds"
    return f"means of {best} and of {second} seeds"


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _with_spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.4g}"
    return f"{fmean(values):.4g} ± {stdev(values):.2g}"
