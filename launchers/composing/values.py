"""Values that no single class can check, because what is wrong lies between groups."""

from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError, nearest
from renate.jobs.group import check_devices

from .direction import directed

PRECISIONS = (
    "32-true",
    "64-true",
    "bf16-true",
    "16-true",
    "bf16-mixed",
    "16-mixed",
    "transformer-engine",
    "transformer-engine-float16",
)
# What a stream is measured by, besides its updates.
OF_STREAMS = (
    "average_accuracy",
    "forgetting",
    "backward_transfer",
    "forward_transfer",
    "learning_accuracy",
)
COUNTS = (  # key of the trainer, its least value, and the one below that means something
    ("max_epochs", 1, None),
    ("max_steps", 1, -1),
    ("accumulate_grad_batches", 1, None),
)


def check_values(config: DictConfig) -> None:
    """Check a resolved config; the directions of its objectives are filled in.

    Raises:
        ConfigError: Naming key, value, and what was expected.
    """
    check_devices(config.trainer.devices)
    if config.job.name == "evaluate" and config.state.url is None:
        raise ConfigError("job=evaluate needs state.url=…, the state to evaluate")
    every = config.trainer.report_every
    if every is not None and (not isinstance(every, int) or every < 1):
        raise ConfigError(f"trainer.report_every={every}: expected a number of steps, 1 or more, or null")
    _check_trainer(config.trainer)
    _check_objective(config)


def _check_trainer(trainer: DictConfig) -> None:
    """Numbers that Lightning would take for something else, or refuse late."""
    for key, least, odd in COUNTS:
        value = trainer[key]
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or (value < least and value != odd):
            besides = f", or {odd} for all epochs" if odd is not None else ""
            raise ConfigError(f"trainer.{key}={value}: expected a whole number, {least} or more{besides}")
    if trainer.precision is not None and str(trainer.precision) not in PRECISIONS:
        raise ConfigError(
            f"trainer.precision={trainer.precision}: expected {', '.join(PRECISIONS)}"
            f"{nearest(str(trainer.precision), PRECISIONS)}"
        )


def _check_objective(config: DictConfig) -> None:
    metric = config.objective.metric
    mode = config.objective.mode
    if mode not in ("max", "min", None):
        raise ConfigError(f"objective.mode={mode}: expected max or min, or null: as the metric has it")
    if metric is None:
        return

    others = config.objective.others or {}
    measured = _measured(config)
    for key, value in [("metric=", metric), *(("others.", other) for other in others)]:
        if value not in measured:
            raise ConfigError(f"objective.{key}{value}: not measured{nearest(value, measured)} ({', '.join(measured)})")

    # From here on every part of the job and every tuner reads the same direction.
    for other, direction in others.items():
        if direction not in ("max", "min", None):
            raise ConfigError(f"objective.others.{other}={direction}: expected max or min")
        key = f"objective.others.{other}"
        others[other] = directed(key, other, direction, config.metrics)
    config.objective.mode = directed("objective.mode", metric, mode, config.metrics)

    validates = OmegaConf.select(config, "data.val_size") or config.job.name == "evaluate"
    if metric.startswith("val_") and not validates:
        raise ConfigError(
            f"objective.metric={metric} needs validation data, "
            f"but data.val_size={config.data.val_size}: give data.val_size=0.1, "
            "or objective.metric=null to keep the last epoch's weights"
        )


def _measured(config: DictConfig) -> list[str]:
    """The names that an objective may have."""
    names = [f"val_{name}" for name in [*config.metrics, "loss"]] + ["train_loss"]
    if config.job.name == "stream":
        names += OF_STREAMS
    return names
