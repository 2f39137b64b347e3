"""One update: state version n + new data -> state version n+1. Start reading here."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from renate.data.base import Data
from renate.data.scenarios import Scenario
from renate.errors import NothingNewError
from renate.fitting.fit import Fitted
from renate.fitting.measure import Measure
from renate.fitting.trainer import device_of
from renate.jobs.building.learning import Learning, prepared
from renate.jobs.building.weighting import balance
from renate.jobs.checks.measurable import try_metrics
from renate.jobs.checks.sound import check_finite, oddities
from renate.jobs.chunks import Chunk, cut, load_new
from renate.jobs.context import Job
from renate.jobs.detecting.detect import asked, waited
from renate.jobs.detecting.looks import noted
from renate.jobs.detecting.reference import reference_files
from renate.jobs.fit import batches_of, fit, release, share_of
from renate.jobs.identity import content
from renate.jobs.identity.already import goes_on
from renate.jobs.running.loggers import end, log_to_all
from renate.jobs.saved.earlier import already, published, result_of, result_of_version
from renate.jobs.saved.parent import parent_of
from renate.jobs.saved.published import trusted
from renate.jobs.saved.restore import Saved
from renate.jobs.saved.state_files import files_carried_on, lineage_of, state_files
from renate.jobs.scoring.answered import Answered
from renate.jobs.scoring.before import measured_before
from renate.jobs.scoring.composition import composition_of
from renate.jobs.scoring.cost import begin_peak, peak_memory, state_size
from renate.jobs.scoring.judged import judging_of
from renate.jobs.scoring.measured import (
    flat,
    flips_between,
    measure_of,
    old_and_new,
    score,
)
from renate.jobs.scoring.regression_set import carried_on
from renate.jobs.scoring.verdicts import as_it_stands, gate_of, told
from renate.memory.store.shards import merge
from renate.state.manifest import Manifest
from renate.state.publish import publish, stage
from renate.state.versions import State

Scores = dict[str, dict[str, float]]


@dataclass
class Updated:
    """What an update leaves: scores before and after, counts and seconds, and its candidate.

    Of several processes only the first one has the candidate, and knows what is noted of its
    answers to the tests.
    """

    before: Scores
    after: Scores
    value: float | None
    counts: dict[str, float]
    answered: Answered
    candidate: Manifest | None = None
    version: int | None = None
    composition: dict[str, Any] = field(default_factory=dict)
    gate: dict[str, Any] = field(default_factory=dict)

    @property
    def scores(self) -> dict[str, Any]:
        """What was measured, as a version keeps it."""
        found = {"before": self.before, "after": self.after}
        return found | {"counts": self.counts, "value": self.value} | self.composition


def run(job: Job) -> dict[str, Any]:
    """The job `update`."""
    config = job.config["state"]
    at = job.state(config["url"] or str(job.directory.path / "state"))
    to = job.state(job.candidate or config["next_url"] or at.url)
    publishes = job.candidate is None and (config["url"] is None or job.record.publish)
    if publishes and (earlier := job.ranks.broadcast(lambda: published(job, to))) is not None:
        job.tell_again()
        return earlier

    parent = job.ranks.broadcast(lambda: parent_of(job, at))
    saved = Saved.read(at, parent, job.ranks, trusted(job)) if parent else None
    if saved and job.record.parent is not None:
        saved.newest = job.record.parent.newest
    scenario: Scenario = job.build("scenario")
    try:
        data = load_new(job, saved, cut=scenario.chunks > 1)
    except NothingNewError as error:
        if parent is None or not publishes or not goes_on(config):
            raise
        used = parent
        answer = job.ranks.broadcast(lambda: result_of_version(at, used))
        return answer | {"already": used.version, "nothing_new": str(error)}

    content.note(job, data)
    asking = asked(job, data, saved)
    decision = asking.decision
    if decision is not None and not decision.is_due:
        assert parent is not None
        return waited(job, at, parent, decision, asking.drift)

    newest = saved.newest if saved else None
    same = None
    if publishes:
        same = job.ranks.broadcast(lambda: already(job, at, parent, newest))
    if same is not None:
        return same

    chunk = cut(job, scenario, data, job.config["job"]["chunk"])
    done = update(job, data, chunk, at, to, saved, asking.looks)
    end(job)
    if job.ranks.first and publishes:
        done.version = publish(to, job.record.id).version

    before = done.before if parent else {}
    result = result_of(done.value, done.after, before, done.counts, to, done.version)
    return result | as_it_stands(done.gate, to, done.version)


def update(
    job: Job,
    data: Data,
    chunk: Chunk,
    at: State,
    to: State,
    saved: Saved | None,
    looks: Sequence[float] = (),
) -> Updated:
    """Train on one chunk, starting from what `saved` holds, and stage the outcome as a candidate
    at `to`.

    Args:
        job: Its config says how.
        data: What was read.
        chunk: The part of it that is trained on.
        at: Where the version is that it starts from.
        to: Where the next one goes.
        saved: That version; None at a first update.
        looks: Effects of the looks for drift since that version was made.
    """
    began = time.monotonic()
    begin_peak(device_of(job.config["trainer"]))
    judging = judging_of(job, data, chunk, at, to, saved)
    reference = list(reference_files(job, saved, chunk.train, chunk.val))
    learning = prepared(job, data, chunk, saved)
    model, updater = learning.model, learning.updater
    measure = _measuring(job, data, chunk, learning, saved)
    before, answered_before = measured_before(
        job, measure, model, updater, chunk.tests, saved, judging
    )

    outcome = _trained(job, learning, measure, chunk)

    answered = Answered()
    after = score(measure, model, updater, chunk.tests, job.ranks, answered)
    seen = chunk.tests_seen
    flipped = job.ranks.broadcast(lambda: flips_between(answered_before, answered, seen))
    counts = outcome.counts | flipped | peak_memory(learning.device)
    log_to_all(job, flat(after), int(outcome.counts["steps"]))
    verdict = None
    if judging and job.ranks.first:
        verdict = judging.verdict(measure, model, updater)
        for line in told(verdict):
            job.emit({"event": "report", "text": line, "always": True})

    merge(learning.memory, job.ranks)
    seconds = time.monotonic() - began

    done = Updated(before, after, outcome.value, counts, answered, gate=gate_of(verdict))
    if job.ranks.first:
        done.composition = composition_of(
            data.problem, chunk.train, learning.memory, answered_before, answered, seen
        )
        lineage = lineage_of(job, data, seconds) | done.gate | noted(saved, looks)
        source = None
        base = None
        if saved:
            source = (at, saved.manifest)
            base = saved.newest

        files = state_files(job, learning.node, data, model, updater, done.scores)
        kept = judging.files(chunk.val) if judging else carried_on(saved)
        files = chain(files, kept, reference)
        files = chain(files, files_carried_on(job, data, saved, to, whole=chunk.is_last))
        done.candidate = stage(
            to, files, job=job.record.id, parent=source, lineage=lineage, base=base
        )
    done.counts = counts | {"seconds": seconds} | state_size(done.candidate)
    return done


def _measuring(
    job: Job, data: Data, chunk: Chunk, learning: Learning, saved: Saved | None
) -> Measure:
    """What measures the model, tried on a few targets."""
    measure = measure_of(job, learning.device, data.problem, learning.updater.criterion)
    measure.parts = old_and_new(data.problem, saved)
    try_metrics(measure, job.config.get("metrics", {}), chunk.train)
    return measure


def _trained(job: Job, learning: Learning, measure: Measure, chunk: Chunk) -> Fitted:
    """Train, from the updater's `start` to its `finish`.

    Raises:
        JobError: What the fit leaves holds a number that is none.
    """
    model, updater = learning.model, learning.updater
    parts = {"model": model, "updater": updater}
    odd = oddities(parts)

    share = share_of(chunk.train, job.ranks)
    own = updater.start(model, share)
    # Data that the updater leaves as it is, several processes deal out anew in each epoch.
    rows = chunk.train if own is None else own
    if own is not None:
        balance(updater, job.config["loss"].get("weight"), own)

    batches = batches_of(
        job,
        rows,
        learning.device,
        learning.number,
        own=own is not None,
        problem=updater.problem,
    )
    outcome = fit(job, model, updater, batches, chunk.val, measure, learning.number)
    release(batches)
    # Lightning leaves both on the CPU, wherever they were trained
    model.to(learning.device)
    updater.to(learning.device)
    updater.finish(model, share)

    check_finite(parts, odd)
    return outcome
