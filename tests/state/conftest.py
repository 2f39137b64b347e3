from pathlib import Path

import pytest

from renate.state.versions import State


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(str(tmp_path / "state"))


@pytest.fixture
def root(state: State) -> Path:
    return Path(state.url)
