"""A policy of others."""

from collections.abc import Mapping

from renate.errors import ConfigError
from renate.policy.base import Decision, Policy, Situation


class AtLeast(Policy):
    """An update is due when at least so many of other policies say so.

    Args:
        count: How many; null: all.
        of: Name -> policy.
    """

    def __init__(self, count: int | None, of: Mapping[str, Policy]) -> None:
        if not of:
            raise ConfigError("policy.of is empty: expected name -> policy")
        for name, policy in of.items():
            if not isinstance(policy, Policy):
                raise ConfigError(f"policy.of.{name}: expected a policy, with a _target_")

        self.of = dict(of)
        self.count = len(self.of) if count is None else count
        if type(self.count) is not int or not 1 <= self.count <= len(self.of):
            raise ConfigError(
                f"policy.count={count}: expected 1 to {len(self.of)}, or null for all"
            )

    def decide(self, situation: Situation) -> Decision:
        """Ask all of them: each says why."""
        decisions = {name: policy.decide(situation) for name, policy in self.of.items()}
        due = [name for name, decision in decisions.items() if decision.is_due]
        reasons = [
            f"{name}: {decision.word}, {reason}"
            for name, decision in decisions.items()
            for reason in decision.reasons
        ]
        said = f"{len(due)} of {len(self.of)} policies ask for an update, {self.count} are needed"
        return Decision(len(due) >= self.count, [said, *reasons])
