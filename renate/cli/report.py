"""`renate report`: one page of what a state, a job or a sweep came to."""

import argparse
from pathlib import Path

from renate.errors import NoVersionError
from renate.jobs.directory import JobDirectory
from renate.launchers.terminal.console import relative
from renate.tuning.on_disk.sweep_record import RECORD

FOLDER = Path("report")


def run(argv: list[str]) -> None:
    """The verb."""
    parser = argparse.ArgumentParser(
        prog="renate report",
        description="One page with pictures of what a state, a job or a sweep came to.",
    )
    parser.add_argument("target", help="the URL of a state, or a job: an id, a path, latest")
    parser.add_argument(
        "-o", "--output", type=Path, default=FOLDER, help="folder to write into; default ./report"
    )
    parser.add_argument(
        "--run-dir", type=Path, default=Path("runs"), help="where jobs are; default ./runs"
    )
    asked = parser.parse_args(argv)
    page = write(asked.target, asked.output, asked.run_dir)
    print(f"report      {relative(page.absolute())}")


def write(target: str, folder: Path, run_dir: Path) -> Path:
    """Write the report on a state's URL, or on a job; return its page.

    Raises:
        RenateError: There is no such thing, or nothing to report on, or an extra is missing.
    """
    from renate.jobs.reporting.assembled import report_of_job, report_of_state, report_of_sweep
    from renate.report.figures.style import check_installed
    from renate.report.written import write_report

    check_installed()
    job = _job(target, run_dir)
    if job is None:
        try:
            report = report_of_state(target, run_dir)
        except NoVersionError as error:
            raise NoVersionError(
                f"{error}; and {run_dir} has no job '{target}': renate jobs ls"
            ) from error
    elif (job / RECORD).is_file():
        report = report_of_sweep(job, run_dir)
    else:
        report = report_of_job(JobDirectory(job), run_dir)

    return write_report(report, folder)


def _job(target: str, run_dir: Path) -> Path | None:
    """The folder of the job of that name; None where there is none."""
    for path in (run_dir / target, Path(target)):
        if (path / "job.json").is_file() or (path / RECORD).is_file():
            return path.resolve()
    return None
