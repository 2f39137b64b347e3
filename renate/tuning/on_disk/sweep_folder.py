"""From a finished (or interrupted) sweep's folder to the next version."""

import json
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from renate.errors import JobError, StateError
from renate.files import replacing
from renate.state.manifest import Manifest
from renate.state.publish import adopt, candidates, publish
from renate.state.store import open_store
from renate.state.versions import State
from renate.tuning.base import COMPLETED
from renate.tuning.on_disk.events import read as read_events
from renate.tuning.on_disk.trial_history import HISTORY, encode, read, rows_of
from renate.tuning.space import Domain, Space
from renate.tuning.trial import RUNNING, Trial

RECORD = "sweep.json"  # what the sweep is about; written before its first trial
EVENTS = "events.jsonl"


def record_of(folder: Path) -> dict[str, Any]:
    """What a sweep is about.

    Raises:
        JobError: The folder is no sweep's.
    """
    try:
        return dict(json.loads((folder / RECORD).read_text()))
    except FileNotFoundError:
        raise JobError(f"{folder}: no sweep's folder (it has no {RECORD})") from None


def space_to_json(space: Space) -> dict[str, Any]:
    """Return a space as JSON has it; `space_from_json` is the reverse."""
    conditions = {key: [other, sorted(values)] for key, (other, values) in space.conditions.items()}
    return {
        "domains": {key: asdict(d) for key, d in space.domains.items()},
        "conditions": conditions,
    }


def space_from_json(found: dict[str, Any]) -> Space:
    """Return the space that `space_to_json` wrote down."""
    domains = {
        key: Domain(**(d | {"choices": tuple(d["choices"])})) for key, d in found["domains"].items()
    }
    return Space(
        domains,
        {k: (other, frozenset(values)) for k, (other, values) in found["conditions"].items()},
    )


def trials_of(folder: Path) -> list[Trial]:
    """The trials of a sweep, as its event log has them."""
    trials: list[Trial] = []
    sign = 1.0
    if record_of(folder)["mode"] != "min":
        sign = -1.0

    for event in read_events(folder / EVENTS):
        if "ask" in event:
            trials.append(Trial(event["ask"], event["config"], event["source"]))
        elif "report" in event:
            trial = trials[event["report"]]
            trial.step = event["step"]
            trial.curve.append((event["step"], event["value"]))
            if trial.value is None or sign * event["value"] < sign * trial.value:
                trial.value = event["value"]
                trial.others = tuple(event.get("others", ()))
        else:
            trial = trials[event["end"]]
            trial.status = event["status"]
            trial.value = event["value"]
            trial.error = event["error"]
            trial.seconds = event["seconds"]
            trial.others = tuple(event.get("others", ()))

    return trials


def best_of(trials: list[Trial], mode: str, others: Iterable[str] = ()) -> Trial | None:
    """The best completed trial; of equal ones the best in the further objectives (their modes),
    then the earliest.

    What was stopped ran past its decision, so never that.
    """
    signs = [1.0 if m == "min" else -1.0 for m in (mode, *others)]

    def rank(trial: Trial) -> list[float]:
        return [
            sign * float(value or 0.0)
            for sign, value in zip(signs, (trial.value, *trial.others), strict=False)
        ]

    return min(
        (t for t in trials if t.status == COMPLETED and t.value is not None), key=rank, default=None
    )


def publish_best(folder: Path) -> Manifest:
    """Publish the best completed trial's candidate, with the history extended by every trial;
    repeated, the same.

    Raises:
        JobError: No trial has completed.
        ConflictError: Another version came in between; the candidate stays.
    """
    record = record_of(folder)
    trials = trials_of(folder)
    best = best_of(trials, record["mode"], record["others"].values())
    if best is None:
        raise JobError(f"{folder}: no trial has completed, so there is nothing to publish")

    state = State(record["to"])
    given = record["parent"]
    published = [
        n
        for n in reversed(state.numbers())
        if (found := state.find(n)) and found.job == record["id"]
    ]
    if published:
        return state.manifest(published[0])

    at = State(given["url"]) if given else None
    parent = None
    if at:
        parent = (at, at.manifest(given["version"]))

    rows = read(*parent) if parent else []
    # An imported state's trials may be of more updates than it has versions
    earlier = [given["version"] if given else 0, *(int(row["update"]) for row in rows)]
    same = {"update": max(earlier) + 1, "sweep": record["id"], "seed": record["seed"]}
    rows += rows_of(trials, record["others"], metric=record["metric"], mode=record["mode"], **same)
    source = State(candidate_of(folder, best))
    manifest = _outcome(source)
    _check_is_of(folder, best, manifest)
    lineage = {
        "recipe": record["recipe"],
        "tuned": {"trial": best.id, "config": best.config, "value": best.value},
    }
    adopt(
        state,
        (source, manifest),
        [(HISTORY, encode(rows))],
        job=record["id"],
        parent=parent,
        lineage=lineage,
    )

    return publish(state, record["id"])


def _check_is_of(folder: Path, trial: Trial, manifest: Manifest) -> None:
    """Check that what lies in a trial's folder is its outcome: a mirror may have mixed folders of
    two sweeps.

    Raises:
        JobError: It is that of another configuration.
    """
    own = folder_of(folder, trial)
    record: dict[str, Any] = {}
    with suppress(FileNotFoundError, ValueError):
        record = dict(json.loads((own / "job.json").read_text()))

    asked = {f"{key}={value}" for key, value in trial.config.items()}
    strange = sorted(asked - {str(line) for line in record.get("overrides", ())})
    if strange or manifest.lineage.get("recipe") != record.get("recipe"):
        what = "its candidate came from another job"
        if strange:
            what = f"its job isn't one of {strange[0]}"

        raise JobError(
            f"{own}: not the outcome of trial {trial.id}: {what}; resume=false runs the sweep anew"
        )


def _outcome(source: State) -> Manifest:
    waiting = candidates(source)
    return waiting[-1] if waiting else source.manifest()  # of a stream: its last version


def folder_of(folder: Path, trial: Trial) -> Path:
    """A trial's own folder; of several seeds, the first's."""
    return folder / str(trial.id if trial.twin is None else trial.twin)


def candidate_of(folder: Path, trial: Trial) -> str:
    """URL of a trial's outcome: in its own folder, unless its job says otherwise."""
    return _left_at(folder_of(folder, trial))


def _left_at(own: Path) -> str:
    with suppress(FileNotFoundError):
        return str(json.loads((own / "job.json").read_text()).get("candidate") or own / "candidate")
    return str(own / "candidate")


def drop_outcome(own: Path) -> None:
    """Remove what the trial of a folder has left, wherever that is."""
    url = _left_at(own)
    if url == str(own / "candidate"):
        shutil.rmtree(url, ignore_errors=True)
        return

    store = open_store(url)
    with suppress(StateError):  # it costs room, not a sweep
        store.delete(
            [entry.key for part in ("pins", "versions", "blobs") for entry in store.list(part)]
        )


def cut_to_what_is_there(folder: Path) -> None:
    """Forget the end of a log whose best outcome isn't there: a mirror may have one file without
    the other.

    Every beginning of a log is a sweep that can go on; what it then runs again begins anew.
    """
    log = folder / EVENTS
    if not (log.exists() and (folder / RECORD).exists()):
        return

    record = record_of(folder)
    while best := best_of(trials_of(folder), record["mode"], record["others"].values()):
        if _is_whole(candidate_of(folder, best)):
            break
        events = log.read_bytes().splitlines(keepends=True)
        end = next(n for n, line in enumerate(events) if json.loads(line).get("end") == best.id)
        with replacing(log) as temporary:
            temporary.write_bytes(b"".join(events[:end]))

    for trial in trials_of(folder):
        if trial.status == RUNNING and not _is_whole(candidate_of(folder, trial)):
            (folder_of(folder, trial) / "result.json").unlink(missing_ok=True)


def _is_whole(url: str) -> bool:
    state = State(url)
    try:
        state.check(_outcome(state))
    except (StateError, OSError):
        return False
    return True
