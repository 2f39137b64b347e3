"""A tuner's two parts, made and told what they are for: what proposes trials, and what stops
them.
"""

from typing import Any

from renate.build import build
from renate.errors import ConfigError
from renate.jobs.directory import Json
from renate.state.versions import State
from renate.tuning.base import Proposer, Stopper
from renate.tuning.on_disk.sweep_record import SweepRecord
from renate.tuning.on_disk.trial_history import best_of_each_update, completed_of_each_update, read
from renate.tuning.space import Config

from ..composing.launcher import HydraLauncher
from .request import LIMITS, SweepRequest


def engines_for(
    request: SweepRequest, record: SweepRecord, launcher: HydraLauncher
) -> tuple[Proposer, Stopper]:
    """Make proposer and stopper; nothing is written.

    Args:
        request: What is asked for.
        record: What the sweep is about, as its folder keeps it.
        launcher: Where its trials run.

    Raises:
        ConfigError: They can't do what is asked of them.
    """
    space = request.space
    metric = record.metric
    mode = record.mode
    defaults = request.defaults()
    rows = _history(request, record)
    first = best_of_each_update(rows, space, defaults, metric=metric, mode=mode)
    enqueued = len(first)

    if rows:
        launcher.progress.line(
            f"history: {len(rows)} trials of earlier updates; {enqueued} of their best "
            "configurations come first"
        )

    _add_defaults(request, defaults, first)

    trust = request.base.config.trust
    steps = request.steps()
    proposer: Proposer = build(request.tuner["proposer"], "tuner.proposer", trust=trust)
    stopper: Stopper = build(_stopper_node(request), "tuner.stopper", trust=trust)
    _bind_to_secondary(request, record, proposer, stopper)
    completed = completed_of_each_update(rows, space, defaults, metric=metric, mode=mode)
    proposer.learn(completed)
    proposer.bind(space, first=first, seed=record.seed, steps=steps, slots=request.slots)
    launcher.check_tuner(proposer)  # bound, it knows whether its trials are clones
    warm = record.parent is not None
    stopper.bind(steps=steps, seed=record.seed, enqueued=enqueued, warm=warm)

    limits = [request.tuner[key] for key in LIMITS if key != "max_failures"]

    if not space.finite and all(limit is None for limit in limits):
        raise ConfigError(
            "the space has no end: give tuner.max_trials, tuner.max_time or another limit"
        )

    return proposer, stopper


def _history(request: SweepRequest, record: SweepRecord) -> list[Any]:
    """The trials of earlier updates, as the state that the sweep starts from has them."""
    parent = record.parent
    if parent is None or request.tuner["transfer"] == "none":
        return []
    state = State(parent.url)
    return read(state, state.manifest(parent.version))


def _add_defaults(request: SweepRequest, defaults: Config, first: list[Config]) -> None:
    """Have the config's own values tried too, where they lie in the space."""
    default = request.space.active(defaults)
    wanted = request.tuner["defaults_first"] and request.space.fits(default)
    if wanted and default not in first:
        first.append(default)


def _stopper_node(request: SweepRequest) -> Json:
    node = dict(request.tuner["stopper"])
    if request.tuner["transfer"] == "rush":
        if "bar" not in node:
            raise ConfigError("tuner.transfer=rush needs a stopper with rungs, as tuner=asha has")
        node["bar"] = True
    return node


def _bind_to_secondary(
    request: SweepRequest, record: SweepRecord, proposer: Proposer, stopper: Stopper
) -> None:
    """Tell the proposer of further objectives, where there are any."""
    if not record.secondary:
        return

    for part in (proposer, stopper):
        if not part.multi_objective:
            raise ConfigError(
                f"objective.others: {type(part).__name__} of tuner={request.option} "
                "knows of one objective only; evolution, random, optuna/nsga2 and "
                "syne_tune/moasha take several"
            )

    proposer.objectives = 1 + len(record.secondary)
