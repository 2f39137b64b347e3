"""Rules in the units of what is predicted."""

from renate.errors import ConfigError
from renate.gate.thresholds import Thresholds
from renate.problems.base import Problem


class ErrorThresholds(Thresholds):
    """`Thresholds` whose limits are errors: of answers that are right or wrong they would be
    shares.
    """

    def check(self, problem: Problem) -> None:
        """Return if what is predicted are numbers, and the rules can be measured."""
        if problem.is_right_or_wrong:
            raise ConfigError(
                f"gate=error is about numbers, and answers of problem={problem.name} are right or "
                "wrong: gate=accuracy"
            )
        super().check(problem)
