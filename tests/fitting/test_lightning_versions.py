"""Jobs run with the lowest and the newest Lightning that pyproject.toml allows."""

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAME = "pytorch-lightning"
INSIDES = ("tests/libraries/test_insides.py", "tests/fitting/test_epoch_loop.py")
JOB = ("updater=derpp", "lr_scheduler=cosine", "trainer.max_epochs=2", "memory.capacity=100")


def allowed() -> tuple[str, str]:
    """The lowest version that the package claims to work with, as pip wants it, and all of them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (claim,) = (line for line in project["dependencies"] if line.startswith(NAME))
    lowest = claim.removeprefix(f"{NAME}>=").partition(",")[0]
    return f"{NAME}=={lowest}", claim


def over_these_packages(folder: Path, wanted: str) -> Path:
    """An environment that has this one's packages and another Lightning; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "these.pth").write_text("".join(f"{path}\n" for path in sorted(here)))

    python = folder / "bin/python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    install = [*pip, "install", "-q", "--no-deps", "--ignore-installed", wanted]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return python


def run(python: Path, *arguments: str, cwd: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [python, *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("which", ["lowest", "newest"])
def test_jobs_run_with_each_lightning_that_is_allowed(which: str, tmp_path: Path) -> None:
    lowest, claim = allowed()
    wanted = lowest if which == "lowest" else claim
    python = over_these_packages(tmp_path / "environment", wanted)

    code = (
        "from importlib.metadata import distribution\n"
        f"found = distribution('{NAME}')\n"
        "print(found.version, found.locate_file(''))"
    )
    version, place = run(python, "-c", code, cwd=tmp_path).split()
    assert place.startswith(str(tmp_path)), "the environment's own, not this one's"
    if which == "lowest":
        assert version.startswith(lowest.partition("==")[2])

    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow", *INSIDES]
    run(python, *tests, cwd=ROOT)
    for processes in (1, 2):
        settings = [f"trainer.devices={processes}", "trainer.accelerator=cpu"]
        folder = tmp_path / f"runs-{processes}"
        run(python, "-m", "renate", *JOB, *settings, f"run_dir={folder}", cwd=tmp_path)
        (file,) = (path for path in folder.glob("*/result.json") if not path.parent.is_symlink())
        assert json.loads(file.read_text())["status"] == "completed"
        (version_file,) = (file.parent / "state/versions").glob("*.json")
        packages = json.loads(version_file.read_text())["lineage"]["packages"]
        assert packages[NAME] == version, "the worker had another one"
