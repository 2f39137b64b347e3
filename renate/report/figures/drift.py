"""What was found out about new data, over time."""

from collections.abc import Iterator

from renate.report.facts import Report
from renate.report.figures.lines import legend_above
from renate.report.figures.style import LIGHT, Drawn, canvas, finished, thinned


def drift(report: Report) -> Iterator[Drawn]:
    """The effect that each look at new data found."""
    checks = [check for check in report.drift if check.effect is not None]
    if not checks:
        return

    with canvas(height=2.6) as (figure, axes):
        for decision, ink, name in (
            ("update", "orange", "an update was due"),
            ("wait", "blue", "no update was due"),
            (None, "grey", "nobody asked for a decision"),
        ):
            own = [place for place, check in enumerate(checks) if check.decision == decision]
            heights = [checks[place].effect or 0.0 for place in own]
            if own:
                axes.vlines(own, 0, heights, color=LIGHT[ink], linewidth=1.6)
                axes.scatter(own, heights, s=30, color=LIGHT[ink], label=name, zorder=3)

        axes.set_ylim(0, 1.08)
        axes.set_xticks(*thinned([check.when[:10] for check in checks], most=6))
        axes.set_ylabel("effect, 0 to 1")
        legend_above(axes)
        yield finished(
            figure,
            "drift",
            "Has new data drifted?",
            "The largest effect that a look at new data found; 0 where all tests together found "
            "nothing.",
        )
