"""What a job is judged by: the objective's metrics, known to be measured, each with the way in
which it is better.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from renate.build import build, locate, shipped
from renate.errors import ConfigError, nearest
from renate.jobs.records import ParentVersion
from renate.metrics import OF_STREAMS
from renate.problems.base import Problem
from renate.state.contents import deploy_from
from renate.state.versions import State

from .direction import directed

PROBLEMS = ("classification", "multi_label", "regression")


def check_objective(config: DictConfig) -> None:
    """Check the objective and fill in what follows from it: the problem's own metric for `auto`,
    and directions.

    `auto` stays where only the data say what is predicted.

    Raises:
        ConfigError: A metric that isn't measured, a direction that contradicts it, or no validation
            data for it.
    """
    objective = config.objective
    if objective.mode not in ("max", "min", None):
        raise ConfigError(
            f"objective.mode={objective.mode}: expected max or min, or null: as the metric has it"
        )

    others = objective.others
    if others is not None and not isinstance(others, DictConfig):
        raise ConfigError(
            f"objective.others={others}: expected metrics with their directions, "
            "objective.others={val_loss:min}, or null"
        )
    if objective.metric is None:
        return

    problems = problems_of(config)
    asked = objective.metric
    if asked == "auto":
        _check_auto(objective)
        if len(problems) == 1:
            objective.metric = f"val_{problems[0].metric}"

    nodes = metric_nodes(config, problems)
    _check_measured(config, nodes, problems)
    _direct(objective, nodes)
    _check_validation(config, asked)


def problems_of(config: DictConfig) -> list[type[Problem]]:
    """The class of the problem; where the config leaves it to the data, of each that it may be.

    Raises:
        ConfigError: `problem._target_` is no problem.
    """
    target = config.problem.get("_target_")
    if target is None:
        return [_class(shipped("problem", option)["_target_"], ()) for option in PROBLEMS]

    return [_class(str(target), list(config.trust))]


def _class(target: str, trust: Sequence[str]) -> type[Problem]:
    found: Any = locate(target, "problem", trust)
    if not isinstance(found, type) or not issubclass(found, Problem):
        raise ConfigError(
            f"problem._target_={target}: expected a class derived from renate.problems.base.Problem"
        )
    return found


def problem_option(config: DictConfig, parent: ParentVersion | None) -> str:
    """Return the option of the group `problem` for what the state, else the data, say is predicted;
    reads them.

    Raises:
        ConfigError: The state's problem is a class of the user's own.
        DataError: The data can't be read.
    """
    from renate.data.kept.reading import table_of  # lazy: they import torch
    from renate.data.table import targets_of
    from renate.problems.auto import option_of

    if parent is not None:
        state = State(str(config.state.url))
        manifest = state.manifest(parent.version)
        deploy = deploy_from(
            state.read(manifest, "model.json"), f"{state.url}: 'model.json' of {manifest}"
        )
        target = str(deploy.get("problem", {}).get("_target_", "renate.problems.classification."))
        option = target.removeprefix("renate.problems.").partition(".")[0]
        if option in PROBLEMS:
            return option

        raise ConfigError(
            f"problem=auto: the state's is {target}: name it, problem=…, for the tuner"
        )

    plain: Any = OmegaConf.to_container(config.data, resolve=True)
    raw, _ = build(plain, "data", trust=list(config.trust)).read()

    return option_of(targets_of(table_of(raw, "data.train"), "data.train"))


def metric_nodes(config: DictConfig, problems: Sequence[type[Problem]]) -> dict[str, Any]:
    """Name -> config of what is measured and is one number."""
    named = {str(name): node for name, node in config.get("metrics", {}).items()}
    nodes: dict[str, Any] = {n: node for n, node in named.items() if not n.endswith("/*")}
    for problem in problems:
        for name, node in shipped("metrics", problem.metrics).items():
            nodes.setdefault(name, node)
    return nodes


def _check_auto(objective: DictConfig) -> None:
    if objective.mode is not None:
        raise ConfigError(
            f"objective.mode={objective.mode} with objective.metric=auto, which says itself which "
            "way is better: name the metric, or leave the mode out"
        )


def _check_measured(
    config: DictConfig, nodes: Mapping[str, Any], problems: Sequence[type[Problem]]
) -> None:
    choices = [f"val_{name}" for name in [*nodes, "loss"]]
    if config.job.name != "evaluate":  # it looks at test data alone, which val_… stands for
        choices.append("train_loss")
    if config.job.name == "stream":
        named = [name.format(metric=each.metric) for each in problems for name in OF_STREAMS]
        choices += list(dict.fromkeys(named))

    objective = config.objective
    others = objective.others or {}
    for key, value in [("metric=", objective.metric), *(("others.", other) for other in others)]:
        if value not in [*choices, "auto"]:
            raise ConfigError(
                f"objective.{key}{value}: not measured{nearest(value, choices)} "
                f"({', '.join(choices)})"
            )


def _direct(objective: DictConfig, nodes: Mapping[str, Any]) -> None:
    """Write down each metric's direction: from here on every part of the job and every tuner
    reads the same.
    """
    others = objective.others or {}
    for other, direction in others.items():
        if direction not in ("max", "min", None):
            raise ConfigError(f"objective.others.{other}={direction}: expected max or min")
        others[other] = directed(f"objective.others.{other}", other, direction, nodes)

    if objective.metric != "auto":
        objective.mode = directed("objective.mode", objective.metric, objective.mode, nodes)


def _check_validation(config: DictConfig, asked: str) -> None:
    """Raise where the objective needs validation data and none is held out; `asked` is what the
    user wrote.
    """
    metric = str(config.objective.metric)
    needs = metric == "auto" or metric.startswith("val_")

    # null: the source has validation data of its own
    none = OmegaConf.select(config, "data.val_size") == 0
    if needs and none and config.job.name not in ("evaluate", "predict", "detect"):
        raise ConfigError(
            f"objective.metric={asked} needs validation data, but "
            f"data.val_size={config.data.val_size}: "
            "give data.val_size=0.1, or objective.metric=null to keep the last epoch's weights"
        )
