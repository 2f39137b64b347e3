"""What a worker imports."""

import subprocess
import sys

import pytest

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
