"""The rules of the house, read from the imports."""

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [p for d in ("renate", "launchers") for p in sorted((ROOT / d).rglob("*.py"))]

# Lower layers know nothing of higher ones; within a layer imports are free, but never in a circle.
LAYERS = [
    {
        "renate.errors",
        "renate.extras",
        "renate.files",
        "renate.seeds",
        "renate.build",
        "renate.checks",
        "renate.object_store",
        "renate.libraries",
        "renate.generators",
        "renate.ranks",
        "renate.threads",
    },
    {
        "renate.data",
        "renate.losses",
        "renate.memory",
        "renate.models",
        "renate.metrics",
        "renate.updaters",
        "renate.state",
        "renate.problems",
    },
    {
        "renate.fitting",
        "renate.gate",
        "renate.policy",
        "renate.report",
        "renate.shift",
        "renate.tuning",
    },
    {"renate.jobs"},
    {"renate.export"},
    {"renate.launchers"},
    {"renate.cli", "renate.api", "renate.compat"},
    {"renate"},
]
# The same within launchers/. A backend that comes later stands beside sagemaker: none imports
# another.
ROOMS = [
    {"renate.launchers.base", "renate.launchers.links"},
    {"renate.launchers.terminal"},
    {"renate.launchers.composing"},
    {"renate.launchers.sweeps"},
    {"renate.launchers.local"},
    {"renate.launchers.remote"},
    {"renate.launchers.sagemaker", "renate.launchers.slurm", "renate.launchers.ray"},
]
BACKENDS = ROOMS[-1]
# What a config builds by `_target_` is imported by nobody; scenarios.py holds its own base class.
TARGETS = re.compile(r"_target_: (renate\.(?:updaters|memory|models|data|problems)\.\w+)\.")
CONCRETE = {m for p in (ROOT / "conf").rglob("*.yaml") for m in TARGETS.findall(p.read_text())} - {
    "renate.data.scenarios"
}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] == "renate" else ("renate", *parts))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path, *, lazy: bool = True) -> set[str]:
    """What a file imports; relative imports, which only launchers/ has, by their full names."""
    tree = tree_of(path)
    nodes = ast.walk(tree) if lazy else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (
                module_of(path).split(".")[: -node.level or None]
                if path.name != "__init__.py"
                else []
            )
            module = (
                ".".join([*base, *filter(None, [node.module])]) if node.level else str(node.module)
            )
            found.add(module)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def layer(module: str, layers: list[set[str]]) -> int | None:
    best = [
        (len(name), i)
        for i, names in enumerate(layers)
        for name in names
        if f"{module}.".startswith(f"{name}.")
    ]
    return max(best)[1] if best else None


def from_above(path: Path, layers: list[set[str]]) -> set[str]:
    own = layer(module_of(path), layers)
    assert own is not None, f"{module_of(path)} is in no layer"
    levels = {
        module: layer(module, layers) for module in imports(path) if module.startswith("renate.")
    }
    return {module for module, level in levels.items() if level is not None and level > own}


# Each rule is one test of all files: as one of each it would cost more than what it looks at


def test_imports_point_downwards() -> None:
    above = {module_of(path): from_above(path, LAYERS) for path in FILES}
    assert {module: found for module, found in above.items() if found} == {}


def test_launchers_are_rooms_with_doors_one_way() -> None:
    files = [path for path in FILES if module_of(path).startswith("renate.launchers.")]
    above = {module_of(path): from_above(path, ROOMS) for path in files}
    assert {module: found for module, found in above.items() if found} == {}


@pytest.mark.parametrize("backend", sorted(BACKENDS))
def test_no_backend_imports_another(backend: str) -> None:
    found = {m for p in FILES if module_of(p).startswith(backend) for m in imports(p)}
    others = BACKENDS - {backend}
    assert not {m for m in found if m.startswith(tuple(others))}


def test_every_room_has_its_place() -> None:
    folders = {
        f"renate.launchers.{p.name}"
        for p in (ROOT / "launchers").iterdir()
        if (p / "__init__.py").exists()
    }
    assert folders | ROOMS[0] == set.union(*ROOMS)


def test_no_import_cycle() -> None:
    modules = {module_of(p): imports(p, lazy=False) for p in FILES}
    graph = {
        m: {n for n in names if n in modules and n not in (m, "renate")}
        for m, names in modules.items()
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"cycle: {' -> '.join((*path[path.index(module) :], module))}"
        if module not in done:
            for after in graph[module]:
                visit(after, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_concrete_plugins_are_imported_by_nobody() -> None:
    assert {
        "renate.updaters.er",
        "renate.memory.reservoir",
        "renate.models.mlp",
        "renate.data.files",
    } <= CONCRETE
    for path in FILES:
        assert not imports(path) & CONCRETE, module_of(path)


def test_only_cli_and_launchers_know_hydra() -> None:
    for path in FILES:
        module = module_of(path)
        found = imports(path)
        if not module.startswith(("renate.cli", "renate.launchers")):
            assert not {m for m in found if m.split(".")[0] == "hydra"}, module
        if not module.startswith(("renate.cli", "renate.launchers.composing")):
            assert not {m for m in found if m.startswith("hydra._internal")}, module


def test_cloud_and_engines_stay_in_their_rooms() -> None:
    clouds = ("renate.launchers.sagemaker", "renate.object_store.credentials")
    for path in FILES:
        module = module_of(path)
        found = {m.split(".")[0] for m in imports(path)}
        if not module.startswith("renate.tuning"):
            assert not found & {"syne_tune", "optuna"}, module
        if not module.startswith("renate.report"):
            assert not found & {"matplotlib", "jinja2"}, module
        if not module.startswith("renate.launchers.ray"):
            assert "ray" not in found, module
        if not module.startswith(clouds):
            assert not found & {"boto3", "botocore", "sagemaker"}, module


def test_the_python_api_does_without_the_command_line() -> None:
    for path in FILES:
        if path.parts[-2] == "renate" and path.name != "__main__.py":
            assert not {m for m in imports(path) if m.startswith("renate.cli")}, module_of(path)


def test_command_line_starts_without_torch() -> None:
    code = (
        "import sys, renate, renate.cli, renate.cli.overrides, renate.cli.report, "
        "renate.launchers.sagemaker.launcher, renate.launchers.terminal.pages, "
        "renate.jobs.reporting.assembled, renate.report.written\n"
        "from renate.launchers.composing.session import register_plugins; register_plugins()\n"
        "print([m for m in ('torch', 'pytorch_lightning', 'torchmetrics', 'sklearn', 'pyarrow', 'matplotlib', "
        "'jinja2') if "
        "m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == "[]"


def test_a_config_is_shown_without_what_runs_jobs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "renate", "--cfg", "job"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "renate.launchers.composing.session" in imported
    assert not imported & {"renate.launchers.composing.launcher", "obstore", "rich.console"}


@pytest.mark.slow
def test_launchers_are_typed_for_whoever_imports_them(tmp_path: Path) -> None:
    """mypy can't follow `__path__`; where it doesn't find them, all that is imported from there
    is Any.
    """
    file = tmp_path / "wrong.py"
    file.write_text("from renate.launchers.base import name_apart\n\nname_apart(1)\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(file)], cwd=ROOT, capture_output=True, text=True
    )
    assert 'Argument 1 to "name_apart" has incompatible type "int"' in done.stdout, done.stdout


def test_nothing_names_this_machine() -> None:
    """The package must not depend on a folder beside the repository; only tests and benchmarks
    look for data there.
    """
    for path in [*FILES, *sorted((ROOT / "conf").rglob("*.yaml"))]:
        text = path.read_text()
        assert "../shared" not in text, path
        assert "/work/" not in text, path


LONGEST_FILE = 300  # lines
LONGEST_FUNCTION = 50  # lines
# Passes on Renate's forty arguments, each by its name
LONG_BY_CONTRACT = {"run_training_job"}
FULLEST_FOLDER = 12  # files, __init__.py among them


def test_a_file_is_read_in_one_sitting() -> None:
    lengths = {module_of(path): path.read_text().count("\n") for path in FILES}
    assert {module: lines for module, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_a_function_is_seen_at_once() -> None:
    functions = [
        (module_of(path), node)
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef)
    ]
    for module, node in functions:
        # What it does: Renate's signatures alone are forty lines
        first = node.body[1 if ast.get_docstring(node) and node.body[1:] else 0]
        lines = (node.end_lineno or 0) - first.lineno + 1
        is_short = lines <= LONGEST_FUNCTION or node.name in LONG_BY_CONTRACT
        assert is_short, f"{module}: {node.name} has {lines} lines"


def test_a_folder_is_seen_at_once() -> None:
    folders = Counter(path.parent for path in FILES)
    assert [folder for folder, files in folders.items() if files > FULLEST_FOLDER] == []


def test_pytest_can_tell_test_files_apart() -> None:
    """Two of one name in folders that are no packages would be one module to it."""
    files = [
        p for p in (ROOT / "tests").rglob("test_*.py") if not (p.parent / "__init__.py").exists()
    ]
    assert [name for name, count in Counter(p.name for p in files).items() if count > 1] == []
