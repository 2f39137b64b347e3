"""When two commands are the very same job."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import renate
from renate.jobs.directory import JobDirectory
from renate.jobs.records import JobResult
from renate.launchers.sweeps.from_python import composed
from renate.state.versions import State
from tests.conftest import write_table

QUICK = ["trainer.max_epochs=1", "model.hidden_sizes=[8]", "data.limit=200"]


def recipe(*overrides: str) -> str:
    launcher, job = composed(list(overrides))
    launcher.close()
    return job.record.recipe


def test_values_from_the_environment_count_and_are_not_told(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 'optimizer.lr="${oc.decode:${oc.env:LR}}"'
    found = []
    for value in ("0.1", "0.2", "0.1"):
        monkeypatch.setenv("LR", value)
        found.append(recipe(asked))
    assert found[0] == found[2] != found[1]

    monkeypatch.setenv("LR", "0.2")
    launcher, job = composed([asked])
    launcher.close()
    assert "0.2" not in json.dumps(
        {k: v for k, v in job.record.to_json().items() if k != "created"}
    )


def test_a_default_that_nobody_set_counts_as_its_value(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 'optimizer.lr="${oc.decode:${oc.env:LR,0.1}}"'
    monkeypatch.delenv("LR", raising=False)
    unset = recipe(asked)
    monkeypatch.setenv("LR", "0.3")
    assert recipe(asked) != unset


def test_where_the_data_lie_does_not_count_but_what_they_hold(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ['data.train="${oc.env:PLACE}/a.parquet"', "data=files", "data.target=label"]
    for name in ("one", "two"):
        write_table(workdir / name / "a.parquet", seed=1)
    found = []
    for name in ("one", "two"):
        monkeypatch.setenv("PLACE", f"./{name}")
        found.append(recipe(*asked))
    assert found[0] == found[1]
    write_table(workdir / "two" / "a.parquet", seed=2)
    assert recipe(*asked) != found[0]


def test_own_modules_count_with_all_that_they_import(workdir: Path) -> None:
    (workdir / "my_layers.py").write_text("WIDTH = 4\n")
    (workdir / "my_models.py").write_text(
        "from torch import nn\nfrom my_layers import WIDTH\nNet = nn.Identity\n"
    )
    asked = ["model=torch_module", "model._target_=my_models.Net"]
    before = recipe(*asked)
    assert recipe(*asked) == before
    (workdir / "my_layers.py").write_text("WIDTH = 5\n")
    assert recipe(*asked) != before


@pytest.mark.parametrize("folder", [False, True], ids=["a file", "a folder"])
def test_files_that_arguments_name_count(folder: bool, workdir: Path) -> None:
    path = workdir / "weights" / "backbone.pt"
    path.parent.mkdir()
    path.write_bytes(b"one")
    name = "./weights" if folder else "weights/backbone.pt"
    asked = ["model=torch_module", "model._target_=torch.nn.Identity", f"+model.path={name}"]
    before = recipe(*asked)
    path.write_bytes(b"two")
    assert recipe(*asked) != before


DATA = """
import numpy as np, torch
from torch.utils.data import Dataset

class Weekly(Dataset):
    def __init__(self):
        self.x = np.load("inbox.npy")
    def __len__(self):
        return len(self.x)
    def __getitem__(self, row):
        return torch.from_numpy(self.x[row]).float(), int(self.x[row, 0] > 0)
"""


def _write_inbox(seed: int) -> None:
    import numpy as np

    np.save("inbox.npy", np.random.default_rng(seed).normal(size=(200, 5)))


@pytest.mark.usefixtures("workdir")
def test_what_was_published_did_not_fail() -> None:
    """Word of the publication may have been lost; the folder said so for ever."""
    asked = [*QUICK, "state.url=./s"]
    first = renate.run([*asked, "state.first=true"])
    folder = JobDirectory(first.job_dir)
    folder.finish(JobResult.failure("connection lost"))

    again = renate.run(asked)
    assert (again.version, again.metrics) == (1, first.metrics)
    assert folder.result is not None
    assert folder.result.completed
    assert folder.result.error is None


def test_a_data_set_is_the_same_only_if_it_holds_the_same(workdir: Path) -> None:
    """No argument names the file: only reading it tells."""
    (workdir / "my_data.py").write_text(DATA)
    asked = [
        *QUICK[:2],
        "data=torch_dataset",
        "data.train={_target_:my_data.Weekly}",
        "state.url=./s",
    ]
    _write_inbox(0)
    assert renate.run([*asked, "state.first=true"]).version == 1
    assert renate.run(asked).version == 1, "the same content: already published"
    _write_inbox(1)
    assert renate.run(asked).version == 2


def test_a_stream_over_a_data_set_goes_on_only_with_the_same_data(workdir: Path) -> None:
    (workdir / "my_data.py").write_text(DATA)
    asked = [
        *QUICK[:2],
        "data=torch_dataset",
        "data.train={_target_:my_data.Weekly}",
        "job=stream",
        "scenario=iid",
    ]
    asked += ["scenario.chunks=2", "objective.metric=null"]
    _write_inbox(0)
    first = renate.run(asked)
    own = renate.run([*asked, "state.url=./s"])
    _write_inbox(1)
    again = renate.run(asked)
    assert again.matrix != first.matrix, "a state of its own begins anew"
    with pytest.raises(
        renate.errors.JobError, match="other data than data.train and data.test hold now"
    ):
        renate.run([*asked, "state.url=./s"])
    assert State("./s").versions() == [1, 2], own


def test_the_same_call_on_live_objects_is_already_published(workdir: Path) -> None:
    torch.manual_seed(0)
    inputs = torch.randn(200, 4)
    data: Any = TensorDataset(inputs, (inputs[:, 0] > 0).long())
    asked = ["trainer.max_epochs=1", "state.url=./s"]
    model = nn.Linear(4, 2)
    assert renate.run([*asked, "state.first=true"], model=model, data=data).version == 1
    for more in (["state.first=true"], []):
        assert renate.run([*asked, *more], model=model, data=data).version == 1
    other = TensorDataset(inputs + 1, (inputs[:, 0] > 0).long())
    assert renate.run(asked, model=model, data=other).version == 2


def test_an_update_starts_from_the_version_that_it_was_composed_for(workdir: Path) -> None:
    renate.run([*QUICK, "state.url=./s", "state.first=true"])
    launcher, job = composed([*QUICK, "seed=1", "state.url=./s", "state.next_url=./one"])
    renate.run([*QUICK, "seed=2", "state.url=./s"])
    assert launcher.run([job])[0].completed
    launcher.close()
    parent = State("./one").manifest().parent
    assert parent is not None
    assert parent.version == 1, "version 2 came in between"


@pytest.mark.slow
def test_an_older_version_can_be_the_start(workdir: Path) -> None:
    for seed in range(2):
        renate.run(
            [*QUICK, f"seed={seed}", "state.url=./s", *(["state.first=true"] if not seed else [])]
        )
    with pytest.raises(
        renate.errors.ConfigError, match="state.version=1: ./s has gone on to version 2"
    ):
        renate.run([*QUICK, "seed=2", "state.url=./s", "state.version=1"])
    renate.run([*QUICK, "seed=1", "state.url=./s", "state.version=1", "state.next_url=./again"])
    files = [State(url).manifest().files["model.safetensors"].sha256 for url in ("./s", "./again")]
    assert files[0] == files[1], "version 2, made once more"


def test_where_rows_lie_while_they_are_trained_on_does_not_count(workdir: Path) -> None:
    assert recipe("data.device=device") == recipe("data.device=cpu") == recipe()
    assert recipe("data.limit=100") != recipe()


FAILS = """
import pytorch_lightning as pl
class Fails(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise ValueError("no more")
"""


def test_a_checkpoint_says_which_data_it_was_made_from(workdir: Path) -> None:
    """So that one of other data, which a mirror may bring back, is not gone on with."""
    (workdir / "my_data.py").write_text(DATA + FAILS)
    asked = [
        *QUICK[1:2],
        "data=torch_dataset",
        "data.train={_target_:my_data.Weekly}",
        "trainer.max_epochs=2",
        "trainer.checkpoint_every=0.001",
        "+callbacks.fails._target_=my_data.Fails",
    ]
    _write_inbox(0)
    with pytest.raises(renate.errors.JobError, match="no more"):
        renate.run(asked)
    (job,) = {path.parent.resolve() for path in Path("runs").glob("*/checkpoint.pt")}
    read = json.loads((job / "content.json").read_text())["content"]
    assert read is not None
    for name in ("checkpoint.pt", "best.pt"):
        assert torch.load(job / name, weights_only=True)["content"] == read
