"""A config_space in Renate's keys -> overrides."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from renate.build import shipped
from renate.compat.files.description import EITHER, Description
from renate.compat.space.domains import as_override, choices_of, is_domain, is_range
from renate.compat.space.learning_rate import OF_SCHEDULES, SCHEDULE, schedule_of
from renate.compat.space.methods import Method
from renate.compat.space.values import plain
from renate.errors import ConfigError, nearest

COMMON = {
    "learning_rate": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "batch_size": "data.batch_size",
    "max_epochs": "trainer.max_epochs",
}
REPLAY = {
    "memory_size": "memory.capacity",
    "memory_batch_size": "updater.replay_batch_size",
    "batch_memory_frac": "updater.replay_batch_size",
}
OPTIMIZERS = {"Adam": "adam", "SGD": "sgd", "AdamW": "adamw"}
# Keys whose values aren't merely passed on.
SPECIAL = (
    "optimizer",
    "momentum",
    SCHEDULE,
    *OF_SCHEDULES,
    "early_stopping",
    "mask_unused_classes",
    "ema_memory_update_gamma",
)
# What a config file's function makes -> the keys that say how it is made without it.
MADE_BY = {
    "optimizer_fn": ("optimizer", "learning_rate", "momentum", "weight_decay"),
    "lr_scheduler_fn": (SCHEDULE, *OF_SCHEDULES),
}
FLAGS = ("normalize", "pod_normalize")  # 0 or 1 in Renate
WHOLE = ("batch_size", "max_epochs", "memory_size", "memory_batch_size", "loss_normalization")


@dataclass
class Translation:
    """One config_space.

    Attributes:
        config: Renate's keys -> values and domains; what is missing is as Renate had it.
        method: The updater.
        description: Of the config file, whose functions' arguments are keys too.
        max_epochs: The argument of the call; None where the call leaves it to the dictionary.
        say: Is told what is done otherwise than it was written.

    Raises:
        ConfigError: A key that Renate hasn't, or a value that can't be right.
    """

    config: Mapping[str, Any]
    method: Method
    description: Description
    max_epochs: int | None
    say: Callable[[str], None]
    defaults: Mapping[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        common = dict(shipped("compat", "job"))
        own = common.pop("of_methods")
        self.defaults = common | own.get(self.method.name, {})
        self.config = {key: plain(key, value) for key, value in self.config.items()}
        self._check()

    @property
    def keys(self) -> dict[str, str]:
        """Renate's keys that this updater knows -> ours."""
        replay = REPLAY if self.method.replays else {}
        return {**COMMON, **replay, **self.method.keys}

    @property
    def tuned(self) -> list[str]:
        """The keys that have a domain of more than one value."""
        return [key for key, value in self.config.items() if is_domain(value)]

    def overrides(self) -> list[str]:
        """Return the config_space as overrides; domains in the sweep grammar."""
        lines = [f"updater={self.method.option}", *self._optimizer(), *self._schedule()]
        if self.method.memory is not None:
            lines.append(f"memory={self.method.memory}")

        left_out = self._left_out()
        for key, ours in self.keys.items():
            if key not in left_out:
                lines += self._line(key, ours)

        lines += self._early_stopping()
        if self.config.get("mask_unused_classes", False):
            lines.append("trainer.mask_unused_classes=true")

        for name in self.description.arguments:
            if name in self.config:
                lines.append(f"config_file.{name}={self._text(name, self.config[name])}")

        return lines

    def _line(self, key: str, ours: str) -> list[str]:
        value = self.config.get(key, self.defaults.get(key))
        if key == "max_epochs":
            value = self._epochs()
        if value is None and key in self.config:
            raise ConfigError(f"config_space['{key}']=None: expected a value, or leave it out")
        if value is None:
            return []
        if key in self.description.arguments and key in self.config:
            return [f"{ours}=${{config_file.{key}}}"]  # one value for both

        return [f"{ours}={self._text(key, value)}"]

    def _text(self, key: str, value: Any) -> str:
        argument = self.description.arguments.get(key)
        kind = None
        if argument is not None:
            kind = argument.kind

        integer = key in WHOLE or kind == "int" or (kind == EITHER and is_range(value))
        if argument is not None and not is_domain(value) and not integer:
            argument.check(value, "config_space: ")
        if value is None:
            return "null"
        if key in FLAGS and not is_domain(value) and value in (0, 1):
            return str(bool(value)).lower()
        if key in FLAGS and is_domain(value) and set(choices_of(value)) == {0, 1}:
            return f"choice({','.join(str(bool(each)).lower() for each in choices_of(value))})"

        points = int(self.defaults["reverse_log_values"])
        return as_override(key, value, integer=integer, points=points, say=self.say)

    def _epochs(self) -> Any:
        inside = self.config.get("max_epochs")
        if inside is None:
            return self.defaults["max_epochs"] if self.max_epochs is None else self.max_epochs
        return inside

    def _left_out(self) -> set[str]:
        """Keys that another one, or a function of the config file, stands in for."""
        if "memory_batch_size" in self.config and "batch_memory_frac" in self.config:
            raise ConfigError(
                "config_space: both memory_batch_size and batch_memory_frac say how much is drawn "
                "from the memory: give one of them"
            )

        if "memory_batch_size" in self.config:
            gone = {"batch_memory_frac"}
        else:
            gone = set()

        if "optimizer_fn" in self.description.functions:
            gone |= {"learning_rate", "weight_decay"}

        return gone

    def _optimizer(self) -> list[str]:
        """The optimizer, and the momentum, which only one of them has."""
        if "optimizer_fn" in self.description.functions:
            return ["optimizer=config_file"]

        asked = self.config.get("optimizer", self.defaults["optimizer"])
        names = choices_of(asked) if is_domain(asked) else [asked]
        for name in names or [asked]:
            if name not in tuple(OPTIMIZERS):  # it may be anything
                raise ConfigError(
                    f"config_space['optimizer']={name!r}: expected one of {', '.join(OPTIMIZERS)}"
                    f"{nearest(str(name), OPTIMIZERS)}"
                )

        option = OPTIMIZERS[names[0]]
        if len(names) > 1:
            option = f"choice({','.join(OPTIMIZERS[name] for name in names)})"

        momentum = self.config.get("momentum", self.defaults["momentum"])
        if "SGD" in names:
            return [f"optimizer={option}", *self._momentum(momentum, alone=len(names) == 1)]
        if is_domain(momentum) or momentum:
            raise ConfigError(
                f"config_space['momentum']={momentum}: {' and '.join(names)} has none; "
                "optimizer='SGD', or leave it out"
            )

        return [f"optimizer={option}"]

    def _momentum(self, momentum: Any, *, alone: bool) -> list[str]:
        """That of SGD. Beside other optimizers, which have none, it is a domain, so that only
        trials of SGD have it; or none is there, which is what SGD has by itself.
        """
        text = self._text("momentum", momentum)
        if alone or is_domain(momentum):
            return [f"optimizer.momentum={text}"]
        return [f"optimizer.momentum=choice({text})"] if momentum else []

    def _schedule(self) -> list[str]:
        if "lr_scheduler_fn" in self.description.functions:
            return ["lr_scheduler=config_file"]

        return schedule_of(self.config, self.defaults, self.say)

    def _early_stopping(self) -> list[str]:
        if not self.config.get("early_stopping", False):
            return []
        return [f"trainer.patience={self.defaults['early_stopping_patience']}"]

    def _check(self) -> None:
        known = [*self.keys, *SPECIAL, *self.description.arguments]
        for key in self.config:
            if key not in known:
                raise ConfigError(
                    f"config_space['{key}']={self.config[key]}: neither a key of updater="
                    f"'{self.method.name}' nor an argument of a function in "
                    f"{self.description.path}{nearest(str(key), known)}"
                )

        key = "ema_memory_update_gamma"
        if key in self.config and self.config[key] != 1.0:
            raise ConfigError(
                f"config_space['{key}']={self.config[key]}: this package has only 1.0"
            )
        key = "loss_normalization"
        if (
            key in self.config
            and not is_domain(self.config[key])
            and self.config[key] not in (0, 1)
        ):
            raise ConfigError(f"config_space['{key}']={self.config[key]}: expected 0 or 1")

        self._check_made_by_functions()

        inside = self.config.get("max_epochs")
        both = self.max_epochs is not None and inside is not None
        if both and not is_domain(inside) and inside != self.max_epochs:
            raise ConfigError(
                f"max_epochs={self.max_epochs} and config_space['max_epochs']={inside}: give one "
                "of them, or the same number"
            )

        self._check_given()

    def _check_made_by_functions(self) -> None:
        """A key of what a function of the file makes reaches nobody but that function."""
        for function, keys in MADE_BY.items():
            if function not in self.description.functions:
                continue
            for key in keys:
                if key in self.config and key not in self.description.arguments:
                    raise ConfigError(
                        f"config_space['{key}']={self.config[key]}: {function} of "
                        f"{self.description.path} takes no '{key}': make it an argument there, or "
                        "leave the key out"
                    )

    def _check_given(self) -> None:
        """Each argument without a default is given."""
        missing = self.description.missing(self.config)
        if missing:
            takers = " and ".join(self.description.arguments[missing[0]].functions)
            raise ConfigError(
                f"config_space has no '{missing[0]}', which {takers} of {self.description.path} "
                "needs"
            )
