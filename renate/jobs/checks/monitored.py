"""What schedulers and callbacks may wait for: what a fit measures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytorch_lightning as pl

from renate.build import locate
from renate.checks.arguments import target_of
from renate.data.batch import Columns
from renate.errors import ConfigError, nearest
from renate.fitting.callbacks.lr_monitor import LRMonitor
from renate.fitting.measure import Measure
from renate.fitting.measured.values import EACH
from renate.fitting.validation import Objective
from renate.jobs.context import Config, Job


@dataclass(frozen=True)
class Monitored:
    """What is measured in a fit.

    Attributes:
        default: What is waited for where a config names nothing.
        names: All of it; None where callbacks of the user's may measure more.
    """

    default: str
    names: Sequence[str] | None

    def check(self, key: str, metric: str) -> None:
        """Return if a metric is measured. Raises ConfigError where it isn't."""
        if self.names is None or any(_is_of(metric, name) for name in self.names):
            return
        raise ConfigError(
            f"{key}.monitor={metric}: not measured in this fit{nearest(metric, self.names)} "
            f"({', '.join(self.names)})"
        )


def monitored_in(
    job: Job, measure: Measure, objective: Objective, val: Columns | None
) -> Monitored:
    """Return what a fit measures; by default the objective is waited for, else a loss.

    Args:
        job: Its config has callbacks.
        measure: Of validation data.
        objective: Of the fit.
        val: Validation data, if there is any.
    """
    names = ["train_loss"]
    default = "train_loss"
    if val is not None:
        parts = [f"accuracy/{part}" for part in measure.parts]
        names += [f"val_{name}" for name in ("loss", *measure.metrics, *parts)]
        default = "val_loss"
    if objective.is_measured:
        default = str(objective.metric)

    classes = [
        locate(target_of(node, key), key, job.config["trust"]) for key, node in callback_nodes(job)
    ]
    others = [each for each in classes if each not in (LRMonitor, pl.callbacks.EarlyStopping)]
    if others:
        return Monitored(default, None)
    if LRMonitor in classes:
        names += ["lr", f"lr{EACH}"]
    return Monitored(default, names)


def callback_nodes(job: Job) -> Iterator[tuple[str, Config]]:
    """Yield (key, config) of each of the user's callbacks."""
    groups = {
        "callbacks": job.config.get("callbacks", {}),
        "trainer.callbacks": job.config["trainer"]["callbacks"],
    }
    for group, nodes in groups.items():
        for name, node in nodes.items():
            yield f"{group}.{name}", node


def _is_of(metric: str, name: str) -> bool:
    """Whether a metric is the one of a name, or one of those that the name stands for."""
    if name.endswith(EACH):
        return metric.startswith(name.removesuffix("*"))
    return metric == name
