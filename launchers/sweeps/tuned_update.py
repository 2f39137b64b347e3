"""Tuning: from a search space and a tuner's settings to trials, and from their best to the next
version.
"""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError, JobError
from renate.jobs.directory import JobDirectory, write_json
from renate.jobs.identity.already import came_from, in_words, is_gone, maker_of, tuned_in_words
from renate.jobs.records import COMPLETED, FAILED, JobResult
from renate.state.versions import State
from renate.tuning.base import Proposer, Stopper
from renate.tuning.limits import Limits
from renate.tuning.on_disk.sweep_folder import EVENTS, folder_of, publish_best, trials_of
from renate.tuning.on_disk.sweep_record import RECORD, PinnedSweep
from renate.tuning.sweep import Sweep
from renate.tuning.trial import RUNNING, Trial

from ..composing.launcher import HydraLauncher
from ..composing.registering import check_registered, registered, registry_for
from ..links import link_latest
from ..terminal import ends
from ..terminal.console import command, relative, stdout
from .engines import engines_for
from .request import LIMITS, SweepRequest
from .sweep_table import SweepTable
from .trial_folders import TrialFolders
from .trials import JobTrials
from .winner import again, pareto


class Tuning:
    """One tuned update.

    Args:
        launcher: Where the trials run.
        settings: The sweep's own config.
        parsed: Its overrides.
        pinned: Parts of its record that hold wherever it runs: those of the machine that asked for
            it.
    """

    def __init__(
        self,
        launcher: HydraLauncher,
        settings: DictConfig,
        parsed: Sequence[Override],
        pinned: PinnedSweep | None = None,
    ) -> None:
        self.launcher = launcher
        self.settings = settings
        self.parsed = list(parsed)
        self.request = SweepRequest(launcher.composer, settings, parsed)
        self.base = self.request.base
        self.fixed = self.request.fixed
        self.tuner = self.request.tuner
        self.pinned = pinned is not None
        self.unread = self.base.record.unread
        if self.pinned and self.request.refused is not None:
            raise self.request.refused

        self.record = self.request.record
        if pinned is not None:
            self.record = replace(self.record, **vars(pinned))

        self.folder = Path(str(self.base.config.run_dir)).absolute() / self.record.id

    def already(self) -> JobResult | None:
        """What the command ends with if the newest version is this very sweep's.

        Raises:
            ConfigError: The sweep is to be the first of a state that has versions of something
                else.
        """
        config = self.base.config
        claimed = config.resume and config.state.url and not self.unread
        newest = None
        if claimed:
            newest = State(self.record.to).newest()

        if newest is None or not came_from(newest, self.record.recipe):
            if self.request.refused is not None:
                raise self.request.refused
            if newest is None or not (nothing := self.base.record.nothing_new):
                return None
            known = JobResult(COMPLETED, version=newest.version, url=self.record.to)
            self._end(known, [in_words(newest.base + 1, self.record.to, nothing)])
            return known

        lines = [tuned_in_words(newest.version or 0, self.record.to)]
        # Named by what it started from, which wasn't this version.
        maker = maker_of(newest, self.folder.parent)
        known = JobResult(COMPLETED)
        if maker is not None:
            lines.append(f"job         {relative(maker.path)}")
            known = maker.result or known

        known = replace(known, status=COMPLETED, version=newest.version, url=self.record.to)
        self._end(known, lines)
        return known

    def _end(self, outcome: JobResult, lines: Sequence[str]) -> None:
        words = partial(stdout().print, "\n".join(lines), markup=False)
        ends.of_one(self.launcher.progress, self.record.id, self.folder, outcome, words)

    def check(self) -> None:
        """Find out what can be wrong with the tuner, and write nothing."""
        before = self.launcher.progress.quiet
        self.launcher.progress.quiet = True
        self._engines()
        self.launcher.progress.quiet = before

    def run(self) -> JobResult:
        """Run the sweep, or what is left of it, and publish its winner.

        Returns what the command ends with.
        """
        config = self.base.config
        if not self.pinned and (earlier := self.already()) is not None:
            return earlier
        if config.resume and self.tuner["storage"] is not None and (self.folder / EVENTS).exists():
            raise ConfigError(
                f"{self.folder}: a sweep whose study is shared can't be repeated from its log: "
                "resume=false begins a "
                f"new one, which goes on with what tuner.storage={self.tuner['storage']} holds"
            )

        registry_for(config)
        engines = self._engines()  # before anything is written
        if not config.resume or self._is_of_the_past():
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            self._check_kept()

        self._say_that_it_goes_on()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / RECORD, self.record.to_json())
        OmegaConf.save(self.settings, self.folder / "multirun.yaml")
        sweep = self._sweep(*engines)
        if self.launcher.latest:
            link_latest(self.folder)

        try:
            with self.table:
                sweep.run()

            self.trials.wait_for_stopped()
        except BaseException as error:
            self.launcher.close()
            if isinstance(error, KeyboardInterrupt):
                self._interrupted(sweep)
            raise

        return self._publish(sweep)

    def _publish(self, sweep: Sweep) -> JobResult:
        """Publish the winner, and say so. Raises JobError where there is none."""
        best = sweep.best
        outcome = JobResult(FAILED, url=self.record.to, trials=len(sweep.trials), why=sweep.why)

        if best is None:
            self.folders.clean(sweep, None)
            write_json(self.folder / "result.json", outcome.to_json())
            errors = [trial.error for trial in sweep.trials if trial.error]
            why = f": {errors[-1]}" if errors else ""
            raise JobError(f"no trial of {len(sweep.trials)} completed, nothing is published{why}")

        manifest = publish_best(self.folder)
        self.folders.clean(sweep, best)
        won = JobDirectory(folder_of(self.folder, best)).result
        outcome = replace(
            outcome,
            status=COMPLETED,
            value=best.value,
            metrics=won.metrics if won is not None else {},
            version=manifest.version,
            best_trial=best.id,
            best_params=best.config,
            gate=manifest.lineage.get("gate"),
            pareto=pareto(self.record, sweep),
        )
        outcome = registered(self.base.config, outcome)
        write_json(self.folder / "result.json", outcome.to_json())
        winner = again(self.record, self.fixed, self.request.space, best)
        words = partial(self.table.end, sweep, best, outcome, winner)
        ends.of_one(self.launcher.progress, self.record.id, self.folder, outcome, words)
        check_registered([outcome])

        return outcome

    def _check_kept(self) -> None:
        """Raises JobError where the winner's version has vanished: no candidate is left of it."""
        result = JobDirectory(self.folder).result
        if result is not None and is_gone(result, ""):
            raise JobError(
                f"{relative(self.folder)}: this sweep's winner was version {result.version} of "
                f"{result.url}, which is no longer there: resume=false tunes again"
            )

    def _is_of_the_past(self) -> bool:
        """Whether the folder holds a finished sweep on data of which nobody knows if they are
        still the same.
        """
        result = JobDirectory(self.folder).result
        return self.unread and result is not None and result.completed

    def _say_that_it_goes_on(self) -> None:
        trials = []
        if (self.folder / EVENTS).exists():
            trials = trials_of(self.folder)

        if not trials:
            return

        ended = sum(trial.status != RUNNING for trial in trials)
        asked = f"{len(trials)} trials asked for, {ended} of them ended"
        said = f"goes on with {relative(self.folder)}: {asked}"

        if self.unread:
            said += (
                "; what data.train held then can't be compared with what it holds now, "
                "resume=false begins anew"
            )
        else:
            said += " (resume=false begins anew)"

        self.launcher.progress.line(said)

    def _engines(self) -> tuple[Proposer, Stopper]:
        """Proposer and stopper, told what they are for."""
        proposer, stopper = engines_for(self.request, self.record, self.launcher)
        self.folders = TrialFolders(self.request, self.folder, clones=proposer.clones)
        return proposer, stopper

    def _sweep(self, proposer: Proposer, stopper: Stopper) -> Sweep:
        metric = self.record.metric
        seeds = int(self.tuner["seeds"])
        secondary = self.record.secondary
        self.launcher.progress.quiet = True
        self.table = SweepTable(
            self.launcher.progress.console,
            metric=metric,
            mode=self.record.mode,
            total=self.tuner["max_trials"],
            secondary=list(secondary),
        )
        self.table.progress = self.launcher.progress
        self.trials = JobTrials(
            self.launcher,
            self.folders.job,
            seeds=seeds,
            slots=self.request.slots,
            metrics=[metric, *secondary],
        )
        self.folders.when_over = self.trials.when_over
        price = float(self.base.config.backend.price_per_hour or 0.0) * seeds
        sweep = Sweep(
            proposer,
            stopper,
            self.trials,
            mode=self.record.mode,
            order=self.tuner["order"],
            limits=Limits(**{key: self.tuner[key] for key in LIMITS}, price=price),
            log=self.folder / EVENTS,
            secondary=list(secondary.values()),
        )
        sweep.tell = partial(self._tell, sweep)
        self.table.sweep = sweep
        if self.base.config.trainer.report_every is not None:
            self.table.unit = "report"

        return sweep

    def _tell(self, sweep: Sweep, trial: Trial) -> None:
        self.table.tell(trial)
        self.folders.tell(sweep, trial)

    def _interrupted(self, sweep: Sweep) -> None:
        best = sweep.best
        said = "interrupted: nothing is published; the same command goes on from here"
        if best is not None:
            said += (
                f"\nbest so far: trial {best.id}, {self.record.metric} {best.value:.4f}; to "
                f"publish it now: {command([], 'state', 'publish', relative(self.folder))}"
            )

        print(f"\n{said}", file=sys.stderr)
