"""What every table says about the machine, and where it goes."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def write(
    name: str, title: str, text: str, table: list[str], script: str = "", options: str = ""
) -> None:
    """Print a table and keep it in benchmarks/results/<name>.md; `script` where its name is
    another, and the options that it had.
    """
    system = f"{os.cpu_count()} cores, {platform.system()}"
    machine = f"Python {platform.python_version()}, torch {version('torch')}, {system}."
    lines = [
        f"# {title}",
        "",
        f"`python benchmarks/{script or name}.py{options}`: {text}",
        "",
        machine,
        "",
        *table,
    ]
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n")
    print("\n".join(table))
