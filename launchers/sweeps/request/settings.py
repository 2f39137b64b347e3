"""A tuner's settings: what may be said, and what goes together."""

from renate.errors import ConfigError, nearest
from renate.jobs.directory import Json
from renate.metrics import is_of_fit
from renate.tuning.space import Space

LIMITS = (
    "max_trials",
    "max_trials_completed",
    "max_trials_finished",
    "max_failures",
    "max_time",
    "max_cost",
)
CHOICES = {
    "order": ("arrival", "fixed"),
    "transfer": ("enqueue", "rush", "none"),
    "keep": ("best", "all"),
    "tune_on": ("first_update", "every_update", "stream"),
}


def check_settings(config: Json, objective: Json, space: Space, option: str) -> None:
    """Return if a tuner's settings can be right.

    Args:
        config: Of some job of the sweep, resolved.
        objective: Its objective, of a problem that is known.
        space: What is tuned.
        option: The tuner's name.

    Raises:
        ConfigError: Naming the key, its value and what was expected.
    """
    tuner = config["tuner"]
    _check_choices(tuner, option)
    _check_steps(config["trainer"], space)
    if objective["metric"] is None:
        raise ConfigError(
            "objective.metric=null: a tuner needs an objective, as objective.metric=val_accuracy"
        )

    _check_secondary(config, objective)
    name = config["job"]["name"]
    if name in ("evaluate", "predict"):
        raise ConfigError(
            f"job={name} trains nothing, so there is nothing to tune: job=update or job=stream"
        )

    if name == "simulate":
        raise ConfigError(
            "job=simulate compares policies side by side, policy=never,weekly,drift; a tuner "
            "needs job=update or job=stream"
        )

    if tuner["storage"] is not None and "storage" not in tuner["proposer"]:
        raise ConfigError(
            f"tuner.storage={tuner['storage']}: only tuner=optuna/… shares its trials"
        )

    if tuner["max_cost"] is not None and not config["backend"]["price_per_hour"]:
        raise ConfigError(
            f"tuner.max_cost={tuner['max_cost']} needs backend.price_per_hour, the price of a "
            "worker"
        )


def _check_choices(tuner: Json, option: str) -> None:
    if not tuner.get("proposer") or not tuner.get("stopper"):
        raise ConfigError(f"tuner={option}: it names no proposer and no stopper")

    for key, choices in CHOICES.items():
        if tuner[key] not in choices:
            advice = nearest(tuner[key], choices)
            raise ConfigError(f"tuner.{key}={tuner[key]}: expected {', '.join(choices)}{advice}")


def _check_steps(trainer: Json, space: Space) -> None:
    every = trainer["report_every"]
    steps = trainer["max_steps"]
    if every is not None and (
        steps < every or {"trainer.max_steps", "trainer.report_every"} & {*space.domains}
    ):
        raise ConfigError(
            f"trainer.report_every={every} with a tuner needs trainer.max_steps, the steps of "
            f"a whole trial, of at least as many; it is {steps}"
        )


def _check_secondary(config: Json, objective: Json) -> None:
    whole_stream = config["job"]["name"] == "stream" and config["tuner"]["tune_on"] == "stream"
    known = "a trial that is an update has val_… and train_… metrics alone"
    if whole_stream:
        known = "a trial that is a stream has the metrics of a stream alone"

    for metric in objective["others"]:
        if metric == objective["metric"]:
            raise ConfigError(f"objective.others.{metric}: it is objective.metric already")
        if whole_stream == is_of_fit(metric):
            raise ConfigError(f"objective.others.{metric}: {known}")
