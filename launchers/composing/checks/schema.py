"""The YAML is the schema: a config may hold only the keys, and the kinds of values, of the
options it is made of.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.default_element import ConfigDefault, GroupDefault
from omegaconf import DictConfig, ListConfig, OmegaConf

from renate.checks.arguments import shown
from renate.errors import ConfigError, nearest
from renate.libraries.omegaconf import is_none, node_of, written

from ..conf import CONF
from .defaults import MISSING, called, expected_instead, is_open, like, loosened, says

MANY = ("callbacks", "logger", "metrics")  # groups of which a job may have several, or none


def _merged(before: dict[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What Hydra makes of two files: the later one's values, mappings within mappings too."""
    merged = dict(before)
    for name, value in after.items():
        known = merged.get(name)
        if isinstance(known, dict) and isinstance(value, Mapping):
            merged[name] = _merged(known, value)
        else:
            merged[name] = value

    return merged


class Schema:
    """What the files in conf/ say, read once per process."""

    def __init__(self, loader: ConfigLoaderImpl) -> None:
        self.loader = loader
        self.options: dict[str, tuple[Any, str]] = {}
        self.bases: dict[str, list[str]] = {}  # option -> those that its own defaults name
        self.chosen: Mapping[str, str | None] = {}
        self.nested: dict[str, str] = {}
        self.needed: list[str] = []
        self.root, self.root_file = self.option("config")

    def option(self, path: str) -> tuple[Any, str]:
        """Return the plain content of one option, its own defaults merged in, and where it
        stands.
        """
        if path not in self.options:
            found = self.loader.repository.load_config(path)
            assert found is not None, path
            raw: Any = OmegaConf.to_container(found.config, resolve=False)
            content: dict[str, Any] = {}
            group = path.rpartition("/")[0]
            for default in found.defaults_list or []:
                if isinstance(default, GroupDefault) and not group:
                    self._note_needed(default)
                if (
                    group
                    and isinstance(default, ConfigDefault)
                    and default.path not in ("_self_", None)
                ):
                    absolute = default.path.startswith("/")
                    path_of_it = default.path[1:] if absolute else f"{group}/{default.path}"
                    content = _merged(content, self.option(path_of_it)[0])
                    self.bases.setdefault(path, []).append(path_of_it)

            content = _merged(content, raw if isinstance(raw, dict) else {})
            content.pop("defaults", None)
            self.options[path] = content, f"conf/{path}.yaml"
        return self.options[path]

    def _note_needed(self, default: GroupDefault) -> None:
        """Keep the name of a group of the root's that a job can't do without."""
        name = str(default.group)
        if default.value is not None and "/" not in name and name not in MANY:
            self.needed.append(name)

    def check(
        self, config: DictConfig, choices: Mapping[str, str | None], added: frozenset[str]
    ) -> None:
        """Compare a composed config with the chosen options.

        Args:
            config: The job's config, unresolved.
            choices: Group -> option.
            added: Keys that the command line added on purpose (`+key=value`).

        Raises:
            ConfigError: Naming the key, its value, what was expected and the file.
        """
        self.chosen = choices
        groups = {
            g: o for g, o in choices.items() if "/" not in g and "@" not in g and o is not None
        }

        self._check_groups(config)
        self.nested = _within_groups(choices, groups)
        for name in config:
            key = str(name)
            if key in groups:
                expected, file = self.option(f"{key}/{groups[key]}")
                self._node(node_of(config, key), expected, key, file, added)
            elif key not in self.root and self.loader.repository.group_exists(key):
                self._node(node_of(config, key), self._options_of(key), key, f"conf/{key}/", added)
            elif key in self.root:
                self._node(node_of(config, key), self.root[key], key, self.root_file, added)
            elif key not in added:
                raise ConfigError(
                    f"{key}: no such key{nearest(key, [*self.root, *groups])} (in {self.root_file})"
                )

    def _check_groups(self, config: DictConfig) -> None:
        """Raise where a group was emptied that a job can't do without, `memory=[]`."""
        for group in self.needed:
            if group not in config:
                options = ", ".join(self.loader.repository.get_group_options(group))
                raise ConfigError(f"{group}=[]: expected the name of an option: {options}")

    def _options_of(self, group: str) -> dict[str, Any]:
        """All that the options of a group hold: Hydra says of several, `callbacks=[a,b]`, only that
        it isn't one.
        """
        content: dict[str, Any] = {}
        for option in self.loader.repository.get_group_options(group):
            content |= self.option(f"{group}/{option}")[0]
        return content

    def _node(self, node: Any, expected: Any, key: str, file: str, added: frozenset[str]) -> None:
        if key in self.nested:
            expected, file = self.option(self.nested[key])

        if isinstance(expected, dict) and isinstance(node, DictConfig) and not is_none(node):
            if expected.get("_target_") == MISSING or not expected:
                return  # any class, any entries: build() checks them against the class

            named_objects = all(isinstance(v, dict) and "_target_" in v for v in expected.values())
            for name in node:
                child = node_of(node, name)
                full = f"{key}.{name!s}"
                if name in expected:
                    self._node(child, expected[name], full, file, added)
                elif (
                    full not in added
                    and not any(key.startswith(f"{full}.") for key in added)
                    and not (
                        named_objects and isinstance(child, DictConfig) and "_target_" in child
                    )
                ):
                    raise ConfigError(
                        f"{full}={_shown(child)}: no such key{nearest(str(name), expected)} "
                        f"({', '.join(k for k in expected if k != '_target_')} in "
                        f"{file}){self._origin(full)}"
                    )

            return

        kind = expected_instead(node, expected)
        if kind and not self._files_of(_option_in(file)):
            kind = expected_instead(node, loosened(expected))
        if kind and self._may_be_fraction(node, expected, key, file):
            kind = ""

        means = ""
        if not kind and self._is_empty(node, expected, key, file):
            kind = called(expected)
            means = "; null has no meaning here"

        if kind:
            raise ConfigError(
                f"{key}={_shown(node)}: expected {kind}{like(expected)}{means} (in {file})"
            )

    def _is_empty(self, node: Any, expected: Any, key: str, file: str) -> bool:
        """Whether a value is null where the option's file gives another, and no meaning to null.

        Of the user's own options their class decides.
        """
        if node is None or not is_none(node) or is_open(expected):
            return False
        return bool(self._files_of(_option_in(file))) and not self._says(key, file, "null")

    def _may_be_fraction(self, node: Any, expected: Any, key: str, file: str) -> bool:
        """Whether a number that isn't whole has a meaning beside a default that is."""
        if not isinstance(expected, int) or isinstance(expected, bool):
            return False
        return not expected_instead(node, float(expected)) and self._says(key, file, "fraction")

    def _says(self, key: str, file: str, word: str) -> bool:
        """Whether the comment of a key in one of our files has a word."""
        place = ""
        if file != self.root_file:
            within = [name for name in self.nested if f"{key}.".startswith(f"{name}.")]
            place = max(within, key=len, default=key.partition(".")[0])

        own = key[len(place) :].strip(".").split(".")
        return says(self._files_of(_option_in(file)), own, word)

    def _files_of(self, option: str) -> list[Path]:
        """The files of an option of ours, its own first; none of an option of the user's."""
        if option.endswith("/"):
            return sorted((CONF / option).rglob("*.yaml"))

        path = CONF / f"{option}.yaml"
        if not path.is_file():
            return []

        bases = self.bases.get(option, ())
        return [path, *(file for base in bases for file in self._files_of(base))]

    def _origin(self, key: str) -> str:
        """The end of a message: which experiment's file set a key, perhaps for another option
        than the chosen one.
        """
        for group in (
            name for name in self.chosen if name == "experiment" or name.startswith("experiment/")
        ):
            option = self.chosen[group]
            found = None
            if option:
                found = self.loader.repository.load_config(f"{group}/{option}")

            if found is None or OmegaConf.select(found.config, key, default=None) is None:
                continue

            part = key.partition(".")[0]
            name = f"conf/{group}/{option}.yaml"
            meant = [d for d in found.defaults_list or [] if _is_choice(d, part)]
            other = None
            if meant:
                other = getattr(meant[-1], "value", None)

            if other is not None and other != self.chosen.get(part):
                return (
                    f"; {name} sets it for {part}={other}, and {part}={self.chosen.get(part)} was "
                    "chosen"
                )

            return f"; set by {name}"
        return ""


def _within_groups(choices: Mapping[str, str | None], groups: Mapping[str, str]) -> dict[str, str]:
    """Options that were chosen for a place within another group's: key -> path of the option, as
    `lr_scheduler.then` of `lr_scheduler@lr_scheduler.then=cosine`.
    """
    nested = {}
    for choice, option in choices.items():
        group, _, package = choice.partition("@")
        if option is not None and "." in package and package.partition(".")[0] in groups:
            nested[package] = f"{group}/{option}"
    return nested


def _option_in(file: str) -> str:
    """The option that a file holds, as messages name it."""
    return file.removeprefix("conf/").removesuffix(".yaml")


def _is_choice(default: Any, group: str) -> bool:
    return str(getattr(default, "group", "") or "").lstrip("/").partition("@")[0] == group


def _shown(node: Any) -> str:
    if isinstance(node, DictConfig | ListConfig):
        return shown(OmegaConf.to_container(node))
    return shown(written(node))
