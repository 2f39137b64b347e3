"""Model updaters in a script of one's own: the same jobs, on what the script has at hand."""

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset, TensorDataset

from renate.benchmark.models import MultiLayerPerceptron
from renate.compat.finder import TABLE, UPDATERS
from renate.compat.space.methods import METHODS
from renate.compat.updaters import by_method
from renate.errors import ConfigError, RenateError
from renate.models import RenateModule
from renate.models.renate_module import RenateWrapper
from renate.state.versions import State
from renate.training import run_training_job
from renate.updaters.experimental.er import ExperienceReplayModelUpdater
from renate.updaters.experimental.fine_tuning import FineTuningModelUpdater
from renate.updaters.model_updater import ModelUpdater, SimpleModelUpdater
from tests.command import workers_kept_warm
from tests.compat.scripts import run_script
from tests.conftest import ROOT

CONFIG = """
import torch
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

from renate.benchmark.models import MultiLayerPerceptron
from renate.data.data_module import RenateDataModule


class Digits(RenateDataModule):
    def prepare_data(self):
        pass

    def setup(self):
        x, y = load_digits(return_X_y=True)
        x = torch.tensor(x, dtype=torch.float32) / 16
        self._train_data = TensorDataset(x[:100], torch.tensor(y[:100]))
        self._val_data = TensorDataset(x[100:140], torch.tensor(y[100:140]))


def model_fn(model_state_url=None):
    return MultiLayerPerceptron.from_state_dict(torch.load(model_state_url or "init.ckpt"))


def data_module_fn(data_path):
    return Digits(data_path)
"""


@pytest.fixture(autouse=True)
def _warm() -> Iterator[None]:
    with workers_kept_warm():
        yield


def digits(begin: int, end: int) -> Dataset[Any]:
    inputs, targets = load_digits(return_X_y=True)
    scaled = torch.tensor(inputs, dtype=torch.float32) / 16
    return TensorDataset(scaled[begin:end], torch.tensor(targets[begin:end]))


def weights(net: nn.Module) -> dict[str, Tensor]:
    return {name: each for name, each in net.state_dict().items() if "extra" not in name}


def test_it_is_the_job_that_a_config_file_asks_for(workdir: Path) -> None:
    """Bit for bit the same weights, in the script's own model and beside the state."""
    model = MultiLayerPerceptron(64, 10, 0, 8)
    torch.save(model.state_dict(), "init.ckpt")
    Path("config.py").write_text(CONFIG)
    space = {"optimizer": "SGD", "learning_rate": 0.5, "memory_size": 20, "batch_size": 20}
    run_training_job(
        config_space=space,
        mode="max",
        metric="val_accuracy",
        max_epochs=2,
        config_file="config.py",
        output_state_url="by_call",
        seed=3,
    )

    before = {name: each.clone() for name, each in weights(model).items()}
    updater = ExperienceReplayModelUpdater(
        model,
        nn.CrossEntropyLoss(reduction="none"),
        max_epochs=2,
        metric="val_accuracy",
        mode="max",
        output_state_folder="by_script",
        seed=3,
        **space,
    )
    returned = updater.update(digits(0, 100), digits(100, 140))

    assert returned is model
    called = torch.load("by_call/model.ckpt", weights_only=True)
    written = torch.load("by_script/model.ckpt", weights_only=True)
    for name, each in weights(model).items():
        assert torch.equal(each, called[name])
        assert torch.equal(each, written[name])
    assert any(not torch.equal(each, before[name]) for name, each in weights(model).items())
    assert not list(Path("renate_working_dir/live").glob("*.pkl")), "nothing is left lying about"


def test_the_next_update_goes_on(workdir: Path) -> None:
    """From the weights and the memory that the first one left; without a folder for it too."""
    model = RenateWrapper(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    updater = ExperienceReplayModelUpdater(
        model,
        nn.CrossEntropyLoss(),
        partial(torch.optim.SGD, lr=0.5),
        max_epochs=1,
        memory_size=30,
    )
    updater.update(digits(0, 100), digits(100, 120))
    updater.update(digits(200, 250), digits(250, 270))

    assert updater._output is not None
    state = State(updater._output)
    assert state.versions() == [1, 2]
    kept = json.loads(bytes(state.read(state.manifest(), "memory/meta.json")))
    assert kept["count"] == 150, "the memory was offered the examples of both"
    first = torch.load(Path(state.url) / "model.ckpt", weights_only=True)
    assert all(torch.equal(each, first[name]) for name, each in weights(model).items())

    onward = FineTuningModelUpdater(
        RenateWrapper(nn.Sequential(nn.Flatten(), nn.Linear(64, 10))),
        nn.CrossEntropyLoss(),
        max_epochs=1,
        input_state_folder=state.url,
        output_state_folder="third",
    )
    onward.update(digits(300, 340), digits(340, 350))
    parent = State("third").manifest().parent
    assert parent is not None
    assert (parent.url, parent.version) == (state.url, 2)


SCRIPT = """
from functools import partial

import torch
import torchmetrics
from pytorch_lightning.loggers import CSVLogger
from sklearn.datasets import load_digits
from torch import nn

from renate.models.renate_module import RenateWrapper
from renate.updaters.experimental.fine_tuning import FineTuningModelUpdater
from renate.utils.optimizer import create_partial_optimizer


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, left, right):
        return (self.layer(torch.cat([left, right], 1)),)


class Named(torch.utils.data.Dataset):
    def __init__(self, begin, end):
        inputs, targets = load_digits(return_X_y=True)
        self.inputs = torch.tensor(inputs[begin:end], dtype=torch.float32)
        self.targets = targets[begin:end]

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        image = self.inputs[index]
        return {"left": image[:32], "right": image[32:]}, self.targets[index]


def scaled(item):
    assert all(half.shape == (32,) for half in item.values())
    return {name: half / 16 for name, half in item.items()}


updater = FineTuningModelUpdater(
    RenateWrapper(Halves()),
    nn.CrossEntropyLoss(reduction="none", label_smoothing=0.1),
    create_partial_optimizer("SGD", lr=0.5, momentum=0.5),
    learning_rate_scheduler=partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5),
    train_transform=scaled,
    test_transform=scaled,
    logged_metrics={"f1": torchmetrics.classification.MulticlassF1Score(num_classes=10)},
    metric="val_f1",
    mode="max",
    logger=CSVLogger("logs", name="mine", version="a"),
    batch_size=10,
    max_epochs=3,
)
updater.update(Named(0, 100), Named(100, 140))
"""


def test_everything_that_a_script_may_give(
    workdir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Classes of the script's own, transforms of mappings, loss, schedule, metrics, a logger."""
    Path("script.py").write_text(SCRIPT)
    run_script(Path("script.py"))

    found = [float(text) for text in re.findall(r"val_f1=([0-9.]+)", capfd.readouterr().err)]
    assert len(found) == 3
    assert max(found) > 0.5, "it has learned, so its inputs were scaled"
    assert "train_loss" in Path("logs/mine/a/metrics.csv").read_text()


def test_the_page(workdir: Path) -> None:
    shutil.copy(ROOT / "examples/custom_training_script/train.py", workdir)
    made = run_script(workdir / "train.py")
    saved = torch.load("model_weights.pt", weights_only=True)
    kept = torch.load("renate_output/model.ckpt", weights_only=True)
    assert all(torch.equal(saved[name], each) for name, each in kept.items())
    assert all(torch.equal(each, kept[name]) for name, each in weights(made["model"]).items())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda net: ModelUpdater(net, nn.CrossEntropyLoss()), "ModelUpdater has no method"),
        (
            lambda net: FineTuningModelUpdater(net, nn.CrossEntropyLoss(), "Adagrad"),
            "'optimizer'.='Adagrad': expected one of Adam, SGD",
        ),
        (
            lambda net: FineTuningModelUpdater(net, nn.CrossEntropyLoss(), memory_sise=3),
            "'memory_sise'.=3: neither a key of updater='FineTuning' nor",
        ),
        (
            lambda net: by_method.SPeftModelUpdater(net, nn.CrossEntropyLoss()),
            "model: RenateWrapper takes no prompts: model=vit for images",
        ),
        (lambda net: FineTuningModelUpdater("net", nn.CrossEntropyLoss()), "model is a str"),
        (lambda net: FineTuningModelUpdater(net, "loss"), "loss_fn returned a str"),
        (
            lambda net: FineTuningModelUpdater(net, nn.CrossEntropyLoss(), logger="csv"),
            "logger: expected one of Lightning's",
        ),
    ],
)
def test_what_cant_be_right(workdir: Path, make: Any, message: str) -> None:
    with pytest.raises(RenateError, match=message):
        make(RenateWrapper(nn.Linear(64, 10))).update(digits(0, 40), digits(40, 60))


def test_batches_of_ones_own_are_refused(workdir: Path) -> None:
    updater = FineTuningModelUpdater(nn.Linear(64, 10), nn.CrossEntropyLoss())
    with pytest.raises(ConfigError, match="val_dataset_collate_fn: this package makes batches"):
        updater.update(digits(0, 40), val_dataset_collate_fn=list)


def test_every_method_has_its_class_under_its_old_path() -> None:
    classes = {
        each.method for each in vars(by_method).values() if getattr(each, "method", "") != ""
    }
    assert classes == {method.name for method in METHODS}
    assert sum(place.startswith(UPDATERS) for place in TABLE.values()) == 10
    assert issubclass(SimpleModelUpdater, ModelUpdater)
    assert issubclass(RenateWrapper, RenateModule)
    assert len(Subset(digits(0, 4), [1])) == 1
