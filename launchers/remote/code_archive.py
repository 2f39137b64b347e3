"""The code that a job runs, as one archive: the same content is the same archive, whoever packs
it and when.
"""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

import renate
from renate.build import is_own, targets
from renate.errors import ConfigError

from ..base import ComposedJob
from ..composing.identity import config_file_of

LEFT_OUT = (
    "__pycache__",
    ".git",
    ".venv",
    "node_modules",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
)
MB = 1_000_000
PROVIDERS = ("hydra", "main", "schema")  # of configs that come with this package and with Hydra

Files = dict[str, Path | bytes]  # name within the archive -> where it is, or what


def of_job(job: ComposedJob, sources: Iterable[Any], folders: Sequence[str]) -> Files:
    """All the code that a job runs.

    Args:
        job: The job; a sweep that is one job is composed where it runs.
        sources: Where Hydra reads configs.
        folders: Of further modules, or modules.

    Raises:
        ConfigError: One of `folders` isn't there.
    """
    configs: list[Any] = [
        OmegaConf.to_container(each.config, resolve=False) for each in job.parts or [job]
    ]
    modules = {target.rpartition(".")[0] for one in configs for _, target in targets(one)}
    own: Files = {}
    if job.parts:
        own = own_configs(sources)

    trust = list(job.config.trust)
    return together(
        own,
        own_modules(sorted(modules), trust, Path.cwd(), always=bool(own)),
        beside(config_file_of(configs[0])),
        source_dirs(folders),
        package(),
    )


def together(*parts: Files) -> Files:
    """All of several parts, which may have the same modules, but no two of one name.

    Raises:
        ConfigError: They have: a job would import one of them, perhaps not the one that is imported
            here.
    """
    files: Files = {}
    for part in parts:
        for name, item in part.items():
            other = files.setdefault(name, item)
            if other != item and _content(other) != _content(item):
                raise ConfigError(
                    f"{item!s}: {other!s} would have the same name in the job, {name}: rename one"
                )
    return files


def _content(item: Path | bytes) -> bytes:
    return item if isinstance(item, bytes) else item.read_bytes()


def package() -> Files:
    """This package as a wheel lays it out: `conf` and `launchers` within it, and its metadata
    beside it.
    """
    files: Files = {}
    for root in map(Path, renate.__path__):
        parts = [root] if (root / "errors.py").exists() else [root / "conf", root / "launchers"]
        for part in parts:
            base = root if part is root else part.parent
            files |= {f"renate/{path.relative_to(base).as_posix()}": path for path in below(part)}

    about = distribution("renate-cl")
    for name in ("METADATA", "entry_points.txt"):
        if text := about.read_text(name):
            files[f"renate_cl-{about.version}.dist-info/{name}"] = text.encode()

    return files


def below(folder: Path, within: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The files of a folder that are code or belong to it; `within` are the folders around it, to
    which a link leads in a circle.
    """
    within = (*within, folder.resolve())
    for path in sorted(folder.iterdir()):
        if path.name in LEFT_OUT or path.suffix in (".pyc", ".egg-info"):
            continue
        if path.is_dir():
            if path.resolve() not in within:
                yield from below(path, within)
        elif path.is_file():
            yield path


def own_configs(sources: Iterable[Any]) -> Files:
    """The user's configs, from wherever Hydra reads them: of two of one name the one that it finds
    first.
    """
    folders = [Path(str(source.path)) for source in sources if source.provider not in PROVIDERS]
    files: Files = {}
    for folder in folders:
        for path in below(folder):
            files.setdefault(f"conf/{path.relative_to(folder).as_posix()}", path)

    return files


def own_modules(
    modules: Sequence[str], trust: Sequence[str], here: Path, *, always: bool = False
) -> Files:
    """The user's modules, if the config names any: those of the current directory, since they
    import each other.
    """
    if not always and not any(is_own(module, trust) for module in modules):
        return {}

    files: Files = {path.name: path for path in sorted(here.glob("*.py"))}
    for folder in sorted(path.parent for path in here.glob("*/__init__.py")):
        if folder.name not in ("renate", "conf", "launchers"):
            files |= {path.relative_to(here).as_posix(): path for path in below(folder)}

    return files


def beside(config_file: Path | None) -> Files:
    """The modules that lie where a config file does: it may import them."""
    return {} if config_file is None else own_modules((), (), config_file.parent, always=True)


def source_dirs(folders: Sequence[str]) -> Files:
    """Further folders, or single modules, each importable in the job by its own name.

    Raises:
        ConfigError: One that isn't there, or two of one name.
    """
    files: Files = {}
    found: dict[str, Path] = {}
    for folder in folders:
        path = Path(folder).expanduser().resolve()
        other = found.setdefault(path.name, path)
        if other != path:
            raise ConfigError(
                f"backend.source_dirs={folder}: {other} is called {path.name} too, and a job "
                "imports them by their names: rename one"
            )
        if path.is_file() and path.suffix == ".py":
            files[path.name] = path
            continue
        if not path.is_dir():
            raise ConfigError(f"backend.source_dirs={folder}: no such folder (from {Path.cwd()})")
        files |= {f"{path.name}/{file.relative_to(path).as_posix()}": file for file in below(path)}

    return files


def pack(files: Mapping[str, Path | bytes], limit_mb: float) -> tuple[str, bytes]:
    """Return the hash of the content and the archive.

    Raises:
        ConfigError: It is larger than `limit_mb`.
    """
    sizes = {
        name: len(item) if isinstance(item, bytes) else item.stat().st_size
        for name, item in files.items()
    }
    total = sum(sizes.values())

    if total > limit_mb * MB:
        largest = max(sizes, key=lambda name: sizes[name])
        raise ConfigError(
            f"code is {total / MB:.0f} MB, limit backend.max_code_mb={limit_mb:g}; "
            f"largest: {largest} ({sizes[largest] / MB:.1f} MB)"
        )

    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted(files):
            item = files[name]
            content = _content(item)
            member = tarfile.TarInfo(name)  # owner, mode and time are the same for all
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

    # Not of the compressed bytes: another zlib makes others.
    return hashlib.sha256(plain.getvalue()).hexdigest(), gzip.compress(plain.getvalue(), 6, mtime=0)


def unpack(archive: bytes, folder: Path) -> None:
    """Write what `pack` has packed into a folder, which is made."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        tar.extractall(folder, filter="data")
