"""Our loop over an epoch takes the steps that Lightning's takes."""

from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from renate.data.batch import Batches, BatchTransform
from renate.errors import JobError
from renate.fitting.epoch_loop import EpochLoop
from renate.fitting.learner import Learner, Schedule
from renate.fitting.progress import Progress
from renate.updaters.fine_tuning import FineTuning

# Lightning's own greetings, and what it does with torch's trees; a job hushes them too.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


class Counter(pl.Callback):
    """Ours: hears of each step, and notes what it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int, int, float]] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, index: int
    ) -> None:
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.seen.append((trainer.current_epoch, index, trainer.global_step, rate))
        assert trainer.is_last_batch == (index == 7)
        assert float(outputs["loss"]) > 0


class Other(pl.Callback):
    """A user's: hears of each step, too."""

    def on_train_batch_start(self, *_: Any) -> None:
        self.heard = True


class Logging(pl.Callback):
    """A user's that only hears of epochs, and logs."""

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        module.log("mine", float(trainer.current_epoch))


class Stopping(pl.Callback):
    """Ours: ends the fit within the second epoch."""

    def on_train_batch_end(
        self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, index: int
    ) -> None:
        if trainer.global_step == 11:
            trainer.should_stop = True


def fitted(
    *callbacks: pl.Callback,
    optimizer: Callable[[Any], torch.optim.Optimizer] = lambda p: torch.optim.SGD(
        p, lr=0.1, momentum=0.9
    ),
    scheduler: Any = None,
    interval: str = "step",
    replaced: bool = True,
    replays: bool = False,
    **settings: Any,
) -> tuple[list[Tensor], pl.Trainer, int]:
    """Weights after a fit of 3 epochs of 8 batches, the trainer, and how many epochs our loop
    ran itself.
    """
    generator = torch.Generator().manual_seed(0)
    columns = {
        "inputs": torch.rand(78, 5, generator=generator),
        "targets": torch.randint(3, (78,), generator=generator),
    }
    torch.manual_seed(0)
    model = nn.Linear(5, 3)
    updater = FineTuning()
    updater.criterion = nn.CrossEntropyLoss()
    updater.replays = replays
    settings = {"max_epochs": 3, "accelerator": "cpu", "devices": 1} | settings
    trainer = pl.Trainer(
        **settings,
        callbacks=[*callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        use_distributed_sampler=False,
    )
    ran = []
    if replaced:
        EpochLoop.replace(trainer, Counter, Stopping)
        loop: Any = trainer.fit_loop.epoch_loop
        steps = loop._run_steps
        loop._run_steps = lambda: (ran.append(True), steps())
    schedule = None if scheduler is None else Schedule(scheduler, interval)
    learner = Learner(model, updater, optimizer, schedule, Progress())
    batches = Batches(columns, 10, BatchTransform(), torch.Generator().manual_seed(1))
    trainer.fit(learner, batches)
    return [p.detach().clone() for p in model.parameters()], trainer, len(ran)


@pytest.mark.parametrize("replaced", [True, False])
def test_a_batch_is_offered_to_a_memory_once_a_step(replaced: bool) -> None:
    def several(parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(parameters, lr=0.1, max_iter=3)

    with pytest.raises(JobError, match=r"LBFGS computes the loss \d+ times a step, and FineTuning"):
        fitted(optimizer=several, replays=True, replaced=replaced)

    class Own(torch.optim.SGD):
        """Of the user's: computes it once."""

    fitted(optimizer=lambda p: Own(p, lr=0.1), replays=True, replaced=replaced, max_steps=3)
    whole = {"replays": True, "replaced": replaced, "accumulate_grad_batches": 3}
    fitted(optimizer=lambda p: Own(p, lr=0.1), **whole)


def decaying(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, 3, gamma=0.5)


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "adam": {"optimizer": lambda p: torch.optim.Adam(p, lr=0.01)},
    "one that calls the closure": {"optimizer": lambda p: torch.optim.LBFGS(p, lr=0.1, max_iter=3)},
    "clipped by norm": {"gradient_clip_val": 0.01},
    "clipped by value": {"gradient_clip_val": 0.001, "gradient_clip_algorithm": "value"},
    "a rate by steps": {"scheduler": decaying},
    "a rate by epochs": {"scheduler": decaying, "interval": "epoch"},
    "ended within an epoch": {"max_steps": 13},
    "ended by an epoch": {"max_steps": 16},
    "bfloat16": {"precision": "bf16-mixed"},
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_weights(case: str) -> None:
    ours = Counter()
    theirs = Counter()
    weights, trainer, ran = fitted(ours, **CASES[case])
    expected, other, _ = fitted(theirs, replaced=False, **CASES[case])
    assert ran >= 2
    assert all(torch.equal(one, two) for one, two in zip(weights, expected, strict=True))
    assert ours.seen == theirs.seen
    assert (trainer.global_step, trainer.current_epoch) == (other.global_step, other.current_epoch)


def test_what_ends_a_fit_ends_it_after_the_same_step() -> None:
    ours = Counter()
    theirs = Counter()
    _, trainer, ran = fitted(ours, Stopping())
    fitted(theirs, Stopping(), replaced=False)
    assert ran == 2
    assert trainer.global_step == 11
    assert ours.seen == theirs.seen


@pytest.mark.parametrize(
    ("callback", "settings"),
    [(Other(), {}), (None, {"accumulate_grad_batches": 2})],
    ids=["a user's callback", "accumulated gradients"],
)
def test_lightning_runs_what_others_hear_of(
    callback: pl.Callback | None, settings: dict[str, Any]
) -> None:
    given = [callback] if callback is not None else []
    weights, _, ran = fitted(*given, **settings)
    expected, _, _ = fitted(*given, replaced=False, **settings)
    assert ran == 0
    assert all(torch.equal(one, two) for one, two in zip(weights, expected, strict=True))


def test_who_hears_of_epochs_may_log() -> None:
    _, trainer, ran = fitted(Counter(), Logging())
    assert ran == 3
    assert float(trainer.callback_metrics["mine"]) == 2.0
