"""How the code reads, in figures: `python benchmarks/prose.py`. Examples of good prose lie near
the goals; figures are no end in themselves.
"""

import argparse
import ast
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from machine import write

ROOT = Path(__file__).parent.parent
LONGEST = 100  # characters


@dataclass(frozen=True)
class Module:
    """A file, parsed.

    Attributes:
        path: Where it is.
        lines: Its text.
        tree: What it says.
    """

    path: Path
    lines: list[str]
    tree: ast.Module

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
        return (node for node in ast.walk(self.tree) if isinstance(node, kinds))

    def functions(self) -> Iterator[ast.FunctionDef]:
        for node in self.nodes(ast.FunctionDef):
            assert isinstance(node, ast.FunctionDef)
            yield node


def modules(folders: list[str]) -> list[Module]:
    found = []
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text()
            found.append(Module(path, text.splitlines(), ast.parse(text)))
    return found


def body_lines(module: Module, function: ast.FunctionDef) -> list[str]:
    """The lines below a function's docstring."""
    first = function.body[0]
    begin = first.lineno - 1
    if ast.get_docstring(function) is not None:
        begin = first.end_lineno or begin
    return module.lines[begin : function.end_lineno]


def is_pair(node: ast.AST) -> bool:
    """Whether an assignment sets several names to several values: `a, b = 1, 2`."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Tuple):
        return False
    return any(isinstance(target, ast.Tuple) for target in node.targets)


def is_public(module: Module) -> Iterator[ast.FunctionDef]:
    """Functions and methods that others may call; not those within functions, and no overriding
    one-liners.
    """
    for owner in module.nodes(ast.Module, ast.ClassDef):
        assert isinstance(owner, ast.Module | ast.ClassDef)
        if isinstance(owner, ast.ClassDef) and owner.name.startswith("_"):
            continue
        for node in owner.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield node


def figures(found: list[Module]) -> list[tuple[str, str, str]]:
    """(what, here, goal)."""
    lengths = sorted(len(module.lines) for module in found)
    lines = sum(lengths)
    functions = [(module, function) for module in found for function in module.functions()]
    sizes = sorted((function.end_lineno or 0) - function.lineno + 1 for _, function in functions)
    bodies = [line for module, function in functions for line in body_lines(module, function)]
    blank = sum(not line.strip() for line in bodies)
    pairs = sum(is_pair(node) for module in found for node in module.nodes(ast.Assign))
    conditional = sum(1 for module in found for _ in module.nodes(ast.IfExp))
    long = sum(len(line) > LONGEST for module in found for line in module.lines)
    comments = sum(line.lstrip().startswith("#") for module in found for line in module.lines)
    public = [function for module in found for function in is_public(module)]
    told = sum(ast.get_docstring(function) is not None for function in public)
    fullest = max(_counts(found).values())

    return [
        ("lines per file, median / p90 / max", _spread(lengths), "120 / 250 / 300"),
        ("lines per function, median / p90 / max", _spread(sizes), "9 / 30 / 50"),
        ("files of the fullest folder", str(fullest), "12"),
        ("blank lines in function bodies", f"{100 * blank / len(bodies):.1f} %", "6 % or more"),
        (
            "assignments of several values, per 1,000 lines",
            f"{1000 * pairs / lines:.1f}",
            "3 at most",
        ),
        (
            "conditional expressions per 1,000 lines",
            f"{1000 * conditional / lines:.1f}",
            "8 at most",
        ),
        (f"lines over {LONGEST} characters", str(long), "0"),
        ("comments per 100 lines", f"{100 * comments / lines:.1f}", ""),
        ("public functions with a docstring", f"{100 * told / len(public):.0f} %", "95 % or more"),
    ]


def _counts(found: list[Module]) -> dict[Path, int]:
    counts: dict[Path, int] = {}
    for module in found:
        folder = module.path.parent
        counts[folder] = counts.get(folder, 0) + (module.path.name != "__init__.py")
    return counts


def _spread(values: list[int]) -> str:
    p90 = values[int(0.9 * (len(values) - 1))]
    return f"{statistics.median(values):.0f} / {p90} / {values[-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", default=["renate", "launchers"])
    asked = parser.parse_args()

    rows = figures(modules(asked.folders))
    table = [
        "| | here | goal |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    write("prose", "How the code reads", f"{' and '.join(asked.folders)}.", table)


if __name__ == "__main__":
    main()
