"""The commands and the Python of README and docs, executed as typed; the generated pages are up
to date.
"""

import contextlib
import importlib.util
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from renate.cli import VERBS
from renate.launchers.composing.session import opened
from tests.backends.clusters import BACKENDS
from tests.backends.conftest import aws, services  # noqa: F401 (the services of SageMaker's page)
from tests.command import RENATE, renate
from tests.conftest import ROOT, write_table

PAGES = [
    p
    for p in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if "```" in p.read_text()
]
# Setting up is what `make` and CI do; benchmarks take minutes.
ELSEWHERE = ("make ", "pip install ", "git clone ", "python benchmarks/")
# How-tos that train for a minute or more; that their commands compose is looked at in any case.
LONG = ("run", "tune", "sagemaker")
# What `make test` doesn't wait for
SLOW = (
    *LONG,
    "README",
    "extending",
    "contract",
    "tutorial",
    "export",
    "gate",
    "schedule",
    "simulate",
    "images",
    "metrics",
    "models",
    "output",
    "predict",
    "problems",
    "report",
    "tables",
    "text",
)
# Twenty trials, in README and in the how-to on tuning, which runs it
DEMO = ["renate experiment=demo_tuning"]
# Pages whose commands need a cluster
CLUSTERS = ("ray", "slurm")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = [
        line.partition(" #")[0].strip()
        for block in blocks(page, "sh")
        for line in block.splitlines()
    ]
    return [line for line in lines if line and not line.startswith(ELSEWHERE)]


def snippets(page: Path) -> list[str]:
    """Python that is run as it stands; the rest are files."""
    return [block for block in blocks(page, "python") if not block.startswith("# my_")]


def write_files(page: Path, folder: Path) -> None:
    """The files that a page shows: blocks whose first line is their path."""
    for block in re.findall(
        r"```(?:yaml|python)\n(# [\w/.]+\.(?:py|yaml)\n.*?)```", page.read_text(), re.DOTALL
    ):
        path = folder / block.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        name, head, *rest = block.splitlines(keepends=True)
        # Hydra reads its own lines up to the first that isn't one
        path.write_text("".join([head, name, *rest] if head.startswith("# @") else [block]))


def is_cloud(command: str) -> bool:
    """Whether a command needs S3 and SageMaker."""
    return "sagemaker" in command or "s3://" in command


def pages(cloud: bool) -> list[Any]:
    found = [
        page
        for page in PAGES
        if page.stem not in CLUSTERS
        and any(is_cloud(command) is cloud for command in commands(page))
    ]
    marks = {name: [pytest.mark.slow] for name in SLOW}
    return [pytest.param(page, id=page.stem, marks=marks.get(page.stem, ())) for page in found]


def test_the_demo_is_in_the_how_to() -> None:
    tune = next(page for page in PAGES if page.stem == "tune")
    assert set(DEMO) <= set(commands(tune))


def test_configs_to_write_are_none_of_ours() -> None:
    """A user's own of a name that this package has is refused."""
    found = [
        match[1]
        for page in PAGES
        for block in blocks(page, "yaml")
        if (match := re.match(r"# (conf/\S+\.yaml)", block))
    ]
    assert found
    assert [name for name in found if (ROOT / name).exists()] == []


def test_something_runs_on_the_first_screen() -> None:
    assert (ROOT / "README.md").read_text().splitlines().index("```sh") < 15
    assert len(commands(ROOT / "README.md")) >= 5


@pytest.mark.parametrize("page", pages(cloud=False))
def test_commands(page: Path, workdir: Path) -> None:
    given = [
        command
        for command in commands(page)
        if not is_cloud(command) and (page.stem in LONG or command not in DEMO)
    ]
    if page.stem == "README":
        run(workdir, given)
    else:
        run_here(workdir, given, page)


@pytest.mark.slow
@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("page", pages(cloud=True))
def test_commands_on_the_services(page: Path, workdir: Path) -> None:
    run(workdir, [command for command in commands(page) if is_cloud(command)])


@pytest.mark.slow
@pytest.mark.parametrize("name", CLUSTERS)
def test_commands_on_a_cluster(
    name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: Any
) -> None:
    with contextlib.ExitStack() as stack:
        backend = BACKENDS[name](stack, tmp_path_factory.mktemp(name))
        for variable, value in backend.environment.items():
            monkeypatch.setenv(variable, value)
        run(workdir, commands(next(page for page in PAGES if page.stem == name)))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem in LONG], ids=lambda p: p.stem
)
def test_commands_compose(page: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without being run: every key and every option of theirs is there."""
    monkeypatch.setenv("RENATE_AWS_ROLE", "arn:aws:iam::123456789012:role/r")
    monkeypatch.setenv("RENATE_AWS_BUCKET", "bucket")
    composed = 0
    for line in commands(page):
        words = shlex.split(os.path.expandvars(line))
        assert words[0] == "renate"
        if len(words) == 1 or words[1] in VERBS:
            continue
        with opened(words[1:]) as (launcher, whole, parsed):
            assert len(parsed) == len(words) - 1
            assert whole.trainer.max_epochs
            launcher.close()
        composed += 1
    assert composed >= 5


def run_here(workdir: Path, lines: list[str], page: Path) -> None:
    """The same as `run`, without a shell and a process for each; `cd` leads to a folder with the
    page's own files.
    """
    for number, line in enumerate(lines):
        write_table(workdir / "new" / f"{number}.parquet", seed=number)
        command, _, otherwise = line.partition(" || ")
        assert otherwise in ("", "true")
        words = shlex.split(command)
        if words[0] == "cd":
            workdir = workdir / words[1]
            write_files(page, workdir)
            continue
        if words[0] == "python":
            run_file(page, workdir, words[1:])
            continue

        assert words[0] == "renate"
        assert not set("&|;<>$`*?") & set(re.sub("'[^']*'", "", command)), (
            "the shell would do something with it"
        )
        renate(*words[1:], cwd=workdir, code=None if otherwise else 0)


def run_file(page: Path, workdir: Path, arguments: list[str]) -> None:
    """Run a file of Python that a page shows, with its arguments, and leave its others beside it."""
    write_files(page, workdir)
    before = sys.argv
    sys.argv = arguments
    try:
        with contextlib.chdir(workdir):
            runpy.run_path(arguments[0], run_name="__main__")
    finally:
        sys.argv = before


def run(workdir: Path, lines: list[str]) -> None:
    script = workdir / "bin" / "renate"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {" ".join(RENATE)} "$@"\n')
    script.chmod(0o755)
    for number, line in enumerate(lines):
        write_table(workdir / "new" / f"{number}.parquet", seed=number)  # data keeps coming
        done = subprocess.run(
            ["bash", "-c", f'export PATH="{script.parent}:$PATH"; {line}'],
            cwd=workdir,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if snippets(p)], ids=lambda p: p.stem)
def test_python(page: Path, workdir: Path) -> None:
    for block in snippets(page):
        if page.stem != "README":
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                exec(compile(block, page.name, "exec"), {"__name__": "__main__"})
            assert said.getvalue().strip()
            continue
        done = subprocess.run(
            [sys.executable, "-c", block], cwd=workdir, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_generated_pages_are_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for page, text in module.PAGES.items():
        assert (ROOT / "docs" / page).read_text() == text(), (
            f"python docs/generate.py writes another {page}"
        )


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem)
def test_examples(path: Path, workdir: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path)], cwd=workdir, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
