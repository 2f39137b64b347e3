"""What updates cost, and how versions follow on one another."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from renate.report.facts import Report
from renate.report.figures.lines import legend_above, line
from renate.report.figures.style import LIGHT, Drawn, canvas, finished, thinned
from renate.report.versions import Update
from renate.state.aliases.verdict import HOLD, PROMOTE, REJECT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEGA = 1e6
INKS = {PROMOTE: "green", HOLD: "ochre", REJECT: "red", None: "blue"}
NAMES = {
    PROMOTE: "promoted by its gate",
    HOLD: "held",
    REJECT: "rejected",
    None: "no gate was asked",
}


def costs(report: Report) -> Iterator[Drawn]:
    """Seconds and bytes of each update."""
    updates = report.updates
    if any(update.seconds is not None for update in updates):
        yield _bars(
            report,
            "seconds",
            [update.seconds for update in updates],
            "Time of each update",
            "seconds",
            "From the data at hand to the version: training, validation and measuring.",
        )
    if updates:
        yield _bars(
            report,
            "size",
            [update.size / MEGA for update in updates],
            "Size of each version",
            "MB",
            "All files that a version names; what versions share is stored once.",
        )


def _bars(
    report: Report, name: str, values: list[float | None], title: str, unit: str, caption: str
) -> Drawn:
    versions = [str(update.version) for update in report.updates]
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    with canvas(height=2.3) as (figure, axes):
        axes.bar(
            [place for place, _ in known],
            [value for _, value in known],
            width=0.72,
            color=LIGHT["blue"],
        )
        axes.set_xticks(*thinned(versions))
        axes.set_xlim(-0.7, len(versions) - 0.3)
        axes.set_xlabel("version")
        axes.set_ylabel(unit)
        return finished(figure, name, title, caption)


def lineage(report: Report) -> Iterator[Drawn]:
    """Which version came from which, what the gates said, and which one is in use."""
    updates = report.updates
    if len(updates) < 2:
        return

    places = {update.version: place for place, update in enumerate(updates)}
    with canvas(height=1.75) as (figure, axes):
        for update in updates:
            _arc(axes, places, update)

        size = 60 if len(updates) <= 40 else 14
        for outcome, ink in INKS.items():
            own = [places[each.version] for each in updates if _outcome(each) == outcome]
            if own:
                axes.scatter(
                    own, [0] * len(own), s=size, color=LIGHT[ink], label=NAMES[outcome], zorder=3
                )
        if report.used in places:
            axes.scatter(
                [places[report.used]],
                [0],
                s=size * 3.2,
                facecolor="none",
                edgecolor=LIGHT["ink"],
                linewidth=1.4,
                label="in use",
                zorder=4,
            )

        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_yticks([])
        axes.set_ylim(-0.35, 1.05)
        axes.set_xticks(*thinned([str(update.version) for update in updates]))
        axes.set_xlabel("version")
        legend_above(axes, columns=3)
        yield finished(
            figure,
            "lineage",
            "Which version came from which",
            "Each arc leads from a version to the one that an update made of it. A rejected or "
            "held version has no arc to the right: the next update starts from the version in use.",
        )


def _outcome(update: Update) -> str | None:
    return update.verdict.outcome if update.verdict is not None else None


def _arc(axes: "Axes", places: dict[int, int], update: Update) -> None:
    if update.parent_version not in places:
        return

    begin = places[update.parent_version]
    end = places[update.version]
    steps = [number / 24 for number in range(25)]
    height = min(1.0, 0.22 + 0.1 * (end - begin))
    axes.plot(
        [begin + (end - begin) * step for step in steps],
        [4 * height * step * (1 - step) for step in steps],
        color=LIGHT["grey"],
        linewidth=1.2,
        zorder=1,
    )


def training(report: Report) -> Iterator[Drawn]:
    """What was reported while updates trained: losses and the metric, by steps."""
    if report.measure is None:
        return

    for name, title in (
        ("loss", "Loss while training"),
        (report.measure.name, f"{report.measure.title} while training"),
    ):
        yield from _training(report, name, title)


def _training(report: Report, name: str, title: str) -> Iterator[Drawn]:
    sides = {f"train_{name}": LIGHT["orange"], f"val_{name}": LIGHT["blue"]}
    with canvas() as (figure, axes):
        offset = 0.0
        drawn = 0
        told: set[str] = set()
        for curve in report.curves:
            last = 0.0
            for side, ink in sides.items():
                points = curve.points.get(side, [])
                if not points:
                    continue
                label = "_" if side in told else side.replace("_", " ")
                told.add(side)
                steps = [offset + step for step, _ in points]
                values = [value for _, value in points]
                line(axes, steps, values, label, ink)
                last = max(last, points[-1][0])
                drawn += len(points)

            if len(report.curves) > 1 and offset:
                axes.axvline(offset, color=LIGHT["grid"], linewidth=1, zorder=0)
            offset += last

        if drawn < 2:
            return
        axes.set_xlabel("optimizer steps, one update after another")
        legend_above(axes)
        yield finished(
            figure,
            f"training_{name}",
            title,
            "Training in orange, validation in blue; thin upright lines part the updates.",
        )
