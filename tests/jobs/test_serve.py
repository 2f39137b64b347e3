"""What a worker imports."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from renate.jobs.serve import _enter

CODE = """
import sys
from renate.jobs.serve import without_scipy_signal
with without_scipy_signal():
    import renate.jobs.execute, torchmetrics
assert "scipy.signal" not in sys.modules, "torchmetrics loads it unasked"
import scipy, scipy.signal
from scipy import signal
assert scipy.signal.lfilter is signal.lfilter
assert len(scipy.signal.windows.hann(8)) == 8
print("the real one")
"""


def test_scipy_signal_stays_out_until_it_is_wanted() -> None:
    pytest.importorskip("scipy")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.stdout == "the real one\n", done.stderr


def test_a_folders_modules_are_read_again_after_another_folders_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was parked serves jobs of any folder."""
    mine, other, installed = tmp_path / "mine", tmp_path / "other", set[str]()
    mine.mkdir()
    other.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    words = []
    for folder, text in ((mine, "one"), (other, None), (mine, "another")):
        _enter(str(folder), installed)
        if text is not None:
            (mine / "my_served.py").write_text(f"WORD = '{text}'\n")
            importlib.invalidate_caches()
            words.append(importlib.import_module("my_served").WORD)
    assert words == ["one", "another"]
