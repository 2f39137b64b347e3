"""The job `simulate`: past data are played through a policy as they would have come.

Each slice is predicted by the version in use, which gives its score; then the policy decides on
what came since the last update; then perhaps an update follows, and its gate says whether the new
version is used. Nothing is trained on before it was scored, and nothing is known of a slice, its
labels and categories among it, before it has come.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from renate.data.base import Data
from renate.errors import StateError, TooFewError
from renate.jobs.chunks import Chunk, Test, objective_of
from renate.jobs.context import Job
from renate.jobs.detecting.detect import policy_of
from renate.jobs.directory import read_json, write_json
from renate.jobs.running.loggers import end
from renate.jobs.saved.published import trusted
from renate.jobs.saved.restore import Saved
from renate.jobs.simulating.incoming import Incoming
from renate.jobs.simulating.scored import Scorer
from renate.jobs.simulating.settings import Settings
from renate.jobs.simulating.situation import Clock, SimulatedSituation
from renate.jobs.simulating.slice_row import BETWEEN, CSV, PARQUET, SliceRow, read_rows, write_rows
from renate.jobs.simulating.summary import summary_of
from renate.jobs.update import update
from renate.policy.base import WAIT, Decision, Policy
from renate.state.aliases.standing import standing
from renate.state.aliases.verdict import PROMOTE, verdict_of
from renate.state.manifest import Manifest
from renate.state.measured import VALIDATION
from renate.state.publish import publish
from renate.state.versions import State

RECORD = "content.json"


def run(job: Job) -> dict[str, Any]:
    """The job `simulate`; goes on at the first slice that has no row yet."""
    settings = Settings.of(job)
    policy = policy_of(job)
    state = job.state(str(job.directory.path / "state"))
    incoming = Incoming.read(job, settings.first)
    _note_content(job, incoming)

    scorer = Scorer(job)
    scorer.mode_of(incoming.first_problem(settings.first))  # which says so if it can't be
    player = Player(job, settings, policy, state, incoming, scorer)
    rows = read_rows(job.directory.path)
    if rows:
        job.tell_again()

    for number in range(len(rows) + 1, len(incoming) + 1):
        job.directory.check()
        job.show(number - 1, len(incoming), "slices")
        row = player.play(number, rows)
        rows.append(row)
        write_rows(job.directory.path, rows)
        job.emit({"event": "report", "text": _told(row, len(incoming)), "always": True})

    return player.outcome(rows)


@dataclass
class Player:
    """Plays one slice after another.

    Attributes:
        job: The job.
        settings: See `Settings`.
        policy: Decides.
        state: Where versions go.
        incoming: The data.
        scorer: Scores them.
    """

    job: Job
    settings: Settings
    policy: Policy
    state: State
    incoming: Incoming
    scorer: Scorer

    def play(self, number: int, rows: Sequence[SliceRow]) -> SliceRow:
        """Score a slice, decide, and perhaps update.

        Args:
            number: Of the slice, from 1.
            rows: What happened before.
        """
        part = replace(
            self.job,
            prefix=f"slice {number}/{len(self.incoming)}",
            record=replace(self.job.record, id=f"{self.job.record.id}-{number}"),
        )
        slices = self.incoming.arrivals.slices
        saved = self._in_use(rows)
        score = errors = version = None
        if saved is not None:
            data = self.incoming.load(number, number, saved.known, training=False)
            score, errors = self.scorer(saved, data)
            version = saved.manifest.version

        row = SliceRow(
            slice=number,
            time=slices[number - 1].ends.isoformat(timespec="seconds"),
            examples=len(slices[number - 1].rows),
            score=score,
            errors=errors,
            version=version,
            decision=WAIT,
            reasons="",
            updated=None,
            verdict=None,
            verdict_reasons=None,
            in_use=version,
            seconds=0.0,
        )
        begin = self._waiting_from(rows)
        waiting = rows[begin - 1 :]
        decision, effect = self._decided(row, waiting, saved)
        row = replace(
            row,
            decision=decision.word,
            reasons=BETWEEN.join(decision.reasons),
            effect=effect,
        )
        if not decision.is_due:
            return row
        looks = [each.effect for each in (*waiting, row) if each.effect is not None]
        return self._updated(part, row, saved, begin, looks)

    def _waiting_from(self, rows: Sequence[SliceRow]) -> int:
        """The first slice that no update has had yet."""
        for row in reversed(rows):
            is_used = row.verdict in (None, PROMOTE)
            if row.updated is not None and (is_used or self.settings.leaves_out):
                return row.slice + 1
        return 1

    def _in_use(self, rows: Sequence[SliceRow]) -> Saved | None:
        """The version that the last row left in use, and the newest one's number."""
        version = rows[-1].in_use if rows else None
        if version is None:
            return None

        saved = Saved.read(self.state, self.state.manifest(version), trust=trusted(self.job))
        made = max(row.updated or 0 for row in rows)
        saved.newest = made if made != version else None
        return saved

    def _decided(
        self, row: SliceRow, before: Sequence[SliceRow], saved: Saved | None
    ) -> tuple[Decision, float | None]:
        """What the policy says, and the effect of the drift that it was told of, if it asked."""
        if saved is None:
            first = self.settings.first
            those = "slice 1" if first == 1 else f"slices 1 to {first}"
            why = f"the first version is trained on {those}"
            return Decision(row.slice >= first, [why]), None

        waiting = [*before, row]
        compared = min(self.settings.window or len(waiting), len(waiting))
        known = saved.known

        def load() -> Data:
            first = row.slice - compared + 1
            return self.incoming.load(first, row.slice, known, training=False)

        problem = saved.problem
        metric = (self.scorer.metric_of(problem), self.scorer.mode_of(problem))
        clock = Clock(self._made(saved), datetime.fromisoformat(row.time))
        situation = SimulatedSituation(self.job, saved, clock, waiting, load, compared, metric)
        return self.policy.decide(situation), situation.effect

    def _made(self, saved: Saved) -> datetime:
        """When the version in use was made, by the data's own time."""
        name = str(saved.manifest.job)
        number = int(name.rpartition("-")[2])
        return self.incoming.arrivals.slices[number - 1].ends

    def _updated(
        self,
        part: Job,
        row: SliceRow,
        saved: Saved | None,
        begin: int,
        looks: Sequence[float],
    ) -> SliceRow:
        """Update by all slices since the last one, and see what its gate says.

        Where these are too few for one to be held out, they wait for those that come.
        """
        manifest = self._published(part)
        if manifest is None:
            try:
                manifest = self._trained(part, row, saved, begin, looks)
            except TooFewError as error:
                if saved is None:
                    raise
                return replace(row, reasons=BETWEEN.join([row.reasons, f"not yet: {error}"]))

        verdict = verdict_of(manifest, self.state.url)
        used = standing(self.state).current
        if used is None:
            said = "; ".join(verdict.reasons) if verdict else "nothing"
            raise StateError(
                f"gate: the first version isn't promoted ({said}), so nothing predicts, and nobody "
                "promotes by hand in a simulation: another gate, or gate=none"
            )

        return replace(
            row,
            updated=manifest.version,
            verdict=verdict.outcome if verdict else None,
            verdict_reasons=BETWEEN.join(verdict.reasons) if verdict else None,
            in_use=used.version,
            seconds=float(manifest.lineage["seconds"]),
        )

    def _published(self, part: Job) -> Manifest | None:
        """The version of this very slice, where an earlier run was interrupted just then."""
        newest = self.state.newest()
        if newest is not None and newest.job == part.record.id:
            return newest
        return None

    def _trained(
        self,
        part: Job,
        row: SliceRow,
        saved: Saved | None,
        begin: int,
        looks: Sequence[float],
    ) -> Manifest:
        known = saved.known if saved else None
        data = self.incoming.load(begin, row.slice, known, training=True)
        if saved is None:
            for text in data.notes:
                part.emit({"event": "report", "text": text, "always": True})

        config = self.job.config
        config["objective"] = objective_of(config["objective"], data.problem)
        tests = {VALIDATION: Test(data.val)} if data.val is not None else {}
        chunk = Chunk(data.train, data.val, tests)
        update(part, data, chunk, self.state, self.state, saved, looks)
        end(part)
        return publish(self.state, part.record.id)

    def outcome(self, rows: Sequence[SliceRow]) -> dict[str, Any]:
        """What the job answers."""
        saved = self._in_use(rows)
        assert saved is not None
        problem = saved.problem
        metric = self.scorer.metric_of(problem)
        metrics = summary_of(rows, metric, self.settings.costs)
        return {
            "value": metrics.get(f"prequential_{metric}"),
            "metrics": metrics,
            "metric": metric,
            "mode": self.scorer.mode_of(problem),
            "url": self.state.url,
            "version": saved.manifest.version,
            "output": str(self.job.directory.path / CSV),
        }


def _note_content(job: Job, incoming: Incoming) -> None:
    """Begin anew where only reading tells what the data are, and they are others than before."""
    if not job.record.unread:
        return

    path = job.directory.path / RECORD
    content = incoming.content()
    earlier = read_json(path)
    if earlier is not None and earlier.get("content") != content:
        shutil.rmtree(job.directory.path / "state", ignore_errors=True)
        for name in (PARQUET, CSV, "checkpoint.pt", "best.pt", "metrics.jsonl"):
            (job.directory.path / name).unlink(missing_ok=True)
    write_json(path, {"content": content})


def _told(row: SliceRow, slices: int) -> str:
    """A row for a terminal."""
    score = "not scored" if row.score is None else f"score {row.score:.4f}"
    text = f"slice {row.slice}/{slices}, until {row.time[:10]}: {score}, {row.decision}"
    if row.updated is not None:
        text += f": version {row.updated}"
    if row.verdict is not None:
        text += f", {row.verdict} by its gate"
    return f"{text} ({row.reasons})"
