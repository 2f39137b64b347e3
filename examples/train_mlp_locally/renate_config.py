"""A config file: a perceptron on scikit-learn's digits, whose classes come in two chunks."""

from collections.abc import Callable
from typing import Optional

import torch
import torchmetrics
from sklearn.datasets import load_digits
from torch.utils.data import TensorDataset

from renate import defaults
from renate.benchmark.models.mlp import MultiLayerPerceptron
from renate.benchmark.scenarios import ClassIncrementalScenario, Scenario
from renate.data.data_module import RenateDataModule
from renate.models import RenateModule


class Digits(RenateDataModule):
    """1,797 handwritten digits of 8×8."""

    def prepare_data(self) -> None:
        """They come with scikit-learn."""

    def setup(self) -> None:
        """The last 297 are for testing."""
        inputs, targets = load_digits(return_X_y=True)
        inputs = torch.tensor(inputs, dtype=torch.float32)
        targets = torch.tensor(targets)
        train = TensorDataset(inputs[:1500], targets[:1500])
        self._train_data, self._val_data = self._split_train_val_data(train)
        self._test_data = TensorDataset(inputs[1500:], targets[1500:])


def data_module_fn(data_path: str, chunk_id: int, seed: int = defaults.SEED) -> Scenario:
    """Digits 0 to 4 first, then 5 to 9."""
    return ClassIncrementalScenario(
        data_module=Digits(data_path, val_size=0.1, seed=seed),
        groupings=[[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]],
        chunk_id=chunk_id,
    )


def model_fn(model_state_url: Optional[str] = None) -> RenateModule:  # noqa: UP045
    """A perceptron, as the state has it where there is one."""
    if model_state_url is None:
        return MultiLayerPerceptron(
            num_inputs=64, num_outputs=10, num_hidden_layers=1, hidden_size=64
        )
    return MultiLayerPerceptron.from_state_dict(torch.load(model_state_url))


def loss_fn() -> torch.nn.Module:
    """Cross entropy, a value for each example."""
    return torch.nn.CrossEntropyLoss(reduction="none")


def metrics_fn() -> dict[str, torchmetrics.Metric]:
    """What is measured besides the loss."""
    return {"accuracy": torchmetrics.classification.MulticlassAccuracy(10, average="micro")}


def train_transform() -> Callable[[torch.Tensor], torch.Tensor]:
    """Pixels are 0 to 16."""
    return lambda image: image / 16


def test_transform() -> Callable[[torch.Tensor], torch.Tensor]:
    """The same for what is measured."""
    return lambda image: image / 16
