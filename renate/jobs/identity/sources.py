"""The user's own code behind a module: its file, and every own module that importing it may bring
along.

Knows neither torch nor the modules themselves, which are read, not imported.
"""

import ast
import hashlib
import importlib.machinery
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

from renate.errors import ConfigError

# Whose imports no reader can see
DYNAMIC = ("importlib", "pkgutil", "runpy", "__import__", "exec", "eval")


class Sources:
    """Finds own modules below some folders: everything importable there that isn't part of an
    installed package.

    Args:
        folders: Where `import` would look first, in order.
        trust: Modules that count as own wherever they are, installed ones too.
    """

    def __init__(self, folders: Iterable[Path], trust: Sequence[str] = ()) -> None:
        self.folders = [folder.resolve() for folder in folders]
        self.trust = set(trust)

    def digest(self, modules: Iterable[str]) -> str:
        """Return a hash of the source of modules and of all own ones that they import, whoever
        imports whom.

        Raises:
            ConfigError: A file that isn't Python.
        """
        found = hashlib.sha256()
        for name, file in sorted(self.files(modules).items()):
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            found.update(f"{name}\0{content}\0".encode())

        return found.hexdigest()

    def files(self, modules: Iterable[str]) -> dict[str, Path]:
        """Return name -> file of modules and of all own ones that they import; installed ones
        are left out.
        """
        found: dict[str, Path] = {}
        waiting = [*modules]

        while waiting:
            name = waiting.pop()
            for part, file in self._chain(name):
                if part in found:
                    continue
                found[part] = file
                if file.suffix == ".py":
                    waiting += self._imports(part, file)

        return found

    def _chain(self, name: str) -> Iterator[tuple[str, Path]]:
        """A module and the packages that it lies in, whose __init__ files run first."""
        parts = name.split(".")
        place = self._top(parts[0])
        if place is None:
            return

        for depth, part in enumerate(parts):
            file = _module_at(place, part)
            if file is not None:
                yield ".".join(parts[: depth + 1]), file
            place = place / part
            if not place.is_dir():
                return

    def _top(self, name: str) -> Path | None:
        """The folder that holds a top-level module of the user's; None where it is installed, or
        isn't there.
        """
        for folder in self.folders:
            if _module_at(folder, name) is not None or (folder / name).is_dir():
                return folder

        if name in self.trust:
            return _on_search_path(name)

        found = _on_search_path(name)
        return None if found is None or _installed(found) else found

    def _imports(self, name: str, file: Path) -> list[str]:
        """Names that a file may import; those that are no module of the user's do no harm."""
        stat = file.stat()
        names, dynamic = _read(name, file, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
        return [*names, *_siblings(name, file)] if dynamic else [*names]


@lru_cache(maxsize=4096)
def _read(name: str, file: Path, *stamp: int) -> tuple[tuple[str, ...], bool]:
    """The names that a file imports, and whether it may import others that can't be read off it.

    Args:
        name: Of the module.
        file: Where it is.
        *stamp: Its times and size: each job of a sweep asks, and few files change meanwhile.
    """
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:
        line = ""
        if isinstance(error, SyntaxError):
            line = f", line {error.lineno}"

        raise ConfigError(f"{file}{line}: not Python: {error.args[0]}") from error

    package = name
    if file.name != "__init__.py":
        package = name.rpartition(".")[0]

    names: list[str] = []
    dynamic = False

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Name):
            dynamic = dynamic or node.id in DYNAMIC

    dynamic = dynamic or any(found.split(".")[0] in DYNAMIC for found in names)

    return tuple(found for found in names if found), dynamic


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def _siblings(name: str, file: Path) -> list[str]:
    """Every module of a file's own package; of a file that is in none, every one beside it."""
    top = name.split(".")[0]
    if "." not in name and file.name != "__init__.py":
        return [found.stem for found in file.parent.glob("*.py")]

    root = file.parents[name.count(".") + (file.name == "__init__.py") - 1]
    below = [found.relative_to(root.parent).with_suffix("") for found in root.rglob("*.py")]
    dotted = [".".join(path.parts).removesuffix(".__init__") for path in below]

    return [found for found in dotted if found.split(".")[0] == top]


def _module_at(folder: Path, name: str) -> Path | None:
    package = folder / name / "__init__.py"
    if package.is_file():
        return package

    suffixes = (*importlib.machinery.SOURCE_SUFFIXES, *importlib.machinery.EXTENSION_SUFFIXES)
    for suffix in suffixes:
        file = folder / f"{name}{suffix}"
        if file.is_file():
            return file

    return None


def _on_search_path(name: str) -> Path | None:
    for entry in sys.path:
        folder = Path(entry or ".").resolve()
        if _module_at(folder, name) is not None:
            return folder
    return None


def _installed(folder: Path) -> bool:
    """Whether a folder of modules is Python's, this package's, or one that pip installs into."""
    python = Path(os.__file__).parent
    parts = folder.parts
    return (
        folder.is_relative_to(python)
        or folder == _this_checkout()
        or any(name in parts for name in ("site-packages", "dist-packages"))
    )


@cache
def _this_checkout() -> Path:
    return Path(__file__).resolve().parents[3]
