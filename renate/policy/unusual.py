"""A policy that goes by what is usual for a state."""

import numpy as np

from renate.errors import ConfigError
from renate.policy.base import Decision, Policy, Situation
from renate.policy.simple import Drift, at_least


class UnusualDrift(Policy):
    """An update is due when new data differ from the version's reference by more than they mostly
    do: where seasons and weather move something each week, a fixed limit is always broken or never
    (the dynamic threshold of Böther et al., 2025, https://arxiv.org/abs/2312.06254).

    Args:
        quantile: Of the effects of earlier looks, which this one's must exceed.
        looks: How many of the last ones count.
        warmup: With fewer than so many, `min_effect` decides alone.
        min_effect: The least effect, as that of `policy=drift`.
    """

    def __init__(self, quantile: float, looks: int, warmup: int, min_effect: float) -> None:
        self.quantile = at_least("quantile", quantile, 0.0)
        if self.quantile > 1:
            raise ConfigError(f"policy.quantile={quantile}: expected a share, 0 to 1")
        for name, value in (("looks", looks), ("warmup", warmup)):
            if type(value) is not int or value < 1:
                raise ConfigError(f"policy.{name}={value}: expected a whole number, 1 or more")
        if warmup > looks:
            raise ConfigError(
                f"policy.warmup={warmup}: expected at most policy.looks={looks}, or it never ends"
            )

        self.looks = looks
        self.warmup = warmup
        self.fixed = Drift(min_effect)

    def decide(self, situation: Situation) -> Decision:
        """Compare, and look back."""
        fixed = self.fixed.decide(situation)
        earlier = list(situation.earlier_effects())[-self.looks :]
        if len(earlier) < self.warmup:
            why = f"{len(earlier)} earlier looks, policy.warmup={self.warmup}"
            return Decision(fixed.is_due, [f"{why}: policy.min_effect decides", *fixed.reasons])

        effect = situation.drift().effect
        usual = float(np.quantile(earlier, self.quantile))
        why = (
            f"effect {effect:.3f}, {usual:.3f} is the quantile policy.quantile={self.quantile:g} "
            f"of the last {len(earlier)} looks"
        )
        return Decision(fixed.is_due and effect > usual, [why, *fixed.reasons])
