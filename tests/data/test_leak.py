"""Growing sets of files: no row that is held out in any update is trained on in any other."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from renate.data.base import Known

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "leak.py"


def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARK.parent))
    spec = importlib.util.spec_from_file_location("leak", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop("machine", None)
    return module


GROWTHS = ["rows repeated", "files reordered", "files split", "files merged", "columns reordered"]


@pytest.mark.parametrize("name", GROWTHS)
def test_no_row_changes_sides(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leak = benchmark(monkeypatch)
    folder = tmp_path / "new"
    folder.mkdir()
    known: Known | None = None
    trained: set[int] = set()
    held: set[int] = set()
    for week in (1, 2, 3):
        leak.grow(folder, leak.GROWTHS[name], week)
        data = leak.source(folder).load(seed=week, known=known)
        assert data.inputs is not None
        place = data.inputs.names.index("id")
        trained |= leak.numbers(data.train, place)
        held |= leak.numbers(data.val, place) | leak.numbers(data.test["test"], place)
        known = Known(data.problem, data.inputs, data.split)
    assert len(trained) + len(held) == leak.FIRST + 2 * leak.WEEKLY
    assert not trained & held
