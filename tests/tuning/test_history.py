"""The history of a state's tuning as a data frame."""

from pathlib import Path

import pytest

from renate.state.versions import State
from renate.tuning import history
from renate.tuning.on_disk.trial_history import FIELDS, HISTORY, encode
from tests.state.scenes import publish_next


def test_a_null_is_a_value_and_an_inactive_key_is_none(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    same = dict.fromkeys(FIELDS, "0")
    rows = [same | {"trainer.clip": "null", "optimizer.lr": "0.1"}, same | {"trainer.clip": "1.0"}]
    url = str(tmp_path / "state")
    publish_next(State(url), **{HISTORY: encode(rows)})
    table = history(url)
    assert table["trainer.clip"].tolist() == ["null", "1.0"]
    assert table["optimizer.lr"].isna().tolist() == [False, True]
    assert table["optimizer.lr"][0] == 0.1
