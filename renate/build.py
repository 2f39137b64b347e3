"""Config -> objects: which classes a config may name, and what it may ask of them."""

import copy
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

from renate.checks.arguments import check_arguments, target_of
from renate.errors import ConfigError, nearest, within

# A `_target_` must derive from one of these. Named, not imported: looking at a config must not load
# torch.
BASES = frozenset(
    {
        "torch.nn.modules.module.Module",
        "torch.optim.optimizer.Optimizer",
        "torch.optim.lr_scheduler.LRScheduler",
        "torch.utils.data.dataset.Dataset",
        "torchmetrics.metric.Metric",
        "pytorch_lightning.callbacks.callback.Callback",
        "lightning_fabric.loggers.logger.Logger",
        "renate.memory.base.Policy",
        "renate.data.kept.encoders.Encoder",
        "renate.data.base.Source",
        "renate.data.scenarios.base.Scenario",
        "renate.problems.base.Problem",
        "renate.gate.base.Gate",
        "renate.policy.base.Policy",
        "renate.shift.detector.Detector",
        "renate.export.registries.base.Registry",
        "renate.launchers.base.JobLauncher",
        "renate.tuning.base.Proposer",
        "renate.tuning.base.Stopper",
    }
)

# What the config inside a state may name: a state may come from a stranger.
FROM_STATE = (
    "renate.models.",
    "renate.updaters.",
    "renate.data.transforms.",
    "renate.data.tables.standardize.",
    "renate.data.tables.encoding.encoder.",
    "renate.data.text.encoder.",
    "renate.data.text.prompt_encoder.",
    "renate.problems.",
    "torch.nn.",
)

TENSORS = ("torch.tensor", "torch.Tensor", "torch.FloatTensor", "torch.as_tensor")

# Where classes have moved that configs of earlier releases name.
MOVED = {
    "renate.tuning.optuna.": "renate.tuning.engines.optuna.",
    "renate.tuning.syne_tune.": "renate.tuning.engines.syne_tune.",
    "renate.tuning.bounding_box.": "renate.tuning.engines.bounding_box.",
}

Node = Mapping[str, Any]


def targets(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield (key, `_target_`) of every object that a config asks for."""
    if isinstance(node, Mapping):
        if isinstance(node.get("_target_"), str):
            yield key, node["_target_"]
        for name, value in node.items():
            yield from targets(value, within(key, name))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from targets(value, f"{key}[{index}]")


def is_own(module: str, trust: Sequence[str]) -> bool:
    """Whether a module is the user's: in the current directory, or named by `trust`."""
    top = module.partition(".")[0]
    if top == "renate":  # also where the current directory is a checkout of it
        return False

    here = Path.cwd()
    return (
        (here / f"{top}.py").is_file()
        or (here / top / "__init__.py").is_file()
        or module in trust
        or top in trust
    )


def locate(
    target: str, key: str, trust: Sequence[str] = (), only: Sequence[str] | None = None
) -> Callable[..., Any]:
    """Import what a `_target_` names and check that a config may name it.

    Args:
        target: A dotted path.
        key: The config key, for messages.
        trust: Modules of the user's, whose functions are allowed as well.
        only: If given, the path must begin with one of these, or lie in a module of `trust`.

    Raises:
        ConfigError: It isn't there, isn't a class of a known kind, or isn't covered by `only`.
    """
    where = f"{key}._target_={target}"
    module_name, _, name = _moved(target).rpartition(".")
    top = module_name.partition(".")[0]
    trusted = top in trust or (only is None and is_own(module_name, trust))

    if only is not None and not trusted and not target.startswith(tuple(only)):
        raise ConfigError(
            f"{where}: a state's config may name only {', '.join(f'{p}*' for p in only)}; "
            f"if you trust it: trust=['{top}']"
        )

    if not module_name:
        raise ConfigError(f"{where}: expected package.module.Class")
    if target in TENSORS:
        raise ConfigError(f"{where}: give the values as a list, as +{key}=[1.0,20.0]")

    module = _imported(module_name, where)
    found = getattr(module, name, None)
    if found is None:
        raise ConfigError(f"{where}: {module_name} has no '{name}'{nearest(name, dir(module))}")

    if not callable(found) or (not trusted and not _is_of_known_kind(found)):
        raise ConfigError(
            f"{where}: not a model, updater, memory, loss, optimizer, scheduler, metric, callback, "
            "logger, data set, problem, scenario, proposer or stopper; if it is your own code: "
            f"trust=['{top}']"
        )

    real = f"{found.__module__}.{found.__qualname__}"
    if only is not None and not trusted and not real.startswith(tuple(only)):
        raise ConfigError(f"{where}: this is {real}, which a state's config may not name")

    return found  # type: ignore[no-any-return]


def _moved(target: str) -> str:
    """Where a class is now that a config of an earlier release may name."""
    for earlier, now in MOVED.items():
        if target.startswith(earlier):
            return f"{now}{target.removeprefix(earlier)}"
    return target


def _imported(name: str, where: str) -> ModuleType:
    """Import a module; `where` is for messages.

    Raises:
        ConfigError: There is none, or it imports what there isn't.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(
                f"{where}: there is no module '{error.name}' (looked beside conf/ too)"
            ) from error
        raise ConfigError(f"{where}: importing {name} failed: {error}") from error


def _is_of_known_kind(found: Any) -> bool:
    """Whether something is a class that derives from one of `BASES`."""
    if not inspect.isclass(found):
        return False
    bases = {f"{base.__module__}.{base.__qualname__}" for base in inspect.getmro(found)}
    return bool(bases & BASES)


def build(
    node: Node,
    key: str,
    *,
    trust: Sequence[str] = (),
    only: Sequence[str] | None = None,
    **given: Any,
) -> Any:
    """Make the object that a config node describes, nested ones first.

    Args:
        node: Plain mapping with `_target_` and the constructor's arguments; `_partial_: true` gives
            a function that still awaits arguments.
        key: Where the node stands in the config, for messages.
        trust: See `locate`.
        only: See `locate`.
        **given: Objects that the config can't hold (parameters of an optimizer, say).

    Raises:
        ConfigError: Unknown class, unknown or missing argument, or a value that the constructor
            refuses.
    """
    target = target_of(node, key)
    make = locate(target, key, trust, only)
    arguments = {
        name: _nested(value, f"{key}.{name}", trust, only)
        for name, value in node.items()
        if name not in ("_target_", "_partial_")
    } | given
    _check_names(make, arguments, key, bool(node.get("_partial_")))
    if node.get("_partial_"):
        return partial(make, **arguments)

    asked = {name: value for name, value in arguments.items() if name not in given}
    try:
        made = make(**arguments)
    except (AttributeError, TypeError, ValueError) as error:
        if not isinstance(error, ValueError):
            check_arguments(make, asked, key)
        if isinstance(error, AttributeError):
            raise
        raise ConfigError(f"{key}: {target}: {error}") from error
    except (RuntimeError, LookupError, ArithmeticError) as error:
        if is_own(make.__module__, trust):  # its own line says more
            raise
        check_arguments(make, asked, key)
        line = str(error).strip().partition("\n")[0]
        raise ConfigError(f"{key}: {target}: {type(error).__name__}: {line}") from error
    except ConfigError as error:
        raise ConfigError(
            str(error) if str(error).startswith(key) else f"{key}: {error}"
        ) from error

    # What a constructor has to say of a value is said better there
    check_arguments(make, asked, key)
    return made


def _nested(value: Any, key: str, trust: Sequence[str], only: Sequence[str] | None) -> Any:
    if isinstance(value, Mapping):
        if "_target_" in value:
            return build(value, key, trust=trust, only=only)
        return {name: _nested(v, f"{key}.{name}", trust, only) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_nested(v, f"{key}[{i}]", trust, only) for i, v in enumerate(value)]
    return value


def _check_names(
    make: Callable[..., Any], arguments: Mapping[str, Any], key: str, partial_: bool
) -> None:
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):  # some classes written in C have none
        return

    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return

    for name in arguments:
        if name not in parameters:
            raise ConfigError(
                f"{key}.{name}: {make.__qualname__} has no parameter "
                f"'{name}'{nearest(name, parameters)}"
            )

    missing = [
        n
        for n, p in parameters.items()
        if p.default is p.empty
        and n not in arguments
        and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    if missing and not partial_:
        raise ConfigError(
            f"{key}.{missing[0]}: {make.__qualname__} needs it: +{key}.{missing[0]}=…"
        )


def shipped(group: str, option: str | Node) -> dict[str, Any]:
    """Return the content of an option that the package ships, for what a config leaves to the
    problem; content that is given instead of a name is returned as it is.
    """
    if not isinstance(option, str):
        return dict(option)

    return copy.deepcopy(_read(group, option))


@cache
def _read(group: str, option: str) -> dict[str, Any]:
    import yaml

    text = (files("renate.conf") / group / f"{option}.yaml").read_text()
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def infer(node: Node, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node with every null filled in that `facts` (sizes read off the data) has a
    value for.
    """
    return {name: facts.get(name) if value is None else value for name, value in node.items()}
