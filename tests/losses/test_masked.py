"""Which losses are ones among some of the classes."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.errors import ConfigError
from renate.losses.focal import Focal
from renate.losses.masked import check_masking
from tests.updaters.small_fit import Small, columns_of


class OneAgainstAll(nn.Module):
    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        wanted = F.one_hot(targets, logits.shape[1]).to(logits)
        return F.binary_cross_entropy_with_logits(logits, wanted)


class Squared(nn.Module):
    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(logits, F.one_hot(targets, logits.shape[1]).to(logits))


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight=torch.ones(4, dtype=torch.float64)),
        Focal(2.0),
        Focal(0.5, torch.tensor([1.0, 2.0, 3.0, 4.0])),
        nn.MultiMarginLoss(),
        OneAgainstAll(),
    ],
)
def test_these_are(loss: nn.Module) -> None:
    check_masking(loss, 4, "key")


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (nn.CrossEntropyLoss(label_smoothing=0.001), r"loss\.label_smoothing=0"),
        (Squared(), "Squared wants something of each class"),
        (nn.NLLLoss(), "in NLLLoss classes don't compete"),
    ],
)
def test_these_are_not(loss: nn.Module, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        check_masking(loss, 1000, "key")

    small = Small.of("er_ace")
    small.updater.criterion = loss
    with pytest.raises(ConfigError, match=f"updater=er_ace: .*{text}"):
        small.updater.start(small.model, columns_of(1))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_er_ace_by_the_focal_loss_is_that_among_the_batchs_classes(gamma: float) -> None:
    small = Small.of("er_ace")
    small.updater.criterion = Focal(gamma)
    columns = columns_of(1, classes=2)
    batch = next(small.batches(columns, 24))
    found = small.updater.loss(small.model, batch)
    wanted = Focal(gamma)(small.model(batch.inputs)[:, :2], batch.targets)
    torch.testing.assert_close(found, wanted)
    found.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in small.model.parameters())
