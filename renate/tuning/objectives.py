"""Which trial is better: one objective decides, further ones count too."""

from collections.abc import Sequence

from renate.tuning.base import COMPLETED
from renate.tuning.pareto import front
from renate.tuning.trial import Trial


class Objectives:
    """Values turned so that less is better, which is all that proposers and stoppers know.

    Args:
        mode: `max` or `min`, of the objective that decides.
        secondary: The same of the further ones.
    """

    def __init__(self, mode: str, secondary: Sequence[str] = ()) -> None:
        self.sign = _sign(mode)
        self.signs = [_sign(other) for other in secondary]

    def turned(self, value: float) -> float:
        """The objective's value, turned; the same once more is the value as measured."""
        return self.sign * value

    def turned_secondary(self, values: Sequence[float]) -> tuple[float, ...]:
        """Those of the further objectives, each by its own mode.

        Raises:
            ValueError: There are more or fewer than objectives.
        """
        return tuple(sign * value for sign, value in zip(self.signs, values, strict=True))

    def rank(self, trial: Trial) -> tuple[float, ...]:
        """What a completed trial is compared by, less is better.

        The objective decides, then the further ones, then who was asked first: not who was
        quicker to end.
        """
        assert trial.value is not None
        return (self.turned(trial.value), *self.turned_secondary(trial.secondary), trial.id)

    def front(self, trials: Sequence[Trial]) -> list[Trial]:
        """The completed trials that no other beats in all objectives; of one, the best."""
        done = [
            trial
            for trial in trials
            if trial.status == COMPLETED and trial.twin is None and trial.value is not None
        ]
        points = [self.rank(trial)[:-1] for trial in done]
        return [trial for trial, ahead in zip(done, front(points), strict=True) if ahead]


def _sign(mode: str) -> float:
    if mode == "min":
        return 1.0
    return -1.0
