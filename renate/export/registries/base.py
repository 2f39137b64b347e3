"""What a registry is, and how a published version is taken to one."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from renate.build import build
from renate.errors import ConfigError, RenateError

if TYPE_CHECKING:
    from pathlib import Path

    from renate.state.manifest import Manifest
    from renate.state.versions import State


@dataclass(frozen=True)
class Published:
    """A version that is published already.

    Attributes:
        state: Where it is.
        manifest: What it consists of.
        trust: Modules of the user's that its config may name.
    """

    state: "State"
    manifest: "Manifest"
    trust: Sequence[str] = field(default_factory=tuple)

    @property
    def version(self) -> int:
        """Its number."""
        assert self.manifest.version is not None
        return self.manifest.version

    @property
    def aliases(self) -> list[str]:
        """The names that it has in its state, `current` among them where it is in use."""
        from renate.state.aliases.standing import CURRENT, names_of, standing

        named = {name for name, number in names_of(self.state).items() if number == self.version}
        used = standing(self.state).current
        if used is not None and used.version == self.version:
            named.add(CURRENT)
        return sorted(named)

    @property
    def card(self) -> str:
        """What it is, in Markdown."""
        from renate.export.card import card_of

        return card_of(self.state, self.manifest)

    def export(self, form: str, folder: "Path") -> None:
        """Write it in a format, see `renate.export.export.export`."""
        from renate.export.export import export

        export(self.state.url, folder, form, self.version, trust=self.trust)


class Registry(ABC):
    """A registry of models. Registering the same version twice leaves one; what is told of it the
    second time, aliases and card, is what holds.
    """

    @abstractmethod
    def register(self, published: Published) -> str:
        """Register a version under a name, with its aliases and its card; returns where it is.

        Raises:
            RenateError: It couldn't be.
        """


def registry_of(node: Any, trust: Sequence[str]) -> Registry | None:
    """Return the registry that a config's group `publish` describes; None where that is empty.

    Raises:
        ConfigError: It describes something else, or a value can't be right.
    """
    if not node:
        return None

    plain: Mapping[str, Any] = dict(node)
    made = build(plain, "publish", trust=list(trust))
    if not isinstance(made, Registry):
        raise ConfigError(f"publish._target_={plain.get('_target_')}: expected a class of Registry")
    return made


def take_to(registry: Registry, url: str, version: int | str | None, trust: Sequence[str]) -> str:
    """Register a version; returns where it is.

    Args:
        registry: Where to.
        url: The state.
        version: A number or a name; None is the version in use.
        trust: Modules of the user's that its config may name.

    Raises:
        RenateError: It couldn't be; the version stays published.
    """
    from renate.state.aliases.standing import manifest_of
    from renate.state.versions import State

    state = State(url)
    published = Published(state, manifest_of(state, version), tuple(trust))
    try:
        return registry.register(published)
    except RenateError:
        raise
    except Exception as error:  # a service says what it refuses by any error of its client's
        reason = (str(error).strip().splitlines() or ["no message"])[0]
        raise RenateError(f"{type(error).__name__}: {reason}") from error
