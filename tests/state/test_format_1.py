"""A state that an earlier renate wrote is still read, continued, measured and verified."""

import shutil
from pathlib import Path

import pytest

import renate
from renate.errors import ConfigError
from renate.state.versions import State

OLD = Path(__file__).parent / "of_format_1"
QUICK = ["trainer.max_epochs=1", "data.limit=120"]


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(OLD, tmp_path / "state")
    return str(tmp_path / "state")


def test_it_is_loaded_continued_and_verified(url: str) -> None:
    assert renate.load_model(url).labels == list(range(10))
    sizes = ["model.hidden_sizes=[8]", "memory.capacity=30", "updater=derpp", "seed=1"]
    assert renate.run([*QUICK, *sizes, f"state.url={url}"]).version == 2
    assert State(url).verify().version == 2


def test_it_is_measured_by_its_own_network(url: str) -> None:
    done = renate.run([*QUICK, "job=evaluate", f"state.url={url}"])
    assert done.metrics["test_accuracy"] == pytest.approx(0.1444, abs=0.02)


def test_another_network_on_the_command_line_is_refused(url: str) -> None:
    with pytest.raises(
        Exception, match=r"model.hidden_sizes=\[9\]: the version has \[8\]"
    ) as caught:
        renate.run([*QUICK, "job=evaluate", "model.hidden_sizes=[9]", f"state.url={url}"])
    assert not isinstance(caught.value, ConfigError) or "leave model out" in str(caught.value)
