"""Spaces, configurations and trials as an Optuna study has them."""

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from renate.tuning.base import COMPLETED, FAILED, STOPPED
from renate.tuning.space import Config, Domain, Space

if TYPE_CHECKING:
    import optuna


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna warns of what is experimental: what a config names is meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def name_of(space: Space) -> str:
    """The name of a space's study: another space is another study."""
    conditions = sorted(
        (key, other, sorted(values)) for key, (other, values) in space.conditions.items()
    )
    return (
        "renate-"
        + hashlib.sha256(repr((list(space.domains.items()), conditions)).encode()).hexdigest()[:12]
    )


def study_of(space: Space, trials: Iterable[Mapping[str, Any]], mode: str) -> "optuna.Study":
    """Build a study in memory, for Optuna's plots.

    Args:
        space: Of the trials; those that don't fit it are left out.
        trials: Of each: `config`, `value` with its original sign or None, `status`, `curve` of
            (step, value).
        mode: `min` or `max`.
    """
    import optuna
    from optuna.trial import TrialState

    states = {COMPLETED: TrialState.COMPLETE, STOPPED: TrialState.PRUNED, FAILED: TrialState.FAIL}

    with quiet():
        study = optuna.create_study(
            study_name=name_of(space), direction="maximize" if mode == "max" else "minimize"
        )
        for trial in trials:
            if space.fits(trial["config"]):
                state = states[trial["status"]]
                study.add_trial(
                    optuna.create_trial(
                        state=state,
                        value=trial["value"] if state is not TrialState.FAIL else None,
                        params=params_of(space, trial["config"]),
                        distributions={
                            key: distribution(space.domains[key]) for key in trial["config"]
                        },
                        intermediate_values=dict(trial["curve"]),
                    )
                )

    return study


def distribution(domain: Domain) -> "optuna.distributions.BaseDistribution":
    """A domain as Optuna has it."""
    from optuna import distributions

    if domain.kind == "choice":
        return distributions.CategoricalDistribution(domain.choices)
    if domain.kind == "int":
        return distributions.IntDistribution(int(domain.low), int(domain.high), log=domain.log)
    return distributions.FloatDistribution(domain.low, domain.high, log=domain.log)


def param_of(domain: Domain, text: str) -> str | float:
    """A value as a study has it."""
    if domain.kind == "choice":
        return text
    if domain.kind == "int":
        return int(domain.number(text))
    return domain.number(text)


def params_of(space: Space, config: Config) -> dict[str, Any]:
    """A configuration as a study has it."""
    return {key: param_of(space.domains[key], text) for key, text in config.items()}
