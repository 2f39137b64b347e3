"""A call's arguments -> overrides."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renate.compat.files.description import Description, describe
from renate.compat.files.overrides import KEY, groups_of, mapping_of
from renate.errors import ConfigError, nearest
from renate.jobs.config_yaml import quoted

MODES = ("max", "min")
BACKENDS = ("local", "sagemaker")
PRECISIONS = {"16": "16-mixed", "32": "32-true", "64": "64-true", "bf16": "bf16-mixed"}
PREFIXES = ("val_", "train_")
CLIPPINGS = ("norm", "value")


def description_of(config_file: str | None, source_dir: str | None) -> Description:
    """Read the config file, which may be named as it lies below `source_dir`.

    Raises:
        ConfigError: No such file, or no config file.
    """
    if config_file is None:
        raise ConfigError("config_file=None: give the file with model_fn and data_module_fn")

    below = None
    if source_dir:
        below = Path(source_dir) / config_file

    if below is not None and below.is_file() and not Path(config_file).is_file():
        return describe(below)

    return describe(config_file)


def of_file(
    description: Description, config_space: Mapping[str, Any], metric: str | None
) -> list[str]:
    """What the file's functions and their arguments stand for."""
    names = [f"{KEY}.{name}" for name in description.arguments if name in config_space]
    asked = [*(f"{name}=" for name in names), f"objective.metric={metric}"]
    mapping = mapping_of(description, asked)
    # Chosen with the keys of the config_space, which say what they mean
    chosen = {"optimizer", "lr_scheduler"}

    return [f"{KEY}={quoted(mapping)}", *groups_of(description, asked, chosen)]


def of_settings(settings: Mapping[str, Any]) -> list[str]:
    """The objective, what is passed on to the file's functions, and what belongs to no group.

    Raises:
        ConfigError: A mode, a metric or a chunk that can't be right.
    """
    chunk = settings["chunk_id"]
    if chunk is not None and (type(chunk) is not int or chunk < 0):
        raise ConfigError(f"chunk_id={chunk!r}: expected a whole number of 0 or more, or None")

    return [
        *_objective(settings["metric"], settings["mode"]),
        f"model.task_id={quoted(settings['task_id'])}",
        f"data.chunk_id={quoted(settings['chunk_id'])}",
        f"seed={quoted(settings['seed'])}",
        f"run_dir={quoted(settings['working_directory'])}",
    ]


def _objective(metric: str | None, mode: str | None) -> list[str]:
    """Without a metric the last epoch's weights are kept."""
    if metric is None and mode is None:
        return ["objective.metric=null"]
    if mode not in MODES:
        raise ConfigError(f"mode={mode!r}: expected max or min")
    if not isinstance(metric, str) or not metric.startswith(PREFIXES):
        raise ConfigError(
            f"metric={metric!r}: expected a name that begins with val_ or train_, as val_{metric}"
        )

    return [f"objective.metric={quoted(metric)}", f"objective.mode={mode}"]


def of_state(input_url: str | None, output_url: str | None) -> list[str]:
    """Where the update starts from, and where its outcome goes.

    Without an input the first version is made at the output.
    """
    start = _without_slash(input_url)
    target = _without_slash(output_url)
    if start is None and target is None:
        return []
    if start is None:
        return [f"state.url={quoted(target)}", "state.first=true"]
    if target is None or target == start:
        return [f"state.url={quoted(start)}"]

    return [f"state.url={quoted(start)}", f"state.next_url={quoted(target)}"]


def _without_slash(url: str | None) -> str | None:
    return None if url is None else str(url).rstrip("/")


def of_trainer(**settings: Any) -> list[str]:
    """Lightning's settings.

    Args:
        **settings: As the call has them.

    Raises:
        ConfigError: A precision that Renate hadn't, or another value that can't be right.
    """
    if not isinstance(settings["deterministic"], bool):
        raise ConfigError(
            f"deterministic_trainer={settings['deterministic']!r}: expected True or False"
        )
    clipping = settings["gradient_clip_algorithm"]
    if clipping not in (None, *CLIPPINGS):
        raise ConfigError(
            f"gradient_clip_algorithm={clipping!r}: expected one of {', '.join(CLIPPINGS)}, or None"
            f"{nearest(str(clipping), CLIPPINGS)}"
        )

    precision = str(settings["precision"])
    if precision not in PRECISIONS:
        raise ConfigError(
            f"precision={settings['precision']!r}: expected one of {', '.join(PRECISIONS)}"
            f"{nearest(precision, PRECISIONS)}"
        )

    ours = settings | {
        "precision": PRECISIONS[precision],
        "deterministic": settings["deterministic"] or None,
        # Of one process there is nothing to share
        "strategy": None if settings["devices"] == 1 else settings["strategy"],
    }
    return [f"trainer.{name}={quoted(value)}" for name, value in ours.items()]


def of_backend(backend: str, **settings: Any) -> list[str]:
    """Where the job runs.

    Args:
        backend: Renate's name.
        **settings: Of SageMaker; here they don't matter.

    Raises:
        ConfigError: Renate had no such backend, or a time that is none.
    """
    if backend not in BACKENDS:
        raise ConfigError(
            f"backend={backend!r}: expected one of {', '.join(BACKENDS)}"
            f"{nearest(str(backend), BACKENDS)}"
        )
    if backend == "local":
        return []

    seconds = settings["max_run"]
    if not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise ConfigError(f"instance_max_time={seconds!r}: expected seconds, a number above 0")

    ours = settings | {"max_run": int(seconds)}
    return ["backend=sagemaker", *(f"backend.{k}={quoted(v)}" for k, v in ours.items())]


def of_workers(workers: int) -> list[str]:
    """How many trials run at a time.

    Raises:
        ConfigError: None would.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ConfigError(f"n_workers={workers!r}: expected a whole number of 1 or more")
    return [f"backend.workers={workers}"]
