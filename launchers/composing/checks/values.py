"""Values that no single class can check, because what is wrong lies between groups."""

from omegaconf import DictConfig

from renate.errors import ConfigError, nearest
from renate.jobs.running.torchrun import check_devices

from ...terminal.pages import check_wish
from ...terminal.progress import JSON, check_mode
from .groups import check_groups
from .objective import check_objective

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
LONGEST_TAG = 100
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
    check_groups(config)
    check_devices(config.trainer.devices)
    needs_state = {"evaluate": "evaluate", "predict": "predict by", "detect": "compare with"}
    if config.job.name in needs_state and config.state.url is None:
        what = needs_state[config.job.name]
        raise ConfigError(f"job={config.job.name} needs state.url=…, the state to {what}")

    state = config.state
    if config.job.name == "stream" and state.url is not None and state.next_url is not None:
        raise ConfigError(
            f"state.next_url={state.next_url}: a stream publishes where it begins, at state.url: "
            "leave one of them out"
        )

    if config.job.name == "simulate":
        _check_simulation(config)
    if config.job.name == "stream" and config.get("policy"):
        raise ConfigError(
            "policy: job=stream takes every chunk, as benchmarks do: leave policy out"
        )
    if config.job.name == "stream" and config.get("gate"):
        raise ConfigError(
            "gate: job=stream goes on from every version, as benchmarks do: leave gate out; of an "
            "update it says whether its version is used"
        )

    if config.job.name == "stream" and config.get("publish"):
        raise ConfigError(
            "publish: job=stream makes its versions for a benchmark: leave publish out, and take "
            "one of them to a registry by renate export"
        )

    if config.output is not None and config.job.name in ("update", "stream", "evaluate"):
        raise ConfigError(
            f"output={config.output}: job={config.job.name} writes no such file: leave it out; "
            "job=predict writes answers, job=detect what it found"
        )

    check_mode(config.terminal)
    check_wish(config.report)
    if config.terminal == JSON and config.output == "-":
        raise ConfigError(
            "output=-: prints answers where terminal=json prints events: output=pred.jsonl, or "
            "another terminal="
        )

    _check_words(config)
    _check_trainer(config.trainer)
    check_objective(config)


def _check_simulation(config: DictConfig) -> None:
    """What a simulation has no use for."""
    for key in ("url", "version", "next_url"):
        if config.state[key] is not None:
            raise ConfigError(
                f"state.{key}={config.state[key]}: job=simulate keeps its versions in its job's "
                "folder, and begins with none: leave it out"
            )
    if config.output is not None:
        raise ConfigError(
            f"output={config.output}: job=simulate writes simulation.csv and .parquet into its "
            "job's folder: leave it out"
        )


def _check_words(config: DictConfig) -> None:
    """Tags and notes: what is printed where jobs and versions are listed."""
    for tag in config.tags or []:
        if not isinstance(tag, str) or not tag.isprintable() or not 0 < len(tag) <= LONGEST_TAG:
            raise ConfigError(
                f"tags={list(config.tags)}: {tag!r}: expected words of at most {LONGEST_TAG} "
                "printable characters, tags=[nightly,eu]; a number in quotes: tags=['7']"
            )

    notes = config.notes
    if notes is not None and (not isinstance(notes, str) or not notes.isprintable()):
        raise ConfigError(f"notes={notes!r}: expected one line of printable characters")


def _check_trainer(trainer: DictConfig) -> None:
    """Numbers that Lightning would take for something else, or refuse late."""
    for key, least, odd in COUNTS:
        value = trainer[key]
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or (value < least and value != odd):
            besides = ""
            if odd is not None:
                besides = f", or {odd} for all epochs"

            raise ConfigError(
                f"trainer.{key}={value}: expected a whole number, {least} or more{besides}"
            )

    if trainer.precision is not None and str(trainer.precision) not in PRECISIONS:
        raise ConfigError(
            f"trainer.precision={trainer.precision}: expected {', '.join(PRECISIONS)}"
            f"{nearest(str(trainer.precision), PRECISIONS)}"
        )
