"""Whether an updater learns what is predicted, and fits its memory."""

from renate.errors import ConfigError
from renate.problems.base import Problem
from renate.updaters.base import Updater


def check_problem(updater: Updater, problem: Problem) -> None:
    """Return if an updater learns a problem: one of `Updater.problems`, or derived from one.

    Raises:
        ConfigError: It doesn't.
    """
    if problem.generates and not updater.generates:
        raise ConfigError(
            f"problem={problem.name}: {type(updater).__name__} doesn't learn texts that are "
            "generated; those that do set `generates`, as updater=er, lora, o_lora and joint"
        )
    if not updater.problems:
        return

    kinds = {kind.__module__.rpartition(".")[2] for kind in type(problem).__mro__}
    if kinds.isdisjoint(updater.problems):
        raise ConfigError(
            f"problem={problem.name}: {type(updater).__name__} learns "
            f"{' and '.join(updater.problems)} alone: "
            "take an updater that learns any, as updater=er"
        )


def check_offers(updater: Updater) -> None:
    """Return if an updater offers its memory what the policy decides by.

    Raises:
        ConfigError: It doesn't.
    """
    policy = updater.memory.policy
    lacking = [name for name in policy.needs if name not in updater.fields]
    if lacking:
        raise ConfigError(
            f"memory: a {policy.name} decides by each example's '{lacking[0]}', which "
            f"{type(updater).__name__} doesn't offer: memory=reservoir, or updater=gss"
        )


def check_keeps(updater: Updater) -> None:
    """Return if the memory of an updater that replays keeps something: without, it would be
    fine-tuning by another name.

    Raises:
        ConfigError: It keeps nothing.
    """
    if updater.replays and updater.memory.capacity == 0:
        raise ConfigError(
            f"memory: a {updater.memory.policy.name} keeps nothing, and "
            f"{type(updater).__name__} learns from past examples: memory=reservoir, or "
            "updater=fine_tuning, which needs none"
        )
