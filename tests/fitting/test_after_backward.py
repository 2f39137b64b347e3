"""An updater sees each step's gradients once: whole, unscaled, before they are clipped."""

from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.plugins.precision import MixedPrecision
from torch import Tensor, nn

from renate.data.batch import Batch, Batches, BatchTransform
from renate.fitting.epoch_loop import EpochLoop
from renate.fitting.learner import Learner
from renate.fitting.progress import Progress
from renate.updaters.base import Updater

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


class Halving(Updater):
    """Notes the gradients, and halves them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.steps = 0

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return F.cross_entropy(model(batch.inputs), batch.targets)

    def after_backward(self, model: nn.Module) -> None:
        weight: Any = model.weight
        assert len(self.seen) == self.steps, "once before each step"
        self.seen.append(weight.grad.clone())
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.grad.mul_(0.5)

    def after_step(self, model: nn.Module) -> None:
        self.steps += 1


def columns_of(rows: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "inputs": torch.rand(rows, 5, generator=generator),
        "targets": torch.randint(3, (rows,), generator=generator),
    }


def fitted(rate: float, *, batch_size: int, ours: bool, **settings: Any) -> tuple[Halving, Tensor]:
    """The updater after an epoch of plain SGD over 24 examples, and the weights."""
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    updater = Halving()
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **settings,
    )
    if ours:
        EpochLoop.replace(trainer)
    learner = Learner(model, updater, lambda p: torch.optim.SGD(p, lr=rate), None, Progress())
    trainer.fit(learner, Batches(columns_of(24), batch_size, BatchTransform()))
    return updater, model.weight.detach().clone()


def by_hand(rate: float, *, batch_size: int, limit: float | None = None) -> Tensor:
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    columns = columns_of(24)
    for begin in range(0, 24, batch_size):
        inputs = columns["inputs"][begin : begin + batch_size]
        targets = columns["targets"][begin : begin + batch_size]
        gradients = torch.autograd.grad(
            F.cross_entropy(model(inputs), targets), [*model.parameters()]
        )
        gradients = tuple(0.5 * each for each in gradients)
        if limit is not None:
            gradients = tuple(each.clamp(-limit, limit) for each in gradients)
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter -= rate * gradient
    return model.weight.detach().clone()


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("limit", [None, 0.01])
def test_gradients_may_be_changed_before_they_are_clipped(ours: bool, limit: float | None) -> None:
    settings: dict[str, Any] = {}
    if limit is not None:
        settings = {"gradient_clip_val": limit, "gradient_clip_algorithm": "value"}
    updater, weight = fitted(0.5, batch_size=4, ours=ours, **settings)
    assert len(updater.seen) == updater.steps == 6
    torch.testing.assert_close(weight, by_hand(0.5, batch_size=4, limit=limit))


def test_accumulated_batches_are_seen_as_one() -> None:
    updater, weight = fitted(0.5, batch_size=4, ours=True, accumulate_grad_batches=3)
    assert len(updater.seen) == updater.steps == 2
    torch.testing.assert_close(weight, by_hand(0.5, batch_size=12))


def test_scaled_gradients_are_seen_unscaled() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    plugin = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    updater, _ = fitted(0.5, batch_size=4, ours=True, plugins=[plugin])
    plain, _ = fitted(0.5, batch_size=4, ours=True)
    assert len(updater.seen) == 6
    for seen, expected in zip(updater.seen, plain.seen, strict=True):
        torch.testing.assert_close(seen, expected, atol=5e-3, rtol=0)
