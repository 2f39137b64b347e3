"""An updater of the user's own may keep copies of the model, follow them step by step, predict
by them and grow.
"""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

import renate
from renate.state.versions import State
from tests.command import renate as command
from tests.conftest import write_table

HERE = Path(__file__).parent
TRAINED = [
    *("trainer.max_epochs=6", "optimizer.lr=0.1", "model.hidden_sizes=[16]", "data.batch_size=16"),
    "objective.metric=null",  # keeps the last epoch, so that every step counts
]


@pytest.fixture
def repository(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment repository with an updater in the manner of CLS-ER."""
    monkeypatch.syspath_prepend(workdir)
    monkeypatch.delitem(sys.modules, "my_averaging", raising=False)
    shutil.copy(HERE / "averaging.txt", workdir / "my_averaging.py")
    (workdir / "conf" / "updater").mkdir(parents=True)
    (workdir / "conf" / "updater" / "averaging.yaml").write_text(
        "_target_: my_averaging.Averaging\nreplay_batch_size: 16\nweight: 0.1\nslow: 0.99\nfast: "
        "0.9\n"
    )
    return workdir


@pytest.mark.slow
def test_copies_follow_predict_and_grow(repository: Path) -> None:
    once = [
        "data=files",
        "data.target=label",
        "state.url=./state",
        "updater=averaging",
        "model.grow=true",
        *TRAINED,
    ]
    for week, classes in ((1, 3), (2, 4)):
        write_table(repository / f"{week}.parquet", seed=week, rows=240, classes=classes)
        first = f"state.first={str(week == 1).lower()}"
        command(*once, f"data.train={week}.parquet", first, cwd=repository, own_process=True)

    state = State("./state")
    model = renate.load_model("./state", trust=["my_averaging"])
    assert model.updater is not None
    steps = int(model.updater.steps)
    counts = [
        json.loads(bytes(state.read(state.manifest(version), "metrics.json")))["counts"]["steps"]
        for version in (1, 2)
    ]
    assert steps == sum(counts), (
        "after_step came once after each step, and its count survived both updates"
    )

    inputs = torch.randn(5, 2)
    assert torch.equal(model(inputs), model.updater.stable(inputs)), (
        "a loaded model answers by the stable copy"
    )
    assert not torch.equal(model(inputs), model.model(inputs))
    assert model(inputs).shape == (5, 4), "the copies have grown with the model"

    measured = json.loads(bytes(state.read(state.manifest(2), "metrics.json")))["after"]["test"]
    assert measured["accuracy"] > 0.5
    evaluated = command(
        "job=evaluate", *once, "data.train=2.parquet", cwd=repository, own_process=True
    ).stdout
    assert f"{measured['accuracy']:.4f}" in evaluated


@pytest.mark.slow
def test_accumulated_batches_are_one_step(repository: Path) -> None:
    write_table(repository / "1.parquet", seed=1, rows=240)
    command(
        *(
            "data=files",
            "data.target=label",
            "data.train=1.parquet",
            "state.url=./state",
            "state.first=true",
        ),
        *("updater=averaging", "trainer.accumulate_grad_batches=3", *TRAINED),
        cwd=repository,
        own_process=True,
    )
    state = State("./state")
    counts = json.loads(bytes(state.read(state.manifest(1), "metrics.json")))["counts"]
    updater = renate.load_model("./state", trust=["my_averaging"]).updater
    assert updater is not None
    batches = 6 * 240 / 16
    assert int(updater.steps) == counts["steps"] < batches / 2
