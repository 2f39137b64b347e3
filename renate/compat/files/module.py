"""A config file at work: imported, its functions called with the arguments that the config has."""

import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from renate.compat.files.description import ABSENT, Description, describe
from renate.compat.files.passed import PassedFunctions
from renate.errors import ConfigError, nearest
from renate.jobs.passed_objects import FILE
from renate.jobs.passed_objects.loaded import load_object

Node = Mapping[str, Any]


class ConfigFile:
    """A config file and the values of its functions' own arguments.

    Args:
        node: The config's `config_file`: `path`, and its functions' arguments beside it. The path
            may be that of an object that a script passed, a `PassedFunctions`.

    Raises:
        ConfigError: No file, or arguments that its functions don't take, lack, or can't take.
    """

    def __init__(self, node: Node | None) -> None:
        if not node:
            raise ConfigError("config_file=null: give the file, config_file=my_config.py")

        if not isinstance(node, Mapping) or not node.get(ABSENT):
            raise ConfigError(f"config_file={node}: expected a mapping with its path")

        given = dict(node)
        path = str(given.pop(ABSENT))

        self.passed: PassedFunctions | None = None
        if FILE.fullmatch(Path(path).name):
            self.passed = _passed(path)
            self.description: Description = self.passed.describe(Path(path))
        else:
            self.description = describe(path)

        self.given = given
        self._check()

    def _check(self) -> None:
        known = self.description.arguments
        for name, value in self.given.items():
            if name not in known:
                raise ConfigError(
                    f"config_file.{name}={value}: no function of {self.description.path} has such "
                    f"an argument{nearest(name, known)} ({', '.join(known) or 'none has any'})"
                )
            known[name].check(value, "config_file.")

        missing = self.description.missing(self.given)
        if missing:
            takers = " and ".join(known[missing[0]].functions)
            raise ConfigError(
                f"config_file.{missing[0]}: {takers} of {self.description.path} needs it: "
                f"config_file.{missing[0]}=…"
            )

    def has(self, function: str) -> bool:
        """Whether the file defines a function."""
        return function in self.description.functions

    def call(self, function: str, **standard: Any) -> Any:
        """Call a function with the arguments of its own that the config has.

        Args:
            function: Its name.
            **standard: What the job gives; what the function doesn't take is left out.

        Raises:
            ConfigError: The file doesn't define it, or can't be imported.
        """
        if not self.has(function):
            raise ConfigError(f"config_file={self.description.path}: it defines no {function}")

        takes = self.description.functions[function]
        arguments = {k: v for k, v in standard.items() if k in takes}
        for name in takes:
            if name in self.given:
                value = self.given[name]
                kind = self.description.arguments[name].kind
                arguments[name] = tuple(value) if kind == "tuple" and value is not None else value

        if self.passed is not None:
            return self.passed.call(function, arguments)

        return getattr(imported(self.description.path), function)(**arguments)


def _passed(path: str) -> PassedFunctions:
    """What a script of the user's holds in the place of a config file.

    Raises:
        ConfigError: The file holds something else.
    """
    found = load_object(path)
    if not isinstance(found, PassedFunctions):
        raise ConfigError(
            f"config_file.path={path}: it holds a {type(found).__name__}, expected what a model "
            "updater puts there"
        )

    return found


def imported(path: Path) -> ModuleType:
    """Import a config file; once per content of it, in one process.

    Its folder is where its own imports are looked for, last.

    Raises:
        ConfigError: Importing it failed.
    """
    file = path.resolve()
    content = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    known = sys.modules.get(file.stem)
    if known is not None and getattr(known, "__renate_content__", None) == (str(file), content):
        return known

    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))

    # By its own name, as classes that it defines may be pickled to processes that load data.
    name = file.stem
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__renate_content__"] = (str(file), content)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        reason = (str(error).splitlines() or ["no message"])[0]
        raise ConfigError(
            f"config_file={path}: importing it failed: {type(error).__name__}: {reason}"
        ) from error

    return module
