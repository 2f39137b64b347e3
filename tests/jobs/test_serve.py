"""What a worker imports."""

# ruff: noqa: NPY002 (the global generators are what is tested)
import decimal
import importlib
import logging
import os
import random
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import renate.fitting.learner
from renate.jobs.running.process import Baseline


def _restored(baseline: Baseline, folder: Path, **environment: str) -> None:
    known = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    baseline.restore(str(folder), known | environment, torch.get_num_threads())


@pytest.fixture
def baseline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Baseline]:
    """This process's; whatever a test's jobs do to it is undone."""
    environment = dict(os.environ)
    folder = Path.cwd()
    path = [*sys.path]
    writes = sys.dont_write_bytecode
    found = Baseline()
    yield found
    _restored(found, tmp_path)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = path
    sys.dont_write_bytecode = writes


def test_a_folders_modules_are_read_again_after_another_folders_job(
    tmp_path: Path, baseline: Baseline
) -> None:
    """A worker that was parked serves jobs of any folder; a name that begins like ours is nobody
    else's.
    """
    mine = tmp_path / "mine"
    other = tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    words = []
    for folder, text in ((mine, "one"), (other, "its own"), (mine, "two")):
        _restored(baseline, folder)
        (folder / "renate_served.py").write_text(f"WORD = {text!r}\n")
        words.append(importlib.import_module("renate_served").WORD)
    assert words == ["one", "its own", "two"]


def test_an_edit_within_the_same_second_is_seen(tmp_path: Path, baseline: Baseline) -> None:
    words = []
    for text in ("one", "two"):
        _restored(baseline, tmp_path)
        (tmp_path / "my_quick.py").write_text(f"WORD = {text!r}\n")
        words.append(importlib.import_module("my_quick").WORD)
    assert words == ["one", "two"]


def test_modules_of_a_folder_that_was_left_cannot_be_imported(
    tmp_path: Path, baseline: Baseline
) -> None:
    mine, other, extra = (tmp_path / name for name in ("mine", "other", "extra"))
    for folder in (mine, other, extra):
        folder.mkdir()
    (mine / "my_left.py").write_text("")
    (extra / "my_extra.py").write_text("")
    _restored(baseline, mine, PYTHONPATH=str(extra))
    importlib.import_module("my_left")
    importlib.import_module("my_extra")
    _restored(baseline, other)
    for name in ("my_left", "my_extra"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)


UPSET = {
    "torch.set_default_dtype(torch.float64)": lambda: torch.get_default_dtype() == torch.float32,
    "torch.use_deterministic_algorithms(True, warn_only=True)": lambda: (
        not torch.are_deterministic_algorithms_enabled()
    ),
    "torch.set_grad_enabled(False)": torch.is_grad_enabled,
    "torch.set_default_device('meta')": lambda: torch.empty(0).device.type == "cpu",
    "torch.backends.cudnn.benchmark = True": lambda: not torch.backends.cudnn.benchmark,
    "torch.set_printoptions(precision=1)": lambda: "0.1250" in str(torch.tensor([0.125])),
    "np.seterr(all='raise')": lambda: np.geterr()["over"] == "warn",
    "np.set_printoptions(precision=1)": lambda: "0.125" in str(np.array([0.125])),
    "warnings.simplefilter('ignore')": lambda: warnings.filters[0][0] != "ignore",
    "logging.disable()": lambda: logging.root.manager.disable == 0,
    "os.environ['MINE'] = '1'": lambda: "MINE" not in os.environ,
    "sys.path.append('/nowhere')": lambda: "/nowhere" not in sys.path,
    "sys.setrecursionlimit(500)": lambda: sys.getrecursionlimit() > 500,
    "decimal.getcontext().prec = 3": lambda: decimal.getcontext().prec == 28,
    "import builtins; builtins.print = None": lambda: callable(print),
    "torch.nn.functional.relu = None": lambda: callable(torch.nn.functional.relu),
    "torch.nn.Linear.forward = None": lambda: callable(torch.nn.Linear.forward),
    "renate.fitting.learner.CHECK_EVERY = 1": lambda: renate.fitting.learner.CHECK_EVERY > 1,
}


@pytest.mark.parametrize("line", UPSET)
def test_what_a_job_has_set_is_gone_before_the_next(
    line: str, tmp_path: Path, baseline: Baseline
) -> None:
    exec(line)
    _restored(baseline, tmp_path)
    assert UPSET[line](), line


def test_random_numbers_do_not_go_on_where_the_last_job_stopped(
    tmp_path: Path, baseline: Baseline
) -> None:
    drawn = []
    for _ in range(2):
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        _restored(baseline, tmp_path)
        drawn.append((float(torch.rand(())), float(np.random.rand()), random.random()))
    assert all(a != b for a, b in zip(*drawn, strict=True))
