"""What an encoder is, and what a version keeps of a source's: its class, its settings, and what it
has fitted.
"""

import json
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Any

from torch import Tensor

from renate.errors import ConfigError, DataError, StateError
from renate.state.tensors import DTYPES


class Encoder(ABC):
    """Turns the inputs that a source reads into tensors: texts into ids, categories into numbers.

    It is fitted once, to the training examples of a state's first update. What it has learned then
    is kept in each version and given back by `restore` to the next update, to evaluations and to
    `renate.load_model`; it is never fitted again, and another class or other settings are an error.

    Inputs, called `raw` here, are what `Source.read` returns, or what a user predicts for: a list,
    an array, a tensor, or a mapping of such, a row per example. One that is a dataclass says its
    settings by its fields.
    """

    @abstractmethod
    def encode(self, raw: Any) -> Any:
        """Return a tensor [N, ...], or name -> tensor [N, ...] or `Ragged`, of raw inputs of N
        examples. What hasn't been seen by `fit` has an encoding too, or is an error.
        """

    def fit(self, raw: Any) -> None:
        """Learn what `encode` needs from training examples; the same from the same ones."""
        return

    def state(self) -> dict[str, Any]:
        """Return what `fit` has learned: name -> JSON or a tensor."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned.

        Raises:
            ValueError: It isn't that; it may come from a stranger.
        """
        if state:
            raise ValueError(f"it holds '{next(iter(state))}', expected nothing")

    @property
    def raw_columns(self) -> dict[str, str]:
        """name -> kind, as tables hold it, of the columns that `encode` takes by name; empty where
        it takes something else.
        """
        return {}

    @property
    def facts(self) -> dict[str, Any]:
        """What the constructor of a model may ask for by leaving it null: `num_words`, say."""
        return {}

    @property
    def vector_columns(self) -> tuple[tuple[str, str], ...]:
        """(name, kind) of each place of the vectors that it gives; empty where they have none."""
        return ()

    def summary(self) -> list[str]:
        """Say in a few lines what it has fitted: at a first update, and in `renate state show`."""
        return []

    @property
    def shortened(self) -> str | None:
        """What to say of those of the inputs that were encoded last which were too long."""
        return None

    def remarks(self, raw: Any) -> list[str]:
        """Say in a line each what in these inputs wasn't there when it was fitted."""
        return []

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON has them."""
        if not is_dataclass(self):
            return {}
        return {each.name: getattr(self, each.name) for each in fields(self) if each.init}


# An encoder that a key turns on -> the key, and its values with and without it
ASKED_BY = {
    "renate.data.tables.standardize.Standardize": ("data.standardize", "true", "false"),
}


@dataclass(frozen=True)
class KeptEncoder:
    """An encoder as a version keeps it.

    Attributes:
        target: Its class, as a `_target_` names it.
        settings: The constructor's arguments, as JSON has them.
        state: What it has fitted: name -> JSON or tensor.
    """

    target: str
    settings: dict[str, Any]
    state: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, encoder: Encoder) -> "KeptEncoder":
        """Return what there is to keep of a fitted encoder.

        Raises:
            DataError: It holds what a version can't keep: neither JSON nor a tensor.
        """
        target = target_of(encoder)
        settings = _plain(encoder.settings, f"{target}.settings")
        state = encoder.state()
        if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
            raise DataError(f"{target}.state(): expected a dict from names to JSON or tensors")

        for name, value in state.items():
            where = f"{target}.state()['{name}']"
            if not isinstance(value, Tensor):
                _plain(value, where)
            elif str(value.dtype).removeprefix("torch.") not in DTYPES:
                raise DataError(f"{where} is {value.dtype}, which a version can't keep")

        return cls(target, settings, state)

    @property
    def node(self) -> dict[str, Any]:
        """What builds it: its config."""
        return {"_target_": self.target, **self.settings}

    @property
    def plain(self) -> dict[str, Any]:
        """What of its state is JSON."""
        return {k: v for k, v in self.state.items() if not isinstance(v, Tensor)}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What of its state are tensors."""
        found = {k: v for k, v in self.state.items() if isinstance(v, Tensor)}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}

    def same_as(self, other: "KeptEncoder") -> bool:
        """Whether both are the same encoder, and have fitted the same."""
        if (self.node, self.plain) != (other.node, other.plain):
            return False

        ours = self.tensors
        theirs = other.tensors
        return ours.keys() == theirs.keys() and all(ours[k].equal(theirs[k]) for k in ours)


def target_of(encoder: Encoder) -> str:
    """Return an encoder's class as a `_target_` names it."""
    return f"{type(encoder).__module__}.{type(encoder).__qualname__}"


def _plain(value: Any, where: str) -> Any:
    """A value that JSON gives back as it is: integers as keys would come back as texts.

    Raises:
        DataError: It isn't.
    """
    try:
        same = json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError) as error:
        raise DataError(f"{where} is nothing that JSON can keep: {error}") from error
    if not same:
        raise DataError(
            f"{where}: JSON gives it back otherwise: lists for tuples, and texts as keys"
        )

    return value


def take_up(encoder: Encoder | None, known: KeptEncoder | None) -> None:
    """Let a source's encoder be the state's, whatever it would fit to this data.

    Raises:
        ConfigError: The config's is another one.
        StateError: What the state keeps isn't what the encoder kept.
    """
    if encoder is None and known is None:
        return
    if encoder is None or known is None:
        theirs = "none"
        if known is not None:
            theirs = known.target

        ours = "none"
        if encoder is not None:
            ours = target_of(encoder)

        raise ConfigError(
            f"data: the state's inputs went through the encoder {theirs}, this source has {ours}: "
            f"{_remedy(encoder, known)}, or start another state"
        )

    now = KeptEncoder.of(encoder)
    if now.target != known.target:
        raise ConfigError(
            f"data: the source's encoder is {now.target}, the state's {known.target}: keep "
            "that, or start another state"
        )

    for name in sorted(now.settings.keys() | known.settings.keys()):
        ours_value = now.settings.get(name)
        theirs_value = known.settings.get(name)
        if ours_value == theirs_value:
            continue
        if name not in known.settings:
            if ours_value == _default_of(encoder, name):
                continue
            raise ConfigError(
                f"data: {known.target} has {name}={ours_value!r}, that of the state has no {name}, "
                f"as it was written before there was one: {name}=null, or start another state"
            )
        if name not in now.settings:
            raise ConfigError(
                f"data: the state's encoder {known.target} has {name}={theirs_value!r}, which its "
                "class here doesn't know: was the state written by a later release?"
            )

        raise ConfigError(
            f"data: {known.target} has {name}={ours_value!r}, that of the state "
            f"{theirs_value!r}, and what it fitted is kept: give that, or start another state"
        )

    restore(encoder, known)


def _default_of(encoder: Encoder, name: str) -> Any:
    """What an encoder's constructor takes where a setting isn't given; MISSING where it must be."""
    if not is_dataclass(encoder):
        return MISSING
    found = next(each for each in fields(encoder) if each.name == name)
    return found.default


def _remedy(encoder: Encoder | None, known: KeptEncoder | None) -> str:
    """What would give the source the state's encoder, by the key where there is one."""
    if known is not None and known.target in ASKED_BY:
        key, value, _ = ASKED_BY[known.target]
        return f"give {key}={value}"
    if encoder is not None and target_of(encoder) in ASKED_BY:
        key, _, value = ASKED_BY[target_of(encoder)]
        return f"give {key}={value}"
    return "use a source with that encoder"


def restore(encoder: Encoder, known: KeptEncoder) -> None:
    """Give an encoder back what it had fitted.

    Raises:
        StateError: It can't take that.
    """
    try:
        encoder.restore(dict(known.state))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise StateError(
            f"the state's encoder {known.target} can't take what it kept ({reason}): has its class "
            "changed?"
        ) from error
