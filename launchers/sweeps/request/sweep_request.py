"""What a tuned command asks for: the search space, the tuner's settings, and the sweep's
identity.
"""

import hashlib
import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError
from renate.jobs.directory import Json
from renate.tuning.on_disk.sweep_record import SweepRecord
from renate.tuning.space import Config, Domain

from ...base import ComposedJob
from ...composing.checks.objective import problem_option
from ...composing.composer import Composer
from ...composing.starting import NotFirstError
from ..overrides import place_of
from .settings import LIMITS, check_settings
from .space import domain_of, space_of


class SweepRequest:
    """Checked as far as it can be before anything is written.

    Args:
        composer: Of the sweep.
        settings: The sweep's own config.
        parsed: Its overrides.

    Attributes:
        space: What is tuned.
        fixed: The overrides that all trials share.
        base: Some job of the sweep, never run.
        tuner: The tuner's settings.
        record: What the sweep is about, as its folder keeps it.
        refused: Why the sweep can't begin, if it isn't what its state already holds.

    Raises:
        ConfigError: Naming the key, its value and what was expected.
    """

    def __init__(
        self, composer: Composer, settings: DictConfig, parsed: Sequence[Override]
    ) -> None:
        self.composer = composer
        self.settings = settings
        self.fixed = [o for o in parsed if not o.is_sweep_override()]

        if seeds := [o for o in parsed if o.is_sweep_override() and o.key_or_group == "seed"]:
            raise ConfigError(
                f"{seeds[0].input_line}: a tuner would choose the luckiest seed; tuner.seeds=3 "
                "takes the mean of three"
            )

        self.space = space_of(self.composer, self.fixed, self._domains(parsed))
        if not self.space.domains:
            raise ConfigError(
                "the tuner has nothing to tune: give search_space=auto, or a domain, as "
                "'optimizer.lr=tag(log,interval(1e-4,0.5))'"
            )

        self.option = settings.hydra.runtime.choices.tuner
        if self.option == "auto":
            if self.space.finite:
                self.option = "grid"
            else:
                self.option = "evolution"

            chosen = OverridesParser.create().parse_overrides([f"tuner={self.option}"])
            self.fixed = [*(o for o in self.fixed if o.key_or_group != "tuner"), *chosen]

        self.refused: NotFirstError | None = None
        self.base = self._base()
        # A tuner must know which way is better before it begins
        if self.base.config.objective.metric == "auto":
            option = problem_option(self.base.config, self.base.record.parent)
            self.fixed += OverridesParser.create().parse_overrides([f"problem={option}"])
            self.base = self._base()

        config: Any = OmegaConf.to_container(self.base.config, resolve=True)
        self.tuner = config["tuner"]
        self.objective = config["objective"]
        self.objective["others"] = self.objective["others"] or {}
        check_settings(config, self.objective, self.space, self.option)
        self.record = self._record(config)

    def _domains(self, parsed: Sequence[Override]) -> dict[str, Domain]:
        """Those of the search space, less what the command line says itself."""
        swept = [o for o in parsed if o.is_sweep_override()]
        given = {place_of(o) for o in parsed}
        lines: dict[str, str] = {}
        option = self.settings.hydra.runtime.choices.search_space

        if option == "auto":
            lines = self._auto(swept)
        elif option is not None:
            lines = dict(self.settings.search_space or {})

        found = {k: v for k, v in lines.items() if k not in given}
        parser = OverridesParser.create()
        overrides = [
            *(o for o in swept),
            *parser.parse_overrides([f"{k}={v}" for k, v in found.items()]),
        ]

        for override in overrides:
            if not override.is_sweep_override():
                raise ConfigError(
                    f"search space: {override.input_line}: expected a domain, as interval(0,1) or "
                    "a,b"
                )

        return {place_of(o): domain_of(o) for o in overrides}

    def _auto(self, swept: Sequence[Override]) -> dict[str, str]:
        """The search spaces of the updaters to choose from, else the learning rate alone."""
        chosen = next((o for o in swept if o.key_or_group == "updater"), None)
        if chosen:
            options = list(chosen.sweep_string_iterator())
        else:
            options = [self.settings.hydra.runtime.choices.updater]

        lines: dict[str, str] = {}

        for option in options:
            there = self.composer.loader.repository.config_exists(f"search_space/{option}")
            for key, value in self.composer.schema.option(
                f"search_space/{option if there else 'lr'}"
            )[0].items():
                if lines.setdefault(key, value) != value:
                    raise ConfigError(
                        f"search_space=auto: {key} is {lines[key]} for one updater and {value} for "
                        f"{option}: give it on the command line, as '{key}={value}'"
                    )

        return lines

    def _base(self) -> ComposedJob:
        """Some job of the sweep, never run: checked like any other, and what the sweep's
        identity is made of.
        """
        lines = [*self.shared(), *lines_of(self.space.sample(random.Random(0)))]
        try:
            return self.composer.compose(0, lines)
        except NotFirstError as error:  # unless what is there is this very sweep's
            self.refused = error
            return self.composer.compose(0, [*lines, "state.first=false"])

    def shared(self) -> list[str]:
        """The overrides that all trials share, as the command line has them."""
        return [str(o.input_line) for o in self.fixed]

    def defaults(self) -> Config:
        """The config's own value of each key, as the command line has it.

        What lies outside of its domain too.
        """
        defaults: Config = {}
        choices = self.composer.choices(self.shared())

        for key, domain in self.space.domains.items():
            if self.composer.is_group(key):
                defaults[key] = str(choices.get(key))
                continue

            lines = self.shared()
            if key in self.space.conditions:
                group, options = self.space.conditions[key]
                if defaults[group] in options:
                    chosen = defaults[group]
                else:
                    chosen = sorted(options)[0]

                lines.append(f"{group}={chosen}")

            text = _as_text(self.composer.select(lines, key))
            try:
                defaults[key] = domain.text(domain.number(text))
            except ValueError:
                defaults[key] = text

        return defaults

    def steps(self) -> int:
        """Reports of a whole trial: its epochs, the most where they are tuned, or steps by
        `trainer.report_every`.
        """
        trainer = self.base.config.trainer
        if trainer.report_every is not None:
            return max(1, int(trainer.max_steps) // int(trainer.report_every))

        domain = self.space.domains.get("trainer.max_epochs")
        if domain:
            return max(map(int, domain.values()))
        return max(1, int(self.base.config.trainer.max_epochs))

    def _record(self, config: Json) -> SweepRecord:
        job = self.base.record
        state = config["state"]
        shape = {k: v for k, v in self.tuner.items() if k not in (*LIMITS, "keep", "storage")}
        asked = json.dumps([job.recipe, shape, self.space.to_json()], sort_keys=True)
        recipe = hashlib.sha256(asked.encode()).hexdigest()[:16]
        where = f"{recipe}/{job.to_json()['parent']}/{state['url']}/{state['next_url']}"
        name = f"sweep-{hashlib.sha256(where.encode()).hexdigest()[:10]}"
        folder = Path(str(config["run_dir"])).absolute() / name

        return SweepRecord(
            id=name,
            recipe=recipe,
            parent=job.parent,
            to=state["next_url"] or state["url"] or str(folder / "state"),
            metric=self.objective["metric"],
            mode=self.objective["mode"],
            secondary=self.objective["others"],
            seed=config["seed"],
            overrides=self.shared(),
            space=self.space,
            created=time.time(),
            cwd=str(Path.cwd()),
        )

    @property
    def slots(self) -> int:
        """Trials at a time; each has a job per seed."""
        return max(1, int(self.settings.backend.workers) // int(self.tuner["seeds"]))


def _as_text(value: Any) -> str:
    """A value as the command line has it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def lines_of(config: Mapping[str, str]) -> list[str]:
    """A configuration as overrides."""
    return [f"{key}={value}" for key, value in config.items()]
