"""What a stranger is to understand at once."""

from renate.report.facts import COMPARISON, SIMULATION, STREAM, SWEEP, Report
from renate.report.first_lines.line import Line
from renate.report.first_lines.of_jobs import of_runs, of_simulation, of_tuning
from renate.report.first_lines.of_versions import history, of_stream, of_update, shipped


def headline(report: Report) -> list[Line]:
    """Return what a stranger is to understand at once."""
    lines: list[Line] = []
    if report.kind == COMPARISON:
        return of_runs(report)
    if report.kind == SWEEP and report.tuning is not None:
        lines.append(of_tuning(report.tuning))
    if report.kind == SIMULATION and report.slices:
        return [*of_simulation(report), *history(report)]
    if report.kind == STREAM and report.matrix is not None and report.measure is not None:
        lines += of_stream(report.measure, report.matrix)
    elif report.newest is not None:
        lines += of_update(report, report.newest)
    if report.newest is not None:
        lines.append(shipped(report, report.newest))
    lines += history(report)

    return lines
