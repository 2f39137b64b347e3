"""Which way a metric is better: by its name or class, so that nothing has to be imported for
the usual ones.
"""

import importlib
import re
from collections.abc import Mapping
from typing import Any

from renate.errors import ConfigError
from renate.metrics import OF_STREAMS

# What the jobs themselves measure.
OWN = {"loss": "min", "task_accuracy": "max"} | {
    name: each.mode for name, each in OF_STREAMS.items() if each.mode is not None
}
CONFIG_FILE = "renate.compat.files.fit_parts"
# Classes of torchmetrics, less Binary, Multiclass and Multilabel; others are asked for
# `higher_is_better`.
CLASSES = {
    "Accuracy": "max",
    "AUROC": "max",
    "AveragePrecision": "max",
    "CohenKappa": "max",
    "F1Score": "max",
    "FBetaScore": "max",
    "JaccardIndex": "max",
    "MatthewsCorrCoef": "max",
    "Precision": "max",
    "Recall": "max",
    "Specificity": "max",
    "CalibrationError": "min",
    "HammingDistance": "min",
    "HingeLoss": "min",
    "MeanAbsoluteError": "min",
    "MeanSquaredError": "min",
    "R2Score": "max",
}


def directed(key: str, metric: str, mode: str | None, metrics: Mapping[str, Any]) -> str:
    """`max` or `min` of a metric.

    Args:
        key: Where the direction stands in the config, for messages.
        metric: As the objective names it, `val_accuracy`.
        mode: What the config says; None derives it.
        metrics: The group `metrics`: name -> node with a `_target_`.

    Raises:
        ConfigError: The config contradicts the metric, or nobody says which way is better.
    """
    known = direction_of(metric, metrics)
    if mode is None and known is None:
        raise ConfigError(
            f"{key}: nothing says whether more or less of {metric} is better: {key}=max or "
            f"{key}=min"
        )

    if mode is not None and known is not None and mode != known:
        raise ConfigError(
            f"{key}={mode}: of {metric} {'more' if known == 'max' else 'less'} is better: "
            f"{key}=null"
        )

    return str(mode or known)


def direction_of(metric: str, metrics: Mapping[str, Any]) -> str | None:
    """What is known of a metric's direction, if anything is."""
    name = re.sub("^(val|train|test)_", "", metric)
    averaged = re.sub("^(average|learning)_", "", name)
    if name not in metrics and averaged not in metrics:
        return OWN.get(name)

    name = name if name in metrics else averaged

    module, _, cls = str(metrics[name].get("_target_", "")).rpartition(".")
    short = re.sub("^(Binary|Multiclass|Multilabel)", "", cls)
    if module.split(".")[0] == "torchmetrics" and short in CLASSES:
        return CLASSES[short]
    if module == CONFIG_FILE:
        # Only running the file tells its class: its name has to do
        camel = "".join(word.capitalize() for word in name.split("_"))
        return CLASSES.get(camel, CLASSES.get(f"{camel}Score"))

    return _asked(module, cls)


def _asked(module: str, cls: str) -> str | None:
    """What a metric's class says of itself.

    A class that isn't here says nothing, and is reported by who builds it.
    """
    try:
        better = getattr(getattr(importlib.import_module(module), cls), "higher_is_better", None)
    except Exception:  # importing the user's module may raise anything
        return None

    if better is None:
        return None

    if better is True:
        return "max"
    return "min"
