"""The README's commands and its Python, executed as typed."""

import re
import subprocess
import sys
from pathlib import Path

from tests.command import RENATE
from tests.conftest import ROOT, write_table

README = (ROOT / "README.md").read_text()
# Setting up is what `make` and CI do.
ELSEWHERE = ("make ", "pip install ", "git clone ", "cd ")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_something_runs_on_the_first_screen() -> None:
    first = README.splitlines().index("```sh")
    assert first <= 15


def test_commands(workdir: Path) -> None:
    write_table(workdir / "new" / "a.parquet", seed=1)
    lines = [line.partition(" #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    lines = [line for line in lines if line and not line.startswith(ELSEWHERE)]
    assert len(lines) >= 5
    for number, line in enumerate(lines):
        if number:
            write_table(workdir / "new" / f"{number}.parquet", seed=number)  # data keeps coming
        command = line.replace("renate ", f"{' '.join(RENATE)} ", 1) if " " in line else " ".join(RENATE)
        done = subprocess.run(["bash", "-c", command], cwd=workdir, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_python(workdir: Path) -> None:
    for block in blocks("python"):
        done = subprocess.run([sys.executable, "-c", block], cwd=workdir, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert len([line for line in done.stdout.splitlines() if line.startswith("[")]) == 5, "five updates, five rows"
