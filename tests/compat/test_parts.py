"""What a job is assembled from, by a config file's functions."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from renate.compat.files.data import DataModuleFn
from renate.compat.files.fit_parts import LRSchedulerFn, MetricFn, OptimizerFn
from renate.compat.files.module import ConfigFile
from renate.compat.files.parts import LossFn, ModelFn, Transform
from renate.errors import ConfigError, DataError, StateError
from tests.command import renate as command
from tests.compat.scripts import HERE, bring


@pytest.fixture
def full(workdir: Path) -> dict[str, Any]:
    """The config's node for a file that defines everything."""
    return {"path": str(bring("full", workdir, origin=HERE / "files"))}


def changed(node: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """The same for a file of another text."""
    path = Path(node["path"])
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return node


def source(node: dict[str, Any], **given: Any) -> DataModuleFn:
    settings = {
        "data_path": "data",
        "chunk_id": None,
        "module_seed": 0,
        "model": "renate.compat.files.parts.ModelFn",
        "test_size": 0.2,
        "batch_size": 32,
        "val_size": None,
        "limit": None,
    }
    return DataModuleFn(config_file=node, **(settings | given))


def test_models_get_their_arguments(full: dict[str, Any]) -> None:
    model = ModelFn(full | {"hidden": 5, "activation": "Tanh"}, "default_task")
    assert model(torch.rand(3, 64)).shape == (3, 10)
    net: Any = model.net
    assert net.get_predictor().in_features == 5
    assert isinstance(net.get_backbone()[2], nn.Tanh)


def test_models_begin_from_a_states_weights(full: dict[str, Any]) -> None:
    wide = ModelFn(full | {"hidden": 12}, "a task")
    model = ModelFn(full, "a task")
    model.begin_from(wide.state_dict())
    model.load_state_dict(wide.state_dict())
    inputs = torch.rand(4, 64)
    assert torch.equal(model(inputs), wide(inputs)), "as wide as the state's, not as the default"

    broken = {name: tensor for name, tensor in wide.state_dict().items() if "extra" not in name}
    with pytest.raises(StateError, match="model_fn can't load the state's weights: StateError"):
        model.begin_from(broken)


def test_losses_are_averaged(full: dict[str, Any]) -> None:
    outputs = torch.randn(6, 10)
    targets = torch.randint(10, (6,))
    loss = LossFn(full | {"smoothing": 0.3})(outputs, targets)
    assert torch.allclose(loss, F.cross_entropy(outputs, targets, label_smoothing=0.3))

    changed(full, 'reduction="none"', 'reduction="mean"')
    assert torch.allclose(LossFn(full)(outputs, targets), F.cross_entropy(outputs, targets))


def test_transforms_are_applied_item_by_item(full: dict[str, Any]) -> None:
    changed(
        full,
        "def test_transform",
        "def buffer_target_transform():\n    return lambda y: y + 1\n\n\ndef test_transform",
    )
    batch = torch.rand(3, 64)
    targets = torch.tensor([1, 2, 3])

    def made(part: str, of_targets: bool = False, **given: Any) -> Transform:
        return Transform(full | given, part=part, targets=of_targets)

    assert torch.allclose(made("stream", scale=2.0)(batch), batch / 2)
    assert torch.allclose(made("test", scale=4.0)(batch), batch / 4)
    assert torch.allclose(made("memory", scale=2.0)(batch), batch / 2), "that of training"
    assert made("memory", True)(targets).tolist() == [2, 3, 4]
    assert made("stream", True)(targets) is targets, "the file has none"

    ragged = changed(
        full,
        "return lambda x: x / scale\n\n\ndef buffer",
        "import itertools\n    count = itertools.count(1)\n    return lambda x: x[: next(count)]\n\n\ndef buffer",
    )
    with pytest.raises(ConfigError, match="train_transform: it gives items of 3 shapes"):
        Transform(ragged, part="stream", targets=False)(batch)


def test_optimizers(full: dict[str, Any]) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = OptimizerFn([parameter], full | {"rate": 0.25, "betas": [0.5, 0.6]})
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.6)
    assert optimizer.param_groups[0]["params"] == [parameter]

    changed(full, "return partial(torch.optim.Adam, lr=rate, betas=betas)", "return 'adam'")
    with pytest.raises(ConfigError, match="optimizer_fn returned a str"):
        OptimizerFn([parameter], full)


@pytest.mark.parametrize("interval", ["epoch", "step"])
def test_schedules_step_by_epoch_or_with_the_optimizer(full: dict[str, Any], interval: str) -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule: Any = LRSchedulerFn(optimizer, full | {"interval": interval})
    rates = []
    for _ in range(2):
        for _ in range(3):
            optimizer.step()
        schedule.step()  # as the Trainer does after each epoch
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == ([0.5, 0.25] if interval == "epoch" else [0.5**3, 0.5**6])

    again: Any = LRSchedulerFn(torch.optim.SGD([parameter], lr=1.0), full | {"interval": interval})
    again.load_state_dict(schedule.state_dict())
    assert again.state_dict() == schedule.state_dict()


def test_schedules_that_cant_be_right(full: dict[str, Any]) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ConfigError, match="returned the interval 'batch'"):
        LRSchedulerFn(optimizer, full | {"interval": "batch"})
    changed(full, "gamma=0.5), interval", "gamma=0.5)")
    with pytest.raises(ConfigError, match="lr_scheduler_fn returned a partial"):
        LRSchedulerFn(optimizer, full)


def test_metrics(full: dict[str, Any]) -> None:
    metric = MetricFn(full, "accuracy")
    metric.update(torch.eye(10), torch.arange(10))
    assert metric.compute() == 1
    with pytest.raises(
        ConfigError, match=r"no 'acuracy', did you mean 'accuracy'\? \(accuracy, f1\)"
    ):
        MetricFn(full, "acuracy")


def test_data_are_those_of_the_module(full: dict[str, Any]) -> None:
    data = source(full | {"rows": 100}).load(seed=0)
    assert len(data.train["targets"]) == 75
    assert data.val is not None
    assert len(data.val["targets"]) == 25, "val_size of the module"
    assert len(data.test["test"]["targets"]) == 297
    assert data.labels == list(range(10))

    other = source(full | {"rows": 100}, module_seed=1).load(seed=0)
    assert other.val is not None
    assert not torch.equal(other.val["inputs"], data.val["inputs"]), "its seed is passed on"


def test_targets_are_the_numbers_of_outputs(full: dict[str, Any]) -> None:
    changed(full, "y = torch.tensor(y)", "y = torch.tensor(y)\n        x, y = x[y > 6], y[y > 6]")
    changed(full, "x[1500:], y[1500:]", "x[300:], y[300:]")
    data = source(full).load(seed=0)
    assert set(data.train["targets"].tolist()) == {7, 8, 9}, "as they are, not renumbered"
    assert data.labels == list(range(10)), "as many as the model has outputs"

    own = source(full, model="renate.models.mlp.MLP").load(seed=0)
    assert own.labels == [7, 8, 9], "of another model: those that there are"

    changed(full, "64, 10, 0", "64, 8, 0")
    with pytest.raises(DataError, match="targets from 7 to 9, the model of model_fn has 8 outputs"):
        source(full).load(seed=0)


def test_without_test_data_validation_data_are_measured(full: dict[str, Any]) -> None:
    changed(full, "self._test_data =", "self.unused =")
    data = source(full).load(seed=0)
    assert data.val is not None
    assert torch.equal(data.test["test"]["inputs"], data.val["inputs"])
    assert any("test_… is measured on the validation data" in note for note in data.notes)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return Digits(data_path, rows, seed)", "return 3", "data_module_fn returned a int"),
        ("y = torch.tensor(y)", "y = torch.tensor(y) - 1", "targets from -1 to"),
        ("self._train_data, self._val_data =", "_, self._val_data =", "made no training data"),
        (
            "self._test_data =",
            "self._train_collate_fn = list\n        self._test_data =",
            r"\.train_collate_fn: this package makes batches itself",
        ),
    ],
)
def test_data_that_cant_be_right(full: dict[str, Any], old: str, new: str, message: str) -> None:
    changed(full, old, new)
    with pytest.raises((DataError, ConfigError), match=message):
        source(full).load(seed=0)


def test_chunks_that_would_all_be_the_same(full: dict[str, Any]) -> None:
    changed(full, "    chunk_id: Optional[int] = None,\n    seed", "    seed")
    source(full, chunk_id=0)
    with pytest.raises(ConfigError, match="takes no chunk_id, so every chunk would be the same"):
        source(full, chunk_id=1)


def test_validation_sizes_are_the_modules(full: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="data.val_size=0.1: the data module says"):
        source(full, val_size=0.1)


def test_a_tuner_without_validation_data_is_told_how_to_add_it(
    full: dict[str, Any], workdir: Path
) -> None:
    changed(full, "val_size=0.25", "val_size=0.0")
    done = command(
        *("config_file=full.py", "hidden=int(interval(4,8))", "tuner=random", "tuner.max_trials=1"),
        cwd=workdir,
        code=1,
    )
    assert "a tuner chooses by validation data, and there are none" in done.stderr
    assert "val_size of a config file's data module" in done.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"hiden": 3}, "config_file.hiden=3: no function of .* has such an argument, did you mean"),
        ({"hidden": "3"}, "config_file.hidden='3': model_fn expects a int"),
    ],
)
def test_arguments_that_cant_be_right(
    full: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ConfigFile(full | more)


def test_a_file_that_fails(full: dict[str, Any]) -> None:
    changed(full, '"""A config file', 'import nothing_of_that_name\n"""A config file')
    with pytest.raises(ConfigError, match="importing it failed: ModuleNotFoundError"):
        ModelFn(full, "default_task")
