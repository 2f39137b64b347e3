"""Optimizer, schedule, metrics and logger, made by a config file's functions.

The classes here only name what a config may name; each makes what the file's function makes.
"""

from collections.abc import Callable
from typing import Any

from lightning_fabric.loggers.logger import Logger
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric

from renate.compat.files.module import ConfigFile, Node
from renate.errors import ConfigError, nearest

INTERVALS = ("epoch", "step")


class OptimizerFn(Optimizer):
    """The optimizer that what `optimizer_fn` returns makes of parameters."""

    def __new__(cls, params: Any, config_file: Node | None) -> Any:
        """Make it.

        Args:
            params: To be trained.
            config_file: See `ConfigFile`.

        Raises:
            ConfigError: The function returns nothing that makes an optimizer.
        """
        file = ConfigFile(config_file)
        make = file.call("optimizer_fn")
        made = make
        if callable(make):
            made = make(params)

        if not isinstance(made, Optimizer):
            raise ConfigError(
                f"config_file={file.description.path}: optimizer_fn returned a "
                f"{type(make).__name__}, expected partial(torch.optim.…, lr=…)"
            )
        return made


class LRSchedulerFn(LRScheduler):
    """The schedule that what `lr_scheduler_fn` returns makes of an optimizer."""

    def __new__(cls, optimizer: Optimizer, config_file: Node | None) -> Any:
        """Make it; one that steps with the optimizer does so by itself.

        Args:
            optimizer: Whose learning rate changes.
            config_file: See `ConfigFile`.

        Raises:
            ConfigError: The function returns something else.
        """
        file = ConfigFile(config_file)
        returned = file.call("lr_scheduler_fn")
        where = f"config_file={file.description.path}: lr_scheduler_fn"
        expected = "expected (partial(torch.optim.lr_scheduler.…), 'epoch' or 'step')"
        if not isinstance(returned, tuple) or len(returned) != 2 or not callable(returned[0]):
            raise ConfigError(f"{where} returned a {type(returned).__name__}, {expected}")

        make, interval = returned
        if interval not in INTERVALS:
            raise ConfigError(f"{where} returned the interval {interval!r}, {expected}")

        return make(optimizer) if interval == "epoch" else ByStep(optimizer, make)


class ByStep(LRScheduler):
    """Steps when its optimizer does, whatever the Trainer believes.

    Args:
        optimizer: Whose steps count.
        make: Makes the scheduler.
    """

    def __init__(self, optimizer: Optimizer, make: Callable[[Optimizer], Any]) -> None:
        self.optimizer = optimizer
        self.within = make(optimizer)
        optimizer.register_step_post_hook(lambda *_: self.within.step())

    def step(self, epoch: int | None = None) -> None:
        """An epoch has ended, which doesn't matter."""

    def state_dict(self) -> dict[str, Any]:
        """Return the scheduler's state."""
        state: dict[str, Any] = self.within.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the scheduler's state back."""
        self.within.load_state_dict(state_dict)


class LoggerFn(Logger):
    """The logger that a script gave."""

    def __new__(cls, config_file: Node | None) -> Any:
        """Return it.

        Args:
            config_file: See `ConfigFile`.

        Raises:
            ConfigError: It is something else.
        """
        found = ConfigFile(config_file).call("logger_fn")
        if not isinstance(found, Logger):
            raise ConfigError(
                f"logger: expected one of Lightning's, as CSVLogger(…), not a "
                f"{type(found).__name__}"
            )
        return found


class MetricFn(Metric):
    """One of the metrics that `metrics_fn` returns."""

    def __new__(cls, config_file: Node | None, name: str) -> Any:
        """Make it.

        Args:
            config_file: See `ConfigFile`.
            name: Its key in what the function returns.

        Raises:
            ConfigError: The function returns no such metric.
        """
        file = ConfigFile(config_file)
        found = file.call("metrics_fn")
        where = f"config_file={file.description.path}: metrics_fn"
        if not isinstance(found, dict):
            raise ConfigError(f"{where} returned a {type(found).__name__}, expected a dict")
        if name not in found:
            raise ConfigError(
                f"{where} has no '{name}'{nearest(name, found)} ({', '.join(map(str, found))})"
            )
        if not isinstance(found[name], Metric):
            raise ConfigError(
                f"{where}: '{name}' is a {type(found[name]).__name__}, expected a metric of "
                "torchmetrics"
            )
        return found[name]
