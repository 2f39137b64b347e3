"""What was found out about new data, over time."""

from collections.abc import Iterator

from renate.report.facts import Report
from renate.report.figures.lines import effects, legend_above
from renate.report.figures.style import Drawn, canvas, finished, thinned


def drift(report: Report) -> Iterator[Drawn]:
    """The effect that each look at new data found."""
    checks = [check for check in report.drift if check.effect is not None]
    if not checks:
        return

    with canvas(height=2.6) as (figure, axes):
        effects(axes, [(check.decision, check.effect) for check in checks])
        axes.set_xticks(*thinned([check.when[:10] for check in checks], most=6))
        legend_above(axes)
        yield finished(
            figure,
            "drift",
            "Has new data drifted?",
            "The largest effect that a look at new data found, of a number in standard deviations, "
            "of a category as Cramér's V; 0 where all tests together found nothing.",
        )
