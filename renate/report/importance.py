"""Which tuned keys mattered."""

from collections.abc import Sequence
from dataclasses import dataclass

from renate.report.facts import Tuning
from renate.tuning.trial import Trial

FEWEST = 10  # trials from which anything is told
TREES = 200
REPEATS = 20


@dataclass(frozen=True)
class Importance:
    """How much each tuned key mattered.

    Attributes:
        shares: Key -> its share of what all keys together explain, the largest first.
        step: After which step trials were compared; None: by their last values.
        trials: How many were.
    """

    shares: dict[str, float]
    step: int | None
    trials: int


def importance_of(tuning: Tuning) -> Importance | None:
    """Return how much each key mattered: by how much a random forest's predictions of the objective
    get worse when that key's values are shuffled (Breiman, 2001,
    https://doi.org/10.1023/A:1010933404324, section 10). None where too few trials tell.

    Trials that were stopped early count with the others: all are compared after the last step that
    each of them has reached.
    """
    trials = [trial for trial in tuning.trials if trial.twin is None]
    compared, step = _compared(trials)
    keys = [key for key in tuning.space.domains if _varies(key, compared)]
    if len(compared) < FEWEST or not keys:
        return None

    import numpy as np
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    inputs = np.array([[_number(tuning, trial, key) for key in keys] for trial, _ in compared])
    values = np.array([value for _, value in compared])
    if float(values.std()) == 0.0:
        return None

    forest = RandomForestRegressor(TREES, random_state=0, min_samples_leaf=2)
    forest.fit(inputs, values)
    found = permutation_importance(forest, inputs, values, n_repeats=REPEATS, random_state=0)
    means = np.clip(found.importances_mean, 0.0, None)
    total = float(means.sum())
    if total == 0.0:
        return None

    shares = {key: float(mean) / total for key, mean in zip(keys, means, strict=True)}
    ordered = dict(sorted(shares.items(), key=lambda pair: -pair[1]))
    return Importance(ordered, step, len(compared))


def _compared(trials: Sequence[Trial]) -> tuple[list[tuple[Trial, float]], int | None]:
    """Trials with comparable values, and after which step these were measured."""
    curves = [(trial, dict(trial.curve)) for trial in trials if trial.curve]
    if not curves:
        known = [(trial, trial.value) for trial in trials if trial.value is not None]
        return known, None

    shared = set.intersection(*(set(curve) for _, curve in curves))
    if not shared:
        return [], None
    step = max(shared)
    return [(trial, curve[step]) for trial, curve in curves], step


def _varies(key: str, compared: Sequence[tuple[Trial, float]]) -> bool:
    return len({trial.config.get(key) for trial, _ in compared}) > 1


def _number(tuning: Tuning, trial: Trial, key: str) -> float:
    """A value as a number; below all others where another key's choice leaves this one out."""
    text = trial.config.get(key)
    domain = tuning.space.domains[key]
    if text is None:
        return -1.0
    try:
        return domain.number(text)
    except ValueError:  # of an earlier space, which a trial was taken over from
        return -2.0
