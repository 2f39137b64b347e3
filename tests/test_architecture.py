"""The rules of the house, read from the imports."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [p for d in ("renate", "launchers") for p in sorted((ROOT / d).rglob("*.py"))]

# Lower layers know nothing of higher ones; within a layer imports are free, but never in a circle.
LAYERS = [
    {
        "renate.errors",
        "renate.seeds",
        "renate.build",
        "renate.objects",
        "renate.libraries",
        "renate.generators",
        "renate.ranks",
        "renate.threads",
    },
    {"renate.data", "renate.memory", "renate.models", "renate.metrics", "renate.updaters", "renate.state"},
    {"renate.fitting", "renate.tuning"},
    {"renate.jobs"},
    {"renate.launchers"},
    {"renate.cli", "renate.api"},
    {"renate"},
]
# What a config builds by `_target_` is imported by nobody; scenarios.py holds its own base class.
TARGETS = re.compile(r"_target_: (renate\.(?:updaters|memory|models|data)\.\w+)\.")
CONCRETE = {m for p in (ROOT / "conf").rglob("*.yaml") for m in TARGETS.findall(p.read_text())} - {
    "renate.data.scenarios"
}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] == "renate" else ("renate", *parts))


def imports(path: Path, *, lazy: bool = True) -> set[str]:
    """What a file imports; relative imports, which only launchers/ has, by their full names."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if lazy else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = module_of(path).split(".")[: -node.level or None] if path.name != "__init__.py" else []
            module = ".".join([*base, *filter(None, [node.module])]) if node.level else str(node.module)
            found.add(module)
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


def layer(module: str) -> int | None:
    best = [(len(name), i) for i, names in enumerate(LAYERS) for name in names if f"{module}.".startswith(f"{name}.")]
    return max(best)[1] if best else None


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_point_downwards(path: Path) -> None:
    module, own = module_of(path), layer(module_of(path))
    assert own is not None
    above = {m for m in imports(path) if m.startswith("renate.") and (level := layer(m)) is not None and level > own}
    assert not above, f"{module} imports {above} from above"


def test_no_import_cycle() -> None:
    modules = {module_of(p): imports(p, lazy=False) for p in FILES}
    graph = {m: {n for n in names if n in modules and n not in (m, "renate")} for m, names in modules.items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"cycle: {' -> '.join((*path[path.index(module) :], module))}"
        if module not in done:
            for after in graph[module]:
                visit(after, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_concrete_plugins_are_imported_by_nobody(path: Path) -> None:
    assert {"renate.updaters.er", "renate.memory.reservoir", "renate.models.mlp", "renate.data.files"} <= CONCRETE
    assert not imports(path) & CONCRETE


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_only_cli_and_launchers_know_hydra(path: Path) -> None:
    module = module_of(path)
    if not module.startswith(("renate.cli", "renate.launchers")):
        assert not {m for m in imports(path) if m.split(".")[0] == "hydra"}


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_cloud_and_engines_stay_in_their_rooms(path: Path) -> None:
    module, found = module_of(path), {m.split(".")[0] for m in imports(path)}
    if not module.startswith("renate.tuning"):
        assert not found & {"syne_tune", "optuna"}
    if not module.startswith(("renate.launchers", "renate.objects.credentials")):
        assert not found & {"boto3", "botocore", "sagemaker"}


def test_command_line_starts_without_torch() -> None:
    code = (
        "import sys, renate, renate.cli, renate.cli.session, renate.launchers.local, renate.launchers.sweeper\n"
        "from renate.cli.session import register_plugins; register_plugins()\n"
        "print([m for m in ('torch', 'pytorch_lightning', 'torchmetrics', 'sklearn', 'pyarrow') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_nothing_names_this_machine() -> None:
    """The package must not depend on a folder beside the repository; only tests and benchmarks look for data there."""
    for path in [*FILES, *sorted((ROOT / "conf").rglob("*.yaml"))]:
        text = path.read_text()
        assert "../shared" not in text, path
        assert "/work/" not in text, path
