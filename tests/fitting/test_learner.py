"""Measuring leaves a model as it was; a value that is no number beats nothing."""

import math

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MeanSquaredError
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix

from renate.data.batch import Batches, BatchTransform
from renate.errors import ConfigError, JobError
from renate.fitting.measure import Measure
from renate.fitting.measured.values import number_of
from renate.fitting.progress import Progress
from renate.fitting.trainer import lengths, limit_of
from renate.jobs.checks.probe import materialise, probe
from renate.models.grow import carry
from renate.problems.classification import Classification
from renate.problems.regression import Regression
from renate.ranks import ALONE
from renate.threads import Threads
from renate.updaters.base import Updater

COLUMNS = {"inputs": torch.randn(8, 4), "targets": torch.arange(8) % 3}


class Plain(Updater):
    """The loss alone."""

    def loss(self, model: nn.Module, batch: object) -> Tensor:
        raise NotImplementedError


class Cached(nn.Module):
    """Frozen statistics, a counter, and a table kept from the first forward."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4).eval()
        self.head = nn.Linear(4, 3)
        self.register_buffer("calls", torch.tensor(0))
        self.table: Tensor | None = None

    def forward(self, inputs: Tensor) -> Tensor:
        self.calls += 1
        if self.table is None:
            self.table = torch.arange(4).cos()
        logits: Tensor = self.head(self.norm(inputs) * self.table)
        return logits


def updater() -> Plain:
    made = Plain()
    made.criterion = nn.CrossEntropyLoss()
    return made


def test_measuring_leaves_modes_buffers_and_tensors_as_they_were() -> None:
    model = Cached()
    measure = Measure(
        {"accuracy": MulticlassAccuracy(3)},
        nn.CrossEntropyLoss(),
        BatchTransform(),
        4,
        Classification(),
    )
    measure(model, updater(), COLUMNS)
    assert model.training
    assert not model.norm.training
    assert int(model.calls) == 0  # type: ignore[arg-type]
    model(COLUMNS["inputs"]).sum().backward()


def test_batches_that_are_measured_together_count_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Linear(4, 3)
    columns = {"inputs": torch.randn(50, 4), "targets": torch.arange(50) % 3}
    measure = Measure(
        {"accuracy": MulticlassAccuracy(3)},
        nn.CrossEntropyLoss(),
        BatchTransform(),
        7,
        Classification(),
    )
    measure.threads = Threads(most=torch.get_num_threads())
    together = measure(model, updater(), columns, [0, 2])
    monkeypatch.setattr("renate.fitting.measure.TOGETHER", 0)
    apart = measure(model, updater(), columns, [0, 2])
    assert together == pytest.approx(apart, abs=1e-6)
    whole = nn.functional.cross_entropy(model(columns["inputs"]), columns["targets"]).detach()
    assert together["loss"] == pytest.approx(float(whole), abs=1e-6)


def test_the_loss_of_weighted_classes_is_that_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are measured at a time: rows of heavy classes count more in every part."""
    monkeypatch.setattr("renate.fitting.measure.TOGETHER", 0)
    model = nn.Linear(4, 3)
    columns = {"inputs": torch.randn(50, 4), "targets": torch.arange(50) // 17}
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 30.0]))
    measure = Measure({}, criterion, BatchTransform(), 7, Classification())
    whole = criterion(model(columns["inputs"]), columns["targets"]).detach()
    assert measure(model, updater(), columns)["loss"] == pytest.approx(float(whole))


def test_classes_without_a_weight_have_no_loss() -> None:
    columns = {"inputs": torch.randn(5, 4), "targets": torch.zeros(5, dtype=torch.int64)}
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([0.0, 1.0, 1.0]))
    measure = Measure({}, criterion, BatchTransform(), 7, Classification())
    with pytest.raises(JobError, match=r"loss\.weight is 0 for every class that these data have"):
        measure(nn.Linear(4, 3), updater(), columns)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_loss_is_measured_in_32_bits(dtype: torch.dtype) -> None:
    """Also of a model in 16: their sum would overflow, or keep three digits."""
    columns = {"inputs": torch.full((3000, 4), 40.0), "targets": torch.arange(3000) % 3}
    model = nn.Linear(4, 3)
    nn.init.zeros_(model.bias)
    nn.init.zeros_(model.weight)
    nn.init.constant_(model.weight[0], 0.5)
    weight = torch.tensor([1.0, 1.25, 2.0])
    with torch.no_grad():
        whole = nn.functional.cross_entropy(model(columns["inputs"]), columns["targets"], weight)
    criterion = nn.CrossEntropyLoss(weight=weight).to(dtype)
    measure = Measure({}, criterion, BatchTransform(dtype=dtype), 512, Classification())
    found = measure(model.to(dtype), updater(), columns)["loss"]
    assert found == pytest.approx(float(whole))
    assert criterion.weight.dtype == dtype, "what trains keeps its precision"


def test_answers_are_measured_against_targets_as_they_are() -> None:
    """Also where the model's numbers have 16 bits, which this target hasn't."""
    columns = {"inputs": torch.ones(4, 1), "targets": torch.full((4, 1), 1.001)}
    transform = BatchTransform(dtype=torch.bfloat16)
    metric = MeanSquaredError(squared=False)
    problem = Regression(standardise=False)
    problem.restore(["size"], {"mean": [0.0], "scale": [1.0]})
    measure = Measure({"rmse": metric}, nn.MSELoss(), transform, 2, problem)
    found = measure(nn.Identity(), updater(), columns)
    assert found == pytest.approx({"rmse": 0.001, "loss": 1e-6}, rel=1e-2)
    assert transform(columns).targets.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_mean_of_many_losses_in_16_bits(dtype: torch.dtype) -> None:
    progress = Progress()
    for _ in range(5000):
        progress.count(torch.tensor(0.75, dtype=dtype), 1)
    assert progress.mean_loss(ALONE) == 0.75


def test_examples_before_an_interruption_are_told_apart() -> None:
    """The seconds that a speed is taken of are those of the rest."""
    before = Progress()
    before.count(torch.tensor(0.5), 32)
    progress = Progress()
    progress.revert(before.snapshot(), torch.device("cpu"))
    progress.count(torch.tensor(0.5), 8)
    assert progress.examples - progress.examples_before == 8


def test_a_metric_of_several_values_is_named() -> None:
    with pytest.raises(
        JobError, match=r"metrics\.confusion gives values of shape \[3, 3\], expected one number"
    ):
        number_of("confusion", MulticlassConfusionMatrix(3)(torch.eye(3), torch.arange(3)))


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_value_that_is_no_number_is_worse_than_any(mode: str) -> None:
    progress = Progress()
    assert not progress.consider(math.nan, 1, mode)
    assert progress.undefined
    assert progress.consider(0.5, 2, mode)
    assert not progress.undefined
    assert not any(progress.consider(odd, 3, mode) for odd in (math.nan, math.inf, -math.inf))
    assert (progress.best, progress.best_epoch) == (0.5, 2)


@pytest.mark.parametrize(("mode", "better", "worse"), [("max", 0.6, 0.4), ("min", 0.4, 0.6)])
def test_only_a_better_value_is_the_best(mode: str, better: float, worse: float) -> None:
    progress = Progress()
    assert progress.consider(0.5, 1, mode)
    assert not progress.consider(worse, 2, mode)
    assert not progress.consider(0.5, 3, mode), "an equal one came first"
    assert progress.consider(better, 4, mode)
    assert progress.best_epoch == 4


def test_a_progress_counts_on_from_its_snapshot() -> None:
    progress = Progress()
    for loss in (1.0, 2.0):
        progress.count(torch.tensor(loss), 8)
    progress.consider(0.5, 1, "max")
    saved = progress.snapshot()
    progress.count(torch.tensor(9.0), 8)

    later = Progress()
    later.revert(saved, torch.device("cpu"))
    assert (later.batches, later.examples, later.best, later.best_epoch) == (2, 16, 0.5, 1)
    assert later.mean_loss(ALONE) == 1.5
    assert later.mean_loss(ALONE) == 0.0, "of no batch since"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((5, -1, 1), (5, 205)),
        ((5, -1, 4), (5, 55)),
        ((5, 1000, 1), (5, 205)),
        ((50, 100, 1), (3, 100)),
    ],
)
def test_lengths_of_a_fit(settings: tuple[int, int, int], expected: tuple[int, int]) -> None:
    names = ("max_epochs", "max_steps", "accumulate_grad_batches")
    assert lengths(dict(zip(names, settings, strict=True)), 41) == expected


def test_limits_of_an_epoch() -> None:
    assert limit_of({"limit_train_batches": 0.5}, 9) == 4
    with pytest.raises(ConfigError, match=r"limit_train_batches=0\.01: expected"):
        limit_of({"limit_train_batches": 0.01}, 9)
    with pytest.raises(ConfigError, match=r"limit_train_batches=True: expected a number"):
        limit_of({"limit_train_batches": True}, 9)


@pytest.mark.parametrize(
    ("rows", "sizes"), [(97, [32, 32, 33]), (96, [32] * 3), (98, [32, 32, 32, 2]), (1, [1])]
)
def test_a_last_row_joins_the_batch_before(rows: int, sizes: list[int]) -> None:
    columns = {"inputs": torch.arange(rows), "targets": torch.arange(rows)}
    batches = Batches(columns, 32, BatchTransform(), torch.Generator().manual_seed(0))
    found = list(batches)
    assert [len(batch) for batch in found] == sizes
    assert len(batches) == len(sizes)
    assert torch.equal(torch.cat([b.inputs for b in found]).sort().values, torch.arange(rows))
    batches.limit = 1
    assert len(list(batches)) == len(batches) == 1


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (nn.Linear(4, 2), r"gives \[8, 2\] for 8 examples, expected outputs of shape \[B, 3\]"),
        (nn.LSTM(4, 3), "gives a tuple, expected outputs"),
        (nn.Linear(4, 3, dtype=torch.complex64), "which a version can't keep"),
    ],
)
def test_what_no_update_can_use_is_refused_before_it(model: nn.Module, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        probe(model, updater(), BatchTransform()(COLUMNS), (3,))


def test_a_probe_leaves_everything_as_it_was() -> None:
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 3))
    before = torch.get_rng_state()
    probe(model, updater(), BatchTransform()(COLUMNS), (3,))
    assert torch.equal(before, torch.get_rng_state())
    assert all(part.training for part in model.modules())


def test_weights_of_a_loss_must_be_as_many_as_labels() -> None:
    made = updater()
    made.criterion = nn.CrossEntropyLoss(weight=torch.ones(2))
    with pytest.raises(ConfigError, match=r"loss\.weight has 2 values, the data 3 labels"):
        probe(nn.Linear(4, 3), made, BatchTransform()(COLUMNS), (3,))


def test_lazy_modules_take_their_shapes() -> None:
    model = materialise(nn.Sequential(nn.LazyLinear(5), nn.Linear(5, 3)), COLUMNS["inputs"])
    assert model.get_parameter("0.weight").shape == (5, 4)


def test_an_updaters_state_grows_and_leaves_the_loss_out() -> None:
    small = updater()
    large = updater()
    small.criterion = nn.CrossEntropyLoss(weight=torch.ones(2))
    small.copy = nn.Linear(4, 2)
    large.copy = nn.Linear(4, 3)
    fresh = large.copy.weight[2].clone()
    large.grow(nn.Identity(), small.own_state())
    assert torch.equal(large.copy.weight[:2], small.copy.weight)
    assert torch.equal(large.copy.weight[2], fresh)
    with pytest.raises(Exception, match="'w' would go from"):
        carry({"w": torch.ones(2, 2)}, {"w": torch.ones(2, 3)}, "updater")
