"""A whole sweep as a job on another machine: composed here by the same code, run by the launcher of
this machine.

`python -m renate.launchers.remote.inside.run_sweep CHANNEL DIR --run NAME`, as `run_job` but for
what CHANNEL holds besides: `argv.json`, the sweep. DIR keeps its log, its trials and their
outcomes, so an interrupted sweep goes on.
"""

import argparse
import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from renate.errors import JobError, RenateError
from renate.jobs.directory import JobDirectory, Json, read_json
from renate.jobs.passed_objects import ELSEWHERE
from renate.jobs.records import COMPLETED, LOG, Event, JobRecord, JobResult
from renate.state.store import open_store
from renate.state.versions import State
from renate.tuning.on_disk.sweep_folder import EVENTS, cut_to_what_is_there
from renate.tuning.on_disk.sweep_record import PinnedSweep, SweepRecord

from ...base import ComposedJob
from ...composing.session import opened
from ...local.machine import cores, visible_gpus
from ...sweeps.tuned_stream import tune
from ...terminal import report
from ..sweep import ORDER
from .outbox import Outbox, home_of


def main() -> int:
    """The program; returns its exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("channel", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--run", required=True)
    given = parser.parse_args()
    os.environ[ELSEWHERE] = str(given.channel.absolute())
    # The workers are told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    order = read_json(given.channel / ORDER) or {}
    given.directory.mkdir(parents=True, exist_ok=True)

    outbox = Outbox(open_store(home_of(JobDirectory(given.channel))), given.run)
    printed = io.StringIO()
    result: JobResult | None = None
    run = _tuned if "argv" in order else _jobs

    try:
        with _passed_on(outbox, printed):
            result = run(order, given.directory)
    except RenateError as error:
        result = JobResult.failure(str(error))
    except Exception as error:  # a tuner's or a module's own code may raise anything
        traceback.print_exc()
        result = JobResult.failure(f"{type(error).__name__}: {error}")
    finally:
        if result is not None:
            there = f"{order['run_dir'].rstrip('/')}/"
            said = printed.getvalue().replace(f"{given.directory}/", there)
            result = replace(result, printed=said, sweep=_left(order, given.directory))

        outbox.close(result)

    if result.failed and "argv" in order:
        print(f"renate: {result.reason}", flush=True)

    return int(result.failed)


@contextlib.contextmanager
def _passed_on(outbox: Outbox, printed: io.StringIO) -> Iterator[None]:
    """What is said on the way is reported at once; what a command ends with is its result's."""
    said = _Said(outbox)
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(_Both(printed)):
        yield


class _Said(io.TextIOBase):
    """Standard error, as events and for whoever reads the machine's own log."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.out = sys.stdout

    def write(self, text: str) -> int:
        self.outbox.put(Event(LOG, text))
        self.out.write(text)
        self.out.flush()
        return len(text)


class _Both(io.TextIOBase):
    """Standard output, kept as well."""

    def __init__(self, kept: io.StringIO) -> None:
        self.kept = kept
        self.out = sys.stdout

    def write(self, text: str) -> int:
        self.out.write(text)
        return self.kept.write(text)


def _more(order: Json, directory: Path) -> list[str]:
    """What differs where a sweep runs as a job."""
    workers = max(1, min(int(order["workers"]), len(visible_gpus()) or cores()))
    more = [
        "hydra/launcher=renate_local",
        f"run_dir='{directory}'",
        f"backend.workers={workers}",
        "resume=true",  # what must not count was forgotten before this began
    ]
    if order["price"] is not None:
        more.append(f"backend.price_per_hour={order['price'] / workers}")  # they share one machine

    return more


def _tuned(order: Json, directory: Path) -> JobResult:
    more = [*order["more"], *_more(order, directory)]
    pinned = None
    if order["record"] is not None:
        pinned = PinnedSweep.from_json(order["record"])
        more += _published_before(pinned)
        pinned = replace(pinned, added=more)
        cut_to_what_is_there(directory / pinned.id)

    with opened([*order["argv"], *more]) as (launcher, settings, parsed):
        return tune(launcher, settings, parsed, pinned)


def _published_before(pinned: PinnedSweep) -> list[str]:
    """A machine may be taken away between publishing and saying so: then a first update is no
    first.
    """
    newest = State(pinned.to).newest()
    if newest is not None and newest.job == pinned.id:
        return ["state.first=false"]
    return []


def _jobs(order: Json, directory: Path) -> JobResult:
    more = _more(order, directory)
    asked = order["jobs"]
    with opened([*asked[0]["overrides"], *asked[0]["more"], *more]) as (launcher, _, _):
        jobs = []
        for number, one in enumerate(asked):
            job = launcher.compose(number, [*one["overrides"], *one["more"], *more])
            _be_as_there(job, one, directory)
            jobs.append(job)
        results = launcher.run(jobs)

    report.outcome(list(zip(jobs, results, strict=True)))

    failed = [result.reason for result in results if result.failed]
    if failed:
        return JobResult.failure(
            f"{len(failed)} of {len(jobs)} jobs failed; the first: {failed[0]}"
        )

    return JobResult(COMPLETED)


def _be_as_there(job: ComposedJob, one: Json, directory: Path) -> None:
    """Give a job the identity that it has where the sweep was asked for."""
    there = JobRecord.from_json(one["record"])
    job.record = replace(
        job.record,
        id=there.id,
        recipe=there.recipe,
        overrides=there.overrides,
        publish=there.publish,
        already=None,
    )
    job.directory.path = directory / job.id
    job.overrides = list(there.overrides)
    if one["state"] is not None:
        job.config.state.url = one["state"]["url"]
        job.config.state.next_url = one["state"]["next_url"]


def _left(order: Json, directory: Path) -> Json:
    """What the sweep has left besides its result, for the machine that asked for it."""
    if "argv" not in order:
        return {"jobs": [*_each(directory, [one["record"]["id"] for one in order["jobs"]])]}
    if order["record"] is None:
        return {}

    folder = directory / order["record"]["id"]
    if not (folder / EVENTS).exists():
        return {}

    return {"record": SweepRecord.read(folder).to_json(), "events": (folder / EVENTS).read_text()}


def _each(directory: Path, ids: Sequence[str]) -> Iterator[Json]:
    for name in ids:
        job = JobDirectory(directory / name)
        with contextlib.suppress(JobError):  # it never began
            result = job.result or JobResult.failure("it never ended")
            yield {
                "id": name,
                "record": job.record.to_json(),
                "config": (job.path / "config.yaml").read_text(),
                "result": result.to_json(),
                "reports": [row.to_json() for row in job.reports()],
            }


if __name__ == "__main__":
    sys.exit(main())
