"""Tuning: from a search space and a tuner's settings to trials, and from their best to the next version."""

import hashlib
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from renate.build import build
from renate.errors import ConfigError, JobError, nearest
from renate.jobs.directory import START, Json, read_json, write_json
from renate.state.versions import State
from renate.tuning.base import COMPLETED, FAILED, Proposer, Stopper
from renate.tuning.past import best_of_each_update, completed_of_each_update, read
from renate.tuning.space import Config, Domain
from renate.tuning.sweep import RUNNING, Limits, Sweep, Trial
from renate.tuning.winner import EVENTS, RECORD, candidate_of, publish_best, space_to_json

from . import report
from .base import RenateLauncher, command
from .board import Board
from .compose import Job
from .space import domain_of, space_of
from .trials import JobTrials

LIMITS = ("max_trials", "max_trials_completed", "max_trials_finished", "max_failures", "max_time", "max_cost")
CHOICES = {
    "order": ("arrival", "fixed"),
    "transfer": ("enqueue", "rush", "none"),
    "keep": ("best", "all"),
    "tune_on": ("first_update", "every_update", "stream"),
}


def is_tuned(settings: DictConfig, parsed: Sequence[Override]) -> bool:
    """Whether a command asks for a tuner: it names one, or a search space, or a domain without end."""
    choices = settings.hydra.runtime.choices
    endless = any(o.is_sweep_override() and not o.is_discrete_sweep() for o in parsed)
    return choices.tuner != "auto" or choices.search_space is not None or endless


class Tuning:
    """One tuned update.

    Args:
        launcher: Where the trials run.
        settings: The sweep's own config.
        parsed: Its overrides.
    """

    def __init__(self, launcher: RenateLauncher, settings: DictConfig, parsed: Sequence[Override]) -> None:
        self.launcher, self.settings, self.composer, self.parsed = launcher, settings, launcher.composer, list(parsed)
        self.fixed = [o for o in parsed if not o.is_sweep_override()]
        if seeds := [o for o in parsed if o.is_sweep_override() and o.key_or_group == "seed"]:
            raise ConfigError(
                f"{seeds[0].input_line}: a tuner would choose the luckiest seed; tuner.seeds=3 takes the mean of three"
            )
        self.space = space_of(self.composer, self.fixed, self._domains(parsed))
        if not self.space.domains:
            raise ConfigError(
                "the tuner has nothing to tune: give search_space=auto, or a domain, as "
                "'optimizer.lr=tag(log,interval(1e-4,0.5))'"
            )
        if settings.hydra.runtime.choices.tuner == "auto":
            option = "grid" if self.space.finite else "evolution"
            chosen = OverridesParser.create().parse_overrides([f"tuner={option}"])
            self.fixed = [*(o for o in self.fixed if o.key_or_group != "tuner"), *chosen]
        self.base = self._base()
        config: Any = OmegaConf.to_container(self.base.config, resolve=True)
        self.tuner, self.objective = config["tuner"], config["objective"]
        self.objective["others"] = self.objective["others"] or {}
        self._check(config)
        self.record = self._record(config)
        self.folder = Path(str(config["run_dir"])).absolute() / self.record["id"]
        self.leader: Trial | None = None  # whose outcome is kept so far

    def _domains(self, parsed: Sequence[Override]) -> dict[str, Domain]:
        """Those of the search space, less what the command line says itself."""
        swept = [o for o in parsed if o.is_sweep_override()]
        given = {o.key_or_group for o in parsed}
        lines: dict[str, str] = {}
        option = self.settings.hydra.runtime.choices.search_space
        if option is not None:
            lines = self._auto(swept) if option == "auto" else dict(self.settings.search_space or {})
        found = {k: v for k, v in lines.items() if k not in given}
        parser = OverridesParser.create()
        overrides = [*(o for o in swept), *parser.parse_overrides([f"{k}={v}" for k, v in found.items()])]
        for override in overrides:
            if not override.is_sweep_override():
                raise ConfigError(f"search space: {override.input_line}: expected a domain, as interval(0,1) or a,b")
        return {o.key_or_group: domain_of(o) for o in overrides}

    def _auto(self, swept: Sequence[Override]) -> dict[str, str]:
        """The search spaces of the updaters to choose from, else the learning rate alone."""
        chosen = next((o for o in swept if o.key_or_group == "updater"), None)
        options = list(chosen.sweep_string_iterator()) if chosen else [self.settings.hydra.runtime.choices.updater]
        lines: dict[str, str] = {}
        for option in options:
            there = self.composer.loader.repository.config_exists(f"search_space/{option}")
            for key, value in self.composer.schema.option(f"search_space/{option if there else 'lr'}")[0].items():
                if lines.setdefault(key, value) != value:
                    raise ConfigError(
                        f"search_space=auto: {key} is {lines[key]} for one updater and {value} for {option}: "
                        f"give it on the command line, as '{key}={value}'"
                    )
        return lines

    def _base(self) -> Job:
        """Some job of the sweep, never run: checked like any other, and what the sweep's identity is made of."""
        return self.composer.compose(0, [*self._shared(), *lines_of(self.space.sample(random.Random(0)))])

    def _shared(self) -> list[str]:
        return [str(o.input_line) for o in self.fixed]

    def _defaults(self) -> Config:
        """The config's own value of each key, as the command line has it; what lies outside of its domain too."""
        defaults: Config = {}
        choices = self.composer.choices(self._shared())
        for key, domain in self.space.domains.items():
            if self.composer.is_group(key):
                defaults[key] = str(choices.get(key))
                continue
            lines = self._shared()
            if key in self.space.conditions:
                group, options = self.space.conditions[key]
                lines.append(f"{group}={defaults[group] if defaults[group] in options else sorted(options)[0]}")
            value: Any = OmegaConf.select(self.composer.merged(lines), key)
            text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
            try:
                defaults[key] = domain.text(domain.number(text))
            except ValueError:
                defaults[key] = text
        return defaults

    def _steps(self) -> int:
        """Epochs of a whole trial; the most, where they are tuned."""
        domain = self.space.domains.get("trainer.max_epochs")
        return max(map(int, domain.values())) if domain else max(1, int(self.base.config.trainer.max_epochs))

    def _check(self, config: Json) -> None:
        tuner = self.tuner
        if not tuner.get("proposer") or not tuner.get("stopper"):
            raise ConfigError(f"tuner={self.settings.hydra.runtime.choices.tuner}: it names no proposer and no stopper")
        for key, choices in CHOICES.items():
            if tuner[key] not in choices:
                raise ConfigError(
                    f"tuner.{key}={tuner[key]}: expected {', '.join(choices)}{nearest(tuner[key], choices)}"
                )
        for key in LIMITS:
            if tuner[key] is not None and tuner[key] < (0 if key == "max_failures" else 1e-9):
                raise ConfigError(f"tuner.{key}={tuner[key]}: expected more than 0, or null for no limit")
        if tuner["seeds"] < 1:
            raise ConfigError(f"tuner.seeds={tuner['seeds']}: expected 1 or more")
        if self.objective["metric"] is None:
            raise ConfigError("objective.metric=null: a tuner needs an objective, as objective.metric=val_accuracy")
        self._check_others(config)
        if config["job"]["name"] == "evaluate":
            raise ConfigError("job=evaluate trains nothing, so there is nothing to tune: job=update or job=stream")
        if tuner["storage"] is not None and "storage" not in tuner["proposer"]:
            raise ConfigError(f"tuner.storage={tuner['storage']}: only tuner=optuna/… shares its trials")
        if tuner["max_cost"] is not None and not config["backend"]["price_per_hour"]:
            raise ConfigError(f"tuner.max_cost={tuner['max_cost']} needs backend.price_per_hour, the price of a worker")

    def _check_others(self, config: Json) -> None:
        whole_stream = config["job"]["name"] == "stream" and self.tuner["tune_on"] == "stream"
        for metric in self.objective["others"]:
            if metric == self.objective["metric"]:
                raise ConfigError(f"objective.others.{metric}: it is objective.metric already")
            if whole_stream != (not metric.startswith(("val_", "train_"))):
                raise ConfigError(
                    f"objective.others.{metric}: a trial that is {'a stream' if whole_stream else 'an update'} "
                    f"has {'the metrics of a stream alone' if whole_stream else 'val_… and train_… metrics alone'}"
                )

    def _record(self, config: Json) -> Json:
        record, state = self.base.record, config["state"]
        shape = {k: v for k, v in self.tuner.items() if k not in (*LIMITS, "keep", "storage")}
        asked = json.dumps([record["recipe"], shape, space_to_json(self.space)], sort_keys=True)
        recipe = hashlib.sha256(asked.encode()).hexdigest()[:16]
        where = f"{recipe}/{record['parent']}/{state['url']}/{state['next_url']}"
        name = f"sweep-{hashlib.sha256(where.encode()).hexdigest()[:10]}"
        folder = Path(str(config["run_dir"])).absolute() / name
        return {
            "id": name,
            "recipe": recipe,
            "parent": record["parent"],
            "to": state["next_url"] or state["url"] or str(folder / "state"),
            "metric": self.objective["metric"],
            "mode": self.objective["mode"],
            "others": self.objective["others"],
            "seed": config["seed"],
            "overrides": self._shared(),
            "space": space_to_json(self.space),
            "created": time.time(),
            "cwd": str(Path.cwd()),
        }

    def run(self) -> Json:
        """Run the sweep, or what is left of it, and publish its winner; returns what the command ends with."""
        config = self.base.config
        newest = State(self.record["to"]).newest() if config.resume and config.state.url else None
        if newest is not None and newest.lineage.get("recipe") == self.record["recipe"]:
            self.launcher.progress.line(
                f"already published as version {newest.version} of {self.record['to']}, tuned by this very sweep; "
                "resume=false tunes again"
            )
            return (read_json(self.folder / "result.json") or {"value": None}) | {
                "status": "completed",
                "version": newest.version,
                "url": self.record["to"],
            }
        if config.resume and self.tuner["storage"] is not None and (self.folder / EVENTS).exists():
            raise ConfigError(
                f"{self.folder}: a sweep whose study is shared can't be repeated from its log: resume=false begins a "
                f"new one, which goes on with what tuner.storage={self.tuner['storage']} holds"
            )
        engines = self._engines()  # before anything is written
        if not config.resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / RECORD, self.record)
        OmegaConf.save(self.settings, self.folder / "multirun.yaml")
        sweep = self._sweep(*engines)
        report.link_latest(self.folder)
        try:
            with self.board:
                sweep.run()
        except BaseException as error:
            self.launcher.close()
            if isinstance(error, KeyboardInterrupt):
                self._interrupted(sweep)
            raise
        best = sweep.best
        outcome: Json = {"trials": len(sweep.trials), "why": sweep.why, "url": self.record["to"], "version": None}
        if best is None:
            self._clean(sweep, None)
            write_json(self.folder / "result.json", outcome | {"status": "failed", "best_params": None, "value": None})
            errors = [t.error for t in sweep.trials if t.error]
            raise JobError(
                f"no trial of {len(sweep.trials)} completed, nothing is published"
                + (f": {errors[-1]}" if errors else "")
            )
        manifest = publish_best(self.folder)
        self._clean(sweep, best)
        outcome |= {"status": "completed", "version": manifest.version, "value": best.value, "best_trial": best.id}
        outcome["best_params"] = best.config
        won = read_json(candidate_of(self.folder, best).parent / "result.json")
        outcome["metrics"] = won["metrics"] if won else {}
        if self.record["others"]:
            names = [self.record["metric"], *self.record["others"]]
            outcome["pareto"] = [
                {"trial": t.id, "config": t.config, **dict(zip(names, (t.value, *t.others), strict=True))}
                for t in sweep.front()
            ]
        write_json(self.folder / "result.json", outcome)
        self.board.end(sweep, best, outcome, self._winner_command(best))
        return outcome

    def _engines(self) -> tuple[Proposer, Stopper]:
        """Proposer and stopper, told what they are for."""
        parent = self.record["parent"]
        state = State(parent["url"]) if parent else None
        rows = read(state, state.manifest(parent["version"])) if state and self.tuner["transfer"] != "none" else []
        defaults = self._defaults()
        metric, mode, seed = (self.record[key] for key in ("metric", "mode", "seed"))
        first = best_of_each_update(rows, self.space, defaults, metric=metric, mode=mode)
        enqueued = len(first)
        if rows:
            self.launcher.progress.line(
                f"history: {len(rows)} trials of earlier updates; {enqueued} of their best configurations come first"
            )
        default = self.space.active(defaults)
        if self.tuner["defaults_first"] and self.space.fits(default) and default not in first:
            first.append(default)
        node = dict(self.tuner["stopper"])
        if self.tuner["transfer"] == "rush":
            if "bar" not in node:
                raise ConfigError("tuner.transfer=rush needs a stopper with rungs, as tuner=asha has")
            node["bar"] = True
        trust, steps = self.base.config.trust, self._steps()
        proposer: Proposer = build(self.tuner["proposer"], "tuner.proposer", trust=trust)
        stopper: Stopper = build(node, "tuner.stopper", trust=trust)
        self._bind_to_others(proposer, stopper)
        proposer.learn(completed_of_each_update(rows, self.space, defaults, metric=metric, mode=mode))
        proposer.bind(self.space, first=first, seed=seed, steps=steps, slots=self._slots())
        self.clones = proposer.clones
        stopper.bind(steps=steps, seed=seed, enqueued=enqueued, warm=self.record["parent"] is not None)
        if not self.space.finite and all(self.tuner[k] is None for k in LIMITS if k != "max_failures"):
            raise ConfigError("the space has no end: give tuner.max_trials, tuner.max_time or another limit")
        return proposer, stopper

    def _bind_to_others(self, proposer: Proposer, stopper: Stopper) -> None:
        if not self.record["others"]:
            return
        for part in (proposer, stopper):
            if not part.several:
                raise ConfigError(
                    f"objective.others: {type(part).__name__} of tuner={self.settings.hydra.runtime.choices.tuner} "
                    "knows of one objective only; evolution, random, optuna/nsga2 and syne_tune/moasha take several"
                )
        proposer.objectives = 1 + len(self.record["others"])

    def _slots(self) -> int:
        """Trials at a time; each has a job per seed."""
        return max(1, int(self.settings.backend.workers) // int(self.tuner["seeds"]))

    def _sweep(self, proposer: Proposer, stopper: Stopper) -> Sweep:
        metric, mode, seeds = self.record["metric"], self.record["mode"], int(self.tuner["seeds"])
        others, total = self.record["others"], self.tuner["max_trials"]
        self.launcher.progress.quiet = True
        self.board = Board(self.launcher.progress.console, metric=metric, mode=mode, total=total, others=list(others))
        metrics = [metric, *others]
        trials = JobTrials(self.launcher, self._job, seeds=seeds, slots=self._slots(), metrics=metrics)
        price = float(self.base.config.backend.price_per_hour or 0.0) * seeds
        sweep = Sweep(
            proposer,
            stopper,
            trials,
            mode=mode,
            order=self.tuner["order"],
            limits=Limits(**{key: self.tuner[key] for key in LIMITS}, price=price),
            log=self.folder / EVENTS,
            others=list(others.values()),
        )
        sweep.tell = partial(self._tell, sweep)
        self.board.sweep = sweep
        return sweep

    def _name(self, trial: int, k: int) -> str:
        return str(trial) if not k else f"{trial}-seed{self.record['seed'] + k}"

    def _job(self, trial: Trial, k: int) -> Job:
        lines = [*self._shared(), *lines_of(trial.config)]
        if k:
            lines = [line for line in lines if not line.startswith("seed=")] + [f"seed={self.record['seed'] + k}"]
        job = self.composer.compose(trial.id, lines)
        name = self._name(trial.id, k)
        job.record |= {"id": f"{self.record['id']}-{name}", "publish": False, "trial": trial.id}
        job.record.pop("already", None)
        job.directory.path = self.folder / name
        job.name = f"trial {name}"
        if self.clones:
            job.record["clonable"] = True
        if trial.parent is not None:
            job.record["recipe"] += f"+{trial.parent}@{trial.since}"
            self._hand_over(self.folder / self._name(trial.parent, k) / f"epoch-{trial.since}.pt", job)
        return job

    def _hand_over(self, checkpoint: Path, job: Job) -> None:
        """A clone keeps what it starts from: its parent goes on, and the clone may have to begin again."""
        start = job.directory.path / START
        if not (start.exists() and job.known()):
            start.parent.mkdir(parents=True, exist_ok=True)
            start.unlink(missing_ok=True)
            os.link(checkpoint, start)

    def _tell(self, sweep: Sweep, trial: Trial) -> None:
        self.board.tell(trial)
        if self.clones:
            self._forget(trial)
        if trial.status == RUNNING or self.tuner["keep"] == "all":
            return
        loser = trial if trial is not sweep.best else self.leader
        self.leader = sweep.best
        if loser is not None and loser is not sweep.best:
            self._drop(loser)

    def _forget(self, trial: Trial) -> None:
        """Drop epochs that no clone will start from: those before the last, and all of what has completed or failed."""
        for k in range(int(self.tuner["seeds"])):
            for path in (self.folder / self._name(trial.id, k)).glob("epoch-*.pt"):
                epoch = int(path.stem.removeprefix("epoch-"))
                if epoch < trial.step or trial.status in (COMPLETED, FAILED):
                    path.unlink(missing_ok=True)

    def _drop(self, trial: Trial) -> None:
        for folder in [self.folder / str(trial.id), *self.folder.glob(f"{trial.id}-seed*")]:
            for name in ("candidate", "checkpoint.pt", "best.pt", START):
                path = folder / name
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def _clean(self, sweep: Sweep, best: Trial | None) -> None:
        """The winner's candidate is in the state now; the losers' are dropped, those that came late too."""
        for path in self.folder.glob("*/epoch-*.pt"):
            path.unlink(missing_ok=True)
        if self.tuner["keep"] == "best":
            for trial in sweep.trials:
                if best is None or trial is not best or self.record["to"] != str(self.folder / "state"):
                    self._drop(trial)

    def _interrupted(self, sweep: Sweep) -> None:
        best = sweep.best
        said = "interrupted: nothing is published; the same command goes on from here"
        if best is not None:
            said += (
                f"\nbest so far: trial {best.id}, {self.record['metric']} {best.value:.4f}; to publish it now: "
                f"{command([], 'state', 'publish', report.relative(self.folder))}"
            )
        print(f"\n{said}", file=sys.stderr)

    def _winner_command(self, best: Trial) -> str:
        gone = [*self.space.domains, "tuner", "search_space", "state.first"]
        kept = [o for o in self.fixed if o.key_or_group not in gone and not o.key_or_group.startswith("tuner.")]
        untuned = ["search_space=null", "tuner=auto"] if any(o.key_or_group == "experiment" for o in kept) else []
        return command([str(o.input_line) for o in kept], *untuned, *lines_of(best.config))


def lines_of(config: Mapping[str, str]) -> list[str]:
    """A configuration as overrides."""
    return [f"{key}={value}" for key, value in config.items()]
