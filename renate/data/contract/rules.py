"""What a check of the contract leads to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from renate.errors import ConfigError, nearest

OFF = "off"
WARN = "warn"
FAIL = "fail"
FIX = "fix"
PLAIN = (FAIL, WARN, OFF)
# Check -> what it may lead to
CHOICES = {
    "types": PLAIN,
    "missing": PLAIN,
    "ranges": (*PLAIN, FIX),
    "categories": (*PLAIN, FIX),
    "lengths": (*PLAIN, FIX),
    "labels": (*PLAIN, FIX),
    "balance": PLAIN,
    "examples": PLAIN,
}
SLACK = ("ranges", "missing", "lengths", "balance", "examples")


@dataclass(frozen=True)
class Rules:
    """What each check leads to, and how much room a contract gives that is fitted.

    Attributes:
        actions: Check -> `fail`, `warn`, `fix` or `off`.
        slack: See conf/contract/default.yaml.
        most_categories: Of a column that a fitted contract lists.
    """

    actions: Mapping[str, str] = field(default_factory=dict)
    slack: Mapping[str, float] = field(default_factory=dict)
    most_categories: int = 0

    @classmethod
    def of(cls, node: Any) -> "Rules":
        """Return the rules of a config's group `contract`; empty, nothing is checked or fitted.

        Raises:
            ConfigError: A check leads to nothing that there is, or a number isn't one.
        """
        if not node:
            return cls()

        actions = {}
        for check, choices in CHOICES.items():
            asked = node.get(check, OFF)
            # YAML reads a plain off as false
            asked = OFF if asked is False else asked
            if asked not in choices:
                raise ConfigError(
                    f"contract.{check}={asked}: expected {', '.join(choices)}"
                    f"{nearest(str(asked), choices)}"
                )
            actions[check] = str(asked)

        slack = dict(node.get("slack") or {})
        for name in SLACK:
            value = slack.get(name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ConfigError(f"contract.slack.{name}={value}: expected a number, 0 or more")

        most = node.get("most_categories")
        if type(most) is not int or most < 0:
            raise ConfigError(f"contract.most_categories={most}: expected a whole number")
        return cls(actions, {name: float(slack[name]) for name in SLACK}, most)

    def __bool__(self) -> bool:
        return bool(self.actions)

    def of_check(self, check: str) -> str:
        """Return what a check leads to."""
        return self.actions.get(check, OFF)
