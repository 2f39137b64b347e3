"""From a finished (or interrupted) sweep's folder to the next version."""

import json
import math
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from renate.errors import JobError, StateError
from renate.files import ANEW, replacing
from renate.state.manifest import Manifest
from renate.state.publish import adopt, candidates, publish
from renate.state.store import open_store
from renate.state.strict import object_of, required, string, strings
from renate.state.versions import State
from renate.tuning.base import COMPLETED
from renate.tuning.on_disk.events import Asked, Ended, Reported
from renate.tuning.on_disk.events import read as read_events
from renate.tuning.on_disk.sweep_record import RECORD, SweepRecord
from renate.tuning.on_disk.trial_history import HISTORY, encode, read, rows_of
from renate.tuning.trial import RUNNING, Trial

EVENTS = "events.jsonl"


def trials_of(folder: Path) -> list[Trial]:
    """The trials of a sweep, as its event log has them."""
    record = SweepRecord.read(folder)
    sign = _sign(record.mode)
    trials: list[Trial] = []

    for event in read_events(folder / EVENTS):
        if isinstance(event, Asked):
            trials.append(Trial(event.trial, event.config, event.source))
            continue

        trial = trials[event.trial]
        if isinstance(event, Reported):
            trial.step = event.step
            trial.curve.append((event.step, event.value))
            if trial.value is None or sign * event.value < sign * trial.value:
                trial.value = event.value
                trial.secondary = event.secondary
        else:
            trial.status = event.status
            trial.value = event.value
            trial.error = event.error
            trial.seconds = event.seconds
            trial.secondary = event.secondary

    return trials


def best_of(trials: list[Trial], mode: str, secondary: Iterable[str] = ()) -> Trial | None:
    """The best completed trial; of equal ones the best in the further objectives (their modes),
    where one that lacks such a value comes last, then the earliest.

    What was stopped ran past its decision, so never that.
    """
    signs = [_sign(m) for m in (mode, *secondary)]

    def rank(trial: Trial) -> list[float]:
        values = (trial.value, *trial.secondary)
        known = [
            sign * value for sign, value in zip(signs, values, strict=False) if value is not None
        ]
        return known + [math.inf] * (len(signs) - len(known))

    return min(
        (t for t in trials if t.status == COMPLETED and t.value is not None), key=rank, default=None
    )


def _sign(mode: str) -> float:
    """What turns a value so that less is better."""
    if mode == "min":
        return 1.0
    return -1.0


def publish_best(folder: Path) -> Manifest:
    """Publish the best completed trial's candidate, with the history extended by every trial;
    repeated, the same.

    Raises:
        JobError: No trial has completed.
        ConflictError: Another version came in between; the candidate stays.
    """
    record = SweepRecord.read(folder)
    trials = trials_of(folder)
    best = best_of(trials, record.mode, record.secondary.values())
    if best is None:
        raise JobError(f"{folder}: no trial has completed, so there is nothing to publish")

    state = State(record.to)
    given = record.parent
    published = [
        n for n in reversed(state.numbers()) if (found := state.find(n)) and found.job == record.id
    ]
    if published:
        return state.manifest(published[0])

    parent = None
    rows = []
    version = 0
    if given is not None:
        at = State(given.url)
        parent = (at, at.manifest(given.version))
        rows = read(*parent)
        version = given.version

    # An imported state's trials may be of more updates than it has versions
    update = max([version, *(int(row["update"]) for row in rows)]) + 1
    same = {"update": update, "sweep": record.id, "seed": record.seed}
    rows += rows_of(trials, record.secondary, metric=record.metric, mode=record.mode, **same)
    source = State(candidate_of(folder, best))
    manifest = _outcome(source)
    _check_is_of(folder, best, manifest)
    lineage = {
        "recipe": record.recipe,
        "tuned": {"trial": best.id, "config": best.config, "value": best.value},
    }
    adopt(
        state,
        (source, manifest),
        [(HISTORY, encode(rows))],
        job=record.id,
        parent=parent,
        lineage=lineage,
        base=given.newest if given is not None else None,
    )

    return publish(state, record.id)


@dataclass(frozen=True)
class _TrialJob:
    """What of a trial's `job.json` says whose outcome lies in its folder, and where.

    Attributes:
        recipe: Of the job; "" where there is no file.
        overrides: The same.
        candidate: URL of the outcome; None: in the folder.
    """

    recipe: str = ""
    overrides: Sequence[str] = ()
    candidate: str | None = None

    @classmethod
    def read(cls, own: Path) -> "_TrialJob":
        """Read a trial's folder.

        Raises:
            JobError: The file is damaged, by the key.
        """
        path = own / "job.json"
        try:
            found = object_of(json.loads(path.read_text()), "it")
            recipe = required(found, "recipe", string)
            overrides = required(found, "overrides", strings)
            candidate = found.get("candidate")
            if candidate is not None:
                candidate = string(candidate, "candidate")
        except FileNotFoundError:
            return cls()
        except (ValueError, RecursionError) as error:
            raise JobError(f"{path}: {error}; {ANEW}") from error

        return cls(recipe, overrides, candidate)


def _check_is_of(folder: Path, trial: Trial, manifest: Manifest) -> None:
    """Check that what lies in a trial's folder is its outcome: a mirror may have mixed folders of
    two sweeps.

    Raises:
        JobError: It is that of another configuration.
    """
    own = folder_of(folder, trial)
    job = _TrialJob.read(own)
    asked = {f"{key}={value}" for key, value in trial.config.items()}
    strange = sorted(asked - set(job.overrides))
    if strange or manifest.lineage.get("recipe") != job.recipe:
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
    own = folder_of(folder, trial)
    return _TrialJob.read(own).candidate or str(own / "candidate")


def drop_outcome(own: Path) -> None:
    """Remove what the trial of a folder has left, wherever that is."""
    url = _TrialJob.read(own).candidate
    if url is None:
        shutil.rmtree(own / "candidate", ignore_errors=True)
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

    record = SweepRecord.read(folder)
    while best := best_of(trials_of(folder), record.mode, record.secondary.values()):
        if _is_whole(candidate_of(folder, best)):
            break
        lines = log.read_bytes().splitlines(keepends=True)
        ends = [isinstance(e, Ended) and e.trial == best.id for e in read_events(log)]
        with replacing(log) as temporary:
            temporary.write_bytes(b"".join(lines[: ends.index(True)]))

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
