"""The loggers of a job: what they are made of, and what reaches each of them."""

import inspect
from collections.abc import Mapping
from typing import Any

import yaml
from pytorch_lightning.loggers import Logger

from renate.build import build, locate
from renate.checks.arguments import target_of
from renate.errors import ConfigError
from renate.extras import load
from renate.jobs.context import Config, Job

GROUP = "logger"
# Lightning's loggers that stand on a package of their own -> that package, which is an extra too.
PACKAGES = {
    "pytorch_lightning.loggers.TensorBoardLogger": "tensorboard",
    "pytorch_lightning.loggers.MLFlowLogger": "mlflow",
    "pytorch_lightning.loggers.WandbLogger": "wandb",
}
NAMES = ("name", "experiment_name", "run_name", "project")  # digits are a name too
# What is no hyper-parameter: where a job runs, and what watches it.
NO_PARAMETERS = ("backend", "logger", "hydra", "tuner", "search_space", "run_dir", "resume")


def loggers_of(job: Job) -> list[Logger]:
    """Build the loggers that the config names, each with the hyper-parameters; of several
    processes only the first has any.

    Raises:
        ConfigError: One can't be built, or its package isn't installed.
    """
    if not job.ranks.first:
        return []

    made = [_built(job, key, node) for key, node in _nodes(job.config.get(GROUP, {})).items()]
    for logger in made:
        logger.log_hyperparams(parameters_of(job.saved))

    return made


def _nodes(group: Config) -> dict[str, Config]:
    """Key -> each logger's own config: the group itself, or several within it by their names."""
    several = {
        name: node for name, node in group.items() if isinstance(node, dict) and "_target_" in node
    }
    found = {f"{GROUP}.{name}": node for name, node in several.items()}
    if "_target_" in group:
        alone = {name: value for name, value in group.items() if name not in several}
        found = {GROUP: alone, **found}

    return found


def _built(job: Job, key: str, node: Config) -> Logger:
    trust = job.config["trust"]
    target = target_of(node, key)
    package = PACKAGES.get(target)
    if package is not None:
        load(package, package, key)

    given: dict[str, Any] = {}
    takes = inspect.signature(locate(target, key, trust)).parameters
    if "save_dir" in takes and node.get("save_dir") is None:
        given["save_dir"] = str(job.directory.path)

    if "tracking_uri" in takes and given and node.get("tracking_uri") is None:
        # MLflow doesn't write into a folder of files any more
        given["tracking_uri"] = f"sqlite:///{job.directory.path.absolute()}/mlflow.db"

    named = {name: str(node[name]) for name in NAMES if type(node.get(name)) is int}
    made = build(node | named, key, trust=trust, **given)
    if not isinstance(made, Logger):
        raise ConfigError(f"{key}: a {type(made).__name__}, expected one of Lightning's loggers")
    return made


def parameters_of(saved: str) -> dict[str, Any]:
    """Return the config as hyper-parameters, dotted key -> value; what comes from the environment
    stays unresolved.

    Args:
        saved: See `Job`.
    """
    config = yaml.safe_load(saved)
    return _flat({key: value for key, value in config.items() if key not in NO_PARAMETERS})


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{key}.")
        elif isinstance(value, bool | int | float | str) or value is None:
            found[key] = value
        else:
            found[key] = str(value)

    return found


def log_to_all(job: Job, metrics: Mapping[str, float], step: int) -> None:
    """Hand metrics to each of the job's loggers.

    Args:
        job: Whose fit has made them.
        metrics: Name -> value.
        step: Of the fit, at which they were measured.
    """
    for logger in job.loggers:
        logger.log_metrics(dict(metrics), step=step)


def end(job: Job) -> None:
    """Let each logger write what it holds: the next update of a stream begins another run."""
    for logger in job.loggers:
        logger.save()
        logger.finalize("success")
        # A run of wandb's goes on until it is told to end
        finish = getattr(getattr(logger, "experiment", None), "finish", None)
        if callable(finish):
            finish()

    job.loggers = []
