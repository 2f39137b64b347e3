"""A whole sweep as a job on a machine of a cloud: composed here by the same code, run by the launcher of this machine.

`python -m renate.cli.remote_sweep CHANNEL DIR --run NAME`, as `renate.launchers.remote` but for what CHANNEL holds
besides: `argv.json`, the sweep. DIR keeps its log, its trials and their outcomes, so an interrupted sweep goes on.
"""

import argparse
import contextlib
import io
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

from renate.cli.session import opened
from renate.errors import JobError, RenateError
from renate.jobs.directory import JobDirectory, Json, read_json
from renate.launchers import report
from renate.launchers.machine import cores, visible_gpus
from renate.launchers.outbox import Outbox
from renate.launchers.tuned.stream import tune
from renate.state.store import open_store
from renate.state.versions import State
from renate.tuning.winner import EVENTS, RECORD, cut_to_what_is_there


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("channel", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--run", required=True)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # the workers are told to end
    record, order = (read_json(given.channel / name) or {} for name in ("job.json", "argv.json"))
    given.directory.mkdir(parents=True, exist_ok=True)
    outbox, printed = Outbox(open_store(record["home"]), given.run), io.StringIO()
    result: Json | None = None
    try:
        with _passed_on(outbox, printed):
            result = (_tuned if "argv" in order else _jobs)(order, given.directory)
    except RenateError as error:
        result = {"status": "failed", "error": str(error)} | _left(order, given.directory)
    except Exception as error:  # a tuner's or a module's own code may raise anything
        traceback.print_exc()
        result = {"status": "failed", "error": f"{type(error).__name__}: {error}"} | _left(order, given.directory)
    finally:
        if result is not None:
            here = f"{given.directory}/"
            result["printed"] = printed.getvalue().replace(here, f"{order['run_dir'].rstrip('/')}/")
        outbox.close(result)
    if result["status"] == "failed" and "argv" in order:
        print(f"renate: {result['error']}", flush=True)
    return int(result["status"] == "failed")


@contextlib.contextmanager
def _passed_on(outbox: Outbox, printed: io.StringIO) -> Iterator[None]:
    """What is said on the way is reported at once; what a command ends with is its result's."""
    said = _Said(outbox)
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(_Both(printed)):
        yield


class _Said(io.TextIOBase):
    """Standard error, as events and for whoever reads the machine's own log."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox, self.out = outbox, sys.stdout

    def write(self, text: str) -> int:
        self.outbox.put({"event": "log", "text": text})
        self.out.write(text)
        self.out.flush()
        return len(text)


class _Both(io.TextIOBase):
    def __init__(self, kept: io.StringIO) -> None:
        self.kept, self.out = kept, sys.stdout

    def write(self, text: str) -> int:
        self.out.write(text)
        return self.kept.write(text)


def _more(order: Json, directory: Path) -> list[str]:
    """What differs where a sweep runs as a job."""
    workers = max(1, min(int(order["workers"]), len(visible_gpus()) or cores()))
    price = None if order["price"] is None else order["price"] / workers  # they share one machine
    more = ["hydra/launcher=renate_local", f"run_dir='{directory}'", f"backend.workers={workers}"]
    more.append("resume=true")  # what must not count was forgotten before this began
    return [*more, *([] if price is None else [f"backend.price_per_hour={price}"])]


def _tuned(order: Json, directory: Path) -> Json:
    more, pinned = [*order["more"], *_more(order, directory)], order["record"]
    if pinned is not None:
        more += _published_before(pinned)
        pinned = pinned | {"added": more}
        cut_to_what_is_there(directory / pinned["id"])
    with opened([*order["argv"], *more]) as (launcher, settings, parsed):
        outcome = tune(launcher, settings, parsed, pinned)
    return {"metrics": {}, **outcome} | _left(order, directory)


def _published_before(pinned: Json) -> list[str]:
    """A machine may be taken away between publishing and saying so: then a first update is the first no more."""
    newest = State(pinned["to"]).newest()
    return ["state.first=false"] if newest is not None and newest.job == pinned["id"] else []


def _jobs(order: Json, directory: Path) -> Json:
    more, asked = _more(order, directory), order["jobs"]
    with opened([*asked[0]["overrides"], *asked[0]["more"], *more]) as (launcher, _, _):
        jobs = []
        for number, one in enumerate(asked):
            job = launcher.compose(number, [*one["overrides"], *one["more"], *more])
            job.record |= {key: one["record"][key] for key in ("id", "recipe", "overrides", "publish")}
            job.directory.path = directory / job.id
            job.record.pop("already", None)
            job.overrides = list(one["record"]["overrides"])
            if one["state"] is not None:
                job.config.state.url, job.config.state.next_url = one["state"]["url"], one["state"]["next_url"]
            jobs.append(job)
        results = launcher.run(jobs)
    report.outcome(list(zip(jobs, results, strict=True)))
    failed = [result["error"] for result in results if result["status"] == "failed"]
    said = {"status": "failed", "error": f"{len(failed)} of {len(jobs)} jobs failed; the first: {failed[0]}"}
    return (said if failed else {"status": "completed"}) | {"version": None, "url": None} | _left(order, directory)


def _left(order: Json, directory: Path) -> Json:
    """What the sweep has left besides its result, for the machine that asked for it."""
    if "argv" not in order:
        return {"sweep": {"jobs": list(_each(directory, [one["record"]["id"] for one in order["jobs"]]))}}
    if order["record"] is None:
        return {"sweep": {}}
    folder = directory / order["record"]["id"]
    if not (folder / EVENTS).exists():
        return {"sweep": {}}
    return {"sweep": {"record": read_json(folder / RECORD), "events": (folder / EVENTS).read_text()}}


def _each(directory: Path, ids: Sequence[str]) -> Iterator[Json]:
    for name in ids:
        job = JobDirectory(directory / name)
        with contextlib.suppress(JobError):  # it never began
            record, config = job.record, (job.path / "config.yaml").read_text()
            result = job.result or {"status": "failed", "error": "it never ended", "value": None, "version": None}
            yield {"id": name, "record": record, "config": config, "result": result, "reports": job.reports()}


if __name__ == "__main__":
    sys.exit(main())
