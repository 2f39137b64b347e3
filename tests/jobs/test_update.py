"""Updates end to end, through the launcher and a warm worker."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load
from torch import nn
from torch.utils.data import TensorDataset

import renate
from renate.api import as_list
from renate.errors import ConfigError, DataError, JobError, NoVersionError, StateError
from renate.jobs import update
from renate.jobs.config_yaml import dump
from renate.jobs.directory import JobDirectory
from renate.jobs.records import TOLD
from renate.jobs.running.execute import execute
from renate.launchers.sweeps.from_python import composed
from renate.state.versions import State
from tests.conftest import write_table

QUICK = {"trainer.max_epochs": 2, "model.hidden_sizes": [8]}
WEEKLY: dict[str, Any] = {
    **QUICK,
    "data": "files",
    "data.train": "new/*.parquet",
    "data.target": "label",
    "state.url": "./state",
    "optimizer.lr": 0.5,
}


def tensors(url: str | Path, name: str = "model.safetensors") -> dict[str, torch.Tensor]:
    state = State(str(url))
    manifest = state.newest()
    assert manifest is not None
    return load(bytes(state.read(manifest, name)))


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture
def week(workdir: Path) -> Path:
    """A folder with the first week's file in new/."""
    write_table(workdir / "new" / "a.parquet", seed=1)
    return workdir


def test_the_weekly_command(week: Path) -> None:
    with pytest.raises(NoVersionError, match="state.first=true"):
        renate.run(WEEKLY)
    first = renate.run(WEEKLY | {"state.first": True})
    assert (first.version, first.state_url) == (1, State("./state").url)
    assert first.metrics["test_accuracy"] > 0.8
    again = renate.run(WEEKLY)
    assert again.version == 1, "nothing changed: already published"
    assert State("./state").versions() == [1]
    assert renate.run(WEEKLY | {"state.first": True}).version == 1, "the very command that made it"
    with pytest.raises(ConfigError, match="state.first=true, but ./state holds version 1 already"):
        renate.run(WEEKLY | {"state.first": True, "resume": False})
    write_table(week / "new" / "b.parquet", seed=2, shift=0.3)
    with pytest.raises(ConfigError, match="state.first=true, but ./state holds version 1 already"):
        renate.run(WEEKLY | {"state.first": True})
    second = renate.run(WEEKLY)
    assert second.version == 2
    manifest = State("./state").manifest(2)
    assert manifest.parent is not None
    assert manifest.parent.version == 1
    assert not equal(
        tensors("./state"),
        load(bytes(State("./state").read(State("./state").manifest(1), "model.safetensors"))),
    )


@pytest.mark.slow
def test_a_state_moves_to_another_url(week: Path) -> None:
    renate.run(WEEKLY | {"state.first": True, "state.url": "./a"})
    write_table(week / "new" / "b.parquet", seed=2)
    moved = renate.run(WEEKLY | {"state.url": "./a", "state.next_url": "./b"})
    assert moved.version == 1
    shutil.rmtree(week / "a")
    State("./b").verify(1)
    write_table(week / "new" / "c.parquet", seed=3)
    assert renate.run(WEEKLY | {"state.url": "./b"}).version == 2


@pytest.mark.slow
def test_load_model_needs_no_config(week: Path) -> None:
    result = renate.run(WEEKLY | {"state.first": True})
    code = (
        "import renate, torch; model = renate.load_model('./state'); "
        "found = model.predict(torch.tensor([[1.0, 0.0], [-0.5, 0.87]])); "
        "print(model.labels, model.training, found, type(model.model).__name__)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=week
    ).stdout
    assert out.strip() == "[0, 1, 2] False [0, 1] MLP"
    assert result.version == 1


def test_the_same_seed_gives_the_same_bits(workdir: Path) -> None:
    overrides = {**QUICK, "updater": "derpp"}
    first = renate.run(overrides | {"run_dir": "./a"})
    second = renate.run(overrides | {"run_dir": "./b"})
    other = renate.run(overrides | {"run_dir": "./a", "seed": 1})
    assert first.job_dir.parent != second.job_dir.parent
    assert equal(tensors(first.state_url), tensors(second.state_url))
    assert not equal(tensors(first.state_url), tensors(other.state_url))
    names = {n for n in State(first.state_url).newest().files if n.startswith("memory/segment")}  # type: ignore[union-attr]
    assert names
    for name in names:
        assert equal(tensors(first.state_url, name), tensors(second.state_url, name))


def test_the_best_epoch_is_what_is_published(workdir: Path) -> None:
    # A learning rate that only falls apart later: the peak comes early.
    overrides = {
        "model.hidden_sizes": [16],
        "trainer.max_epochs": 6,
        "optimizer.lr": 3.0,
        "seed": 1,
    }
    result = renate.run(overrides)
    reports = [
        json.loads(line) for line in (result.job_dir / "metrics.jsonl").read_text().splitlines()
    ]
    accuracy = [report["val_accuracy"] for report in reports]
    best = accuracy.index(max(accuracy))
    assert best < len(accuracy) - 1, "the case needs a peak before the end"
    counts = json.loads((result.job_dir / "result.json").read_text())
    assert counts["counts"]["best_epoch"] == best + 1
    assert counts["value"] == max(accuracy)
    # The same run cut off right after its best epoch ends with the same weights.
    short = renate.run(overrides | {"trainer.max_epochs": best + 1, "objective.metric": None})
    assert equal(tensors(result.state_url), tensors(short.state_url))


def test_patience_ends_a_fit(workdir: Path) -> None:
    result = renate.run(
        {
            "model.hidden_sizes": [16],
            "trainer.max_epochs": 50,
            "trainer.patience": 2,
            "optimizer.lr": 3.0,
        }
    )
    assert 2 < len((result.job_dir / "metrics.jsonl").read_text().splitlines()) < 50


def test_a_new_label_is_an_error_or_grows_the_head(week: Path) -> None:
    renate.run(WEEKLY | {"state.first": True, "updater": "derpp"})
    write_table(week / "new" / "a.parquet", seed=2, classes=4)
    with pytest.raises(
        (JobError, DataError),
        match=r"labels \[3\] are new, the state knows \[0, 1, 2\]: model.grow=true",
    ):
        renate.run(WEEKLY | {"updater": "derpp"})
    result = renate.run(WEEKLY | {"updater": "derpp", "model.grow": True})
    assert result.version == 2
    assert renate.load_model("./state").labels == [0, 1, 2, 3]
    write_table(week / "new" / "a.parquet", seed=3, classes=4)
    assert renate.run(WEEKLY | {"updater": "derpp"}).version == 3


def test_another_architecture_is_named(week: Path) -> None:
    renate.run(WEEKLY | {"state.first": True})
    write_table(week / "new" / "b.parquet", seed=2)
    with pytest.raises(
        (JobError, StateError), match=r"tensor '.*' is \[8, 2\], this model's is \[9, 2\]"
    ):
        renate.run(WEEKLY | {"model.hidden_sizes": [9]})
    assert State("./state").versions() == [1]


def test_an_updater_finds_what_it_needs_in_the_memory(week: Path) -> None:
    renate.run(WEEKLY | {"state.first": True, "updater": "er"})
    write_table(week / "new" / "b.parquet", seed=2)
    with pytest.raises((JobError, StateError), match="logits"):
        renate.run(WEEKLY | {"updater": "derpp"})


def test_live_objects(workdir: Path) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.layer(inputs)  # type: ignore[no-any-return]

    inputs = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(inputs, (inputs[:, 0] > 0).long())
    net = Net()
    before = net.layer.weight.detach().clone()
    result = renate.run(
        {"trainer.max_epochs": 5, "optimizer.lr": 0.5},
        model=net,
        data={"train": data, "test": data},
    )
    assert result.metrics["test_accuracy"] > 0.95
    assert torch.equal(net.layer.weight, before), "a copy is trained"
    with pytest.raises(StateError, match=r"load_model\(url, model=net\)"):
        renate.load_model(result.state_url)
    assert renate.load_model(result.state_url, model=Net()).predict(
        torch.tensor([[3.0, 0.0], [-3.0, 0.0]])
    ) == [1, 0]
    with pytest.raises(ConfigError, match="expected the keys train and test, got 'validation'"):
        renate.run(data={"train": data, "validation": data})


def test_a_diverging_loss_publishes_nothing(workdir: Path) -> None:
    with pytest.raises(
        JobError,
        match=r"the loss is (nan|inf) at step \d+ with learning rate 1e\+20: nothing is published",
    ):
        renate.run(QUICK | {"optimizer.lr": 1e20, "state.url": "./state", "state.first": True})
    assert State("./state").newest() is None


def test_an_error_in_the_users_code_names_their_line(workdir: Path) -> None:
    (workdir / "my_broken.py").write_text(
        "from torch import nn\n\nclass Net(nn.Linear):\n    def forward(self, x):\n        return "
        "x.nix\n"
    )
    with pytest.raises(JobError, match=r"AttributeError: .*nix.* \(my_broken.py:5: return x.nix\)"):
        renate.run(
            {
                "model": "torch_module",
                "model._target_": "my_broken.Net",
                "+model.in_features": 64,
                "+model.out_features": 10,
            }
        )


def test_one_job_runs_in_one_place_at_a_time(workdir: Path) -> None:
    result = renate.run(QUICK)
    with (
        JobDirectory(result.job_dir).alone(),
        pytest.raises(JobError, match="this very job is running already"),
    ):
        renate.run({**QUICK, "resume": False})
    assert renate.run({**QUICK, "resume": False}).version == 1


def test_an_update_that_was_interrupted_when_it_had_published_is_not_published_twice(
    week: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody composes it anew and finds that out: a machine that is given back goes on
    with the same folder.
    """
    first = renate.run(WEEKLY | {"state.first": True})
    told = json.loads((first.job_dir / "result.json").read_text())
    monkeypatch.setattr(update, "fit", None)
    (first.job_dir / "result.json").unlink()
    again = execute(first.job_dir).to_json()
    assert again.pop("counts") | {"seconds": told["counts"]["seconds"]} == told.pop("counts")
    assert again | {"seconds": told["seconds"]} == told
    assert State("./state").versions() == [1]


def test_an_update_that_was_interrupted_before_it_published_is_not_trained_twice(
    week: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: Any) -> None:
        raise SystemExit

    _, job = composed(as_list(WEEKLY | {"state.first": True}))
    job.directory.prepare(dump(job.config), replace(job.record, publish=True))
    with monkeypatch.context() as patched:
        patched.setattr(update, "publish", dies)
        with pytest.raises(SystemExit):
            execute(job.directory.path)
    assert State("./state").versions() == []
    monkeypatch.setattr(update, "fit", None)
    heard: list[dict[str, Any]] = []
    assert execute(job.directory.path, heard.append).version == 1
    State("./state").verify(1)
    (told,) = [event["reports"] for event in heard if event["event"] == TOLD]
    assert told == [row.to_json() for row in job.directory.reports()], (
        "whoever follows from another machine may have missed some"
    )
    assert [row["epoch"] for row in told] == list(range(1, len(told) + 1))


def test_the_parent_is_measured_with_the_labels_that_it_knows(workdir: Path) -> None:
    """A grown head's fresh outputs would take examples from the old ones."""
    for name, classes, seed in (("one", 2, 0), ("two", 3, 1), ("old", 2, 2)):
        write_table(workdir / f"{name}.parquet", seed=seed, classes=classes, rows=200)
    asked = WEEKLY | {"data.train": "one.parquet", "data.test": "old.parquet", "data.val_size": 0}
    asked |= {"objective.metric": None, "model.grow": True}
    first = renate.run(asked | {"state.first": True})
    second = renate.run(asked | {"data.train": "two.parquet", "seed": 1})
    before = json.loads((second.job_dir / "result.json").read_text())["before"]
    assert before["test_accuracy"] == first.metrics["test_accuracy"]
