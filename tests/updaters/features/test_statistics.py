"""Heads on frozen features against scikit-learn on the same features, whatever the chunks."""

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestCentroid
from torch import nn

import renate
from renate.build import build
from renate.data.batch import Batch, BatchTransform
from renate.errors import ConfigError
from renate.jobs.saved.from_state import load_into
from renate.launchers.composing.conf import CONF
from renate.memory.store.memory import Memory
from renate.problems.classification import Classification
from renate.updaters.shared.features import features_of, head_of

NAMES = ["ncm", "slda", "ranpac"]
SMALL: dict[str, dict[str, Any]] = {
    "ncm": {},
    "slda": {"shrinkage": 0.3},
    "ranpac": {"width": 40, "ridge": 2.0},
}


def network(outputs: int = 3) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.BatchNorm1d(8), nn.Linear(8, outputs))


def updater_of(name: str, model: nn.Module, classes: int = 3) -> Any:
    node = yaml.safe_load((CONF / "updater" / f"{name}.yaml").read_text()) | SMALL[name]
    updater = build(node, "updater")
    updater.memory = Memory(build({"_target_": "renate.memory.none.NoMemory"}, "memory"), None)
    updater.memory.bind(seed=0, transform=BatchTransform())
    updater.criterion = nn.CrossEntropyLoss()
    updater.problem = Classification()
    updater.problem.restore(list(range(classes)), {})
    torch.manual_seed(1)
    updater.setup(model)
    return updater


def batch_of(seed: int, rows: int, classes: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(classes, (rows,), generator=generator)
    inputs = torch.randn(rows, 5, generator=generator) + targets[:, None]
    return BatchTransform()({"inputs": inputs, "targets": targets})


def learned(name: str, model: nn.Module, whole: Batch, sizes: list[int]) -> Any:
    """After an update over batches of these sizes, and an epoch too many."""
    updater = updater_of(name, model)
    columns = updater.start(model, whole.raw)
    for _ in range(2):
        for rows in torch.split(torch.arange(len(whole)), sizes):
            part = {key: column[rows] for key, column in columns.items()}
            loss = updater.loss(model, BatchTransform()(part))
            loss.backward()
    updater.finish(model, whole.raw)
    return updater


def learn(updater: Any, model: nn.Module, whole: Batch) -> None:
    """One step on all of an update's examples."""
    updater.loss(model, BatchTransform()(updater.start(model, whole.raw)))


def theirs(name: str, updater: Any, features: Any, targets: Any, asked: Any) -> tuple[Any, Any]:
    """scikit-learn's scores, up to what all classes have in common, and its answers."""
    if name == "ncm":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of features that are the same throughout
            near = NearestCentroid().fit(features, targets)
        distances = ((asked[:, None] - near.centroids_) ** 2).sum(2)
        return -distances / 2, near.predict(asked)
    if name == "slda":
        lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(features, targets)
        return lda.decision_function(asked), lda.predict(asked)
    projection = updater.projection.double().numpy()
    hidden = np.maximum(features @ projection, 0)
    ridge = Ridge(alpha=2.0, fit_intercept=False, solver="svd").fit(hidden, np.eye(3)[targets])
    scores = ridge.predict(np.maximum(asked @ projection, 0))
    return scores, scores.argmax(1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sizes", [[90], [1] * 90, [7, 2, 81]], ids=len)
def test_equals_scikit_learn_whatever_the_chunks(name: str, sizes: list[int]) -> None:
    model = network()
    whole = batch_of(1, 90)
    updater = learned(name, model, whole, sizes)
    head = head_of(model, 3)
    asked = batch_of(2, 50).inputs
    with torch.no_grad():
        scores = updater.predict(model, asked)
        features = features_of(model, whole.inputs, head).double().numpy()
        questions = features_of(model, asked, head).double().numpy()

    expected, answers = theirs(name, updater, features, whole.targets.numpy(), questions)
    expected = expected - expected.max(1, keepdims=True)
    np.testing.assert_allclose(scores.numpy(), expected, atol=1e-4)
    assert (scores.argmax(1).numpy() == answers).mean() == 1
    assert len(set(answers)) == 3


@pytest.mark.parametrize("name", ["ncm", "slda"])
@pytest.mark.parametrize("order", ["by class", "at random"])
def test_equals_scikit_learn_on_digits(name: str, order: str) -> None:
    """The pixels are the features: some are 0 throughout. One update for each two classes, where
    those come one after another.
    """
    found = load_digits()
    inputs = torch.tensor(found.data[:1200], dtype=torch.float32)
    targets = torch.tensor(found.target[:1200])
    rows = torch.randperm(1200, generator=torch.Generator().manual_seed(0))
    if order == "by class":
        rows = targets.argsort(stable=True)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Identity(), nn.Linear(64, 10))
    updater = updater_of(name, model, 10)
    for part in rows.tensor_split(5):
        learn(updater, model, BatchTransform()({"inputs": inputs[part], "targets": targets[part]}))

    asked = torch.tensor(found.data[1200:], dtype=torch.float32)
    with torch.no_grad():
        scores = updater.predict(model, asked).numpy()
    expected, answers = theirs(name, updater, found.data[:1200], targets.numpy(), asked.numpy())
    expected = expected - expected.max(1, keepdims=True)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-4)
    assert (scores.argmax(1) == answers).all()
    assert (answers == found.target[1200:]).mean() > 0.8


@pytest.mark.parametrize("name", NAMES)
def test_each_example_counts_once_whatever_part_an_epoch_has(name: str) -> None:
    """As with `trainer.limit_train_batches` and three epochs, each of which is shuffled anew."""
    model = network()
    whole = batch_of(1, 90)
    updater = updater_of(name, model)
    columns = updater.start(model, whole.raw)
    generator = torch.Generator().manual_seed(3)
    seen = torch.zeros(90, dtype=torch.bool)
    for _ in range(3):
        order = torch.randperm(90, generator=generator)
        for rows in order[:40].split(8):
            part = {key: column[rows] for key, column in columns.items()}
            updater.loss(model, BatchTransform()(part))
            seen[rows] = True

    updater.finish(model, whole.raw)
    assert 40 < int(seen.sum()) < 90
    assert int(updater.taken) == int(updater.counts.sum()) == int(seen.sum())
    head = head_of(model, 3)
    asked = batch_of(2, 50).inputs
    with torch.no_grad():
        scores = updater.predict(model, asked)
        features = features_of(model, whole.inputs, head).double().numpy()[seen.numpy()]
        questions = features_of(model, asked, head).double().numpy()

    targets = whole.targets[seen].numpy()
    expected, _ = theirs(name, updater, features, targets, questions)
    expected = expected - expected.max(1, keepdims=True)
    np.testing.assert_allclose(scores.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_model_stays_as_it_was(name: str) -> None:
    model = network()
    before = copy.deepcopy(model.state_dict())
    updater = learned(name, model, batch_of(1, 30), [30])
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    trained = [*model.parameters(), *updater.parameters()]
    assert [each.shape for each in trained if each.requires_grad] == [()]


@pytest.mark.parametrize("name", NAMES)
def test_few_examples_and_classes_without_any(name: str) -> None:
    model = network()
    asked = batch_of(5, 4).inputs
    updater = updater_of(name, model)
    assert torch.equal(updater.predict(model, asked), torch.zeros(4, 3)), "nothing seen"

    one = BatchTransform()({"inputs": torch.ones(1, 5), "targets": torch.tensor([1])})
    updater = learned(name, model, one, [1])
    scores = updater.predict(model, asked)
    assert scores.isfinite().all()
    assert scores.argmax(1).tolist() == [1] * 4
    assert scores[:, [0, 2]].max() <= -50, "what was never seen is no answer"


@pytest.mark.parametrize("name", NAMES)
def test_a_second_update_goes_on_where_new_labels_came(name: str) -> None:
    model = network()
    first = batch_of(1, 40)
    before = {
        key: each.clone() for key, each in learned(name, model, first, [40]).own_state().items()
    }
    larger = network(5)
    larger.load_state_dict(
        {k: v for k, v in model.state_dict().items() if not k.startswith("3.")}, strict=False
    )
    updater = updater_of(name, larger, 5)
    updater.grow(larger, before)
    second = batch_of(2, 60, classes=5)
    learn(updater, larger, second)
    assert (
        updater.counts.tolist()
        == torch.bincount(torch.cat([first.targets, second.targets]), minlength=5).tolist()
    )
    right = updater.predict(larger, second.inputs).argmax(1) == second.targets
    assert right.float().mean() > 0.5


@pytest.mark.parametrize("name", NAMES)
def test_a_state_gives_the_same_answers(name: str) -> None:
    model = network()
    updater = learned(name, model, batch_of(1, 40), [40])
    asked = batch_of(3, 9).inputs
    expected = updater.predict(model, asked)
    other = updater_of(name, model)
    other.predict(model, asked)
    load_into(other, {k: v.clone() for k, v in updater.own_state().items()}, "here", "updater")
    assert torch.equal(other.predict(model, asked), expected)

    more = batch_of(4, 20)
    for each in (updater, other):
        learn(each, model, more)
    assert torch.equal(other.predict(model, asked), updater.predict(model, asked))


def test_a_covariance_without_an_inverse_is_solved_as_scikit_learn_does() -> None:
    """Fewer examples than features and no shrinkage."""
    model = network()
    whole = batch_of(1, 6)
    updater = updater_of("slda", model)
    updater.shrinkage = 0.0
    learn(updater, model, whole)
    with torch.no_grad():
        features = features_of(model, whole.inputs, head_of(model, 3)).double().numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.0)
        lda.fit(features, whole.targets.numpy())
    weights, bias = updater.solve()
    seen = lda.classes_
    np.testing.assert_allclose(weights.numpy()[seen], lda.coef_, atol=1e-6 * abs(lda.coef_).max())
    np.testing.assert_allclose(bias.numpy()[seen], lda.intercept_, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_head_is_solved_once_for_the_same_sums(name: str) -> None:
    model = network()
    updater = learned(name, model, batch_of(1, 40), [40])
    asked = batch_of(3, 9).inputs
    expected = updater.predict(model, asked)
    calls = []
    solve = updater.solve
    updater.solve = lambda: calls.append(1) or solve()
    with torch.no_grad():
        for sums in updater.buffers():
            sums.copy_(sums.clone())  # as measuring puts them back
    assert torch.equal(updater.predict(model, asked), expected)
    assert not calls

    more = batch_of(4, 20)
    learn(updater, model, more)
    assert not torch.equal(updater.predict(model, asked), expected)
    assert len(calls) == 1


@pytest.mark.parametrize("rows", [12, 90])
def test_the_ridge_is_picked_by_generalised_cross_validation(rows: int) -> None:
    """Golub et al., eq. 1.6, with the hat matrix written out; more rows than columns, and fewer."""
    model = network()
    whole = batch_of(1, rows)
    updater = updater_of("ranpac", model)
    updater.ridge = None
    learn(updater, model, whole)
    with torch.no_grad():
        hidden = updater.projected(features_of(model, whole.inputs, head_of(model, 3)).double())
    targets = torch.eye(3).double()[whole.targets]
    errors = {}
    for power in range(-8, 9):
        ridged = hidden.T @ hidden + 10.0**power * torch.eye(40)
        hat = hidden @ torch.linalg.solve(ridged, hidden.T)
        free = 1 - hat.trace() / rows
        if free > 1e-3:
            errors[power] = float((targets - hat @ targets).square().sum() / free**2)
    best = 10.0 ** min(errors, key=lambda power: errors[power])
    assert updater.picked() == pytest.approx(best)
    assert 1e-8 < best < 1e8, "a case with a choice"
    updater.ridge = best
    if rows < 40:
        assert enormous(updater).picked() == 1e8, "where each choice fits all examples"
    by_hand = updater.solve()[0]
    updater.ridge = None
    assert torch.equal(updater.solve()[0], by_hand)


def enormous(updater: Any) -> Any:
    other = copy.deepcopy(updater)
    other.gram *= 1e30
    other.sums *= 1e15
    return other


class Doubled(nn.Module):
    """Changes what its last layer answers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 2 * self.layer(inputs)


def test_what_has_no_head_is_refused() -> None:
    with pytest.raises(ConfigError, match="Sequential ends in none"):
        updater_of("ncm", nn.Sequential(nn.Linear(5, 8), nn.Tanh()))
    model = Doubled()
    updater = updater_of("ncm", model)
    batch = batch_of(1, 4)
    with pytest.raises(ConfigError, match="Doubled changes what that answers"):
        learn(updater, model, batch)


def test_several_processes_and_mixed_examples_are_refused() -> None:
    model = network()
    updater = updater_of("slda", model)
    mixed = batch_of(1, 4)
    mixed.targets = torch.full((4, 3), 1 / 3)
    with pytest.raises(ConfigError, match="SLDA counts whole examples: transform.mix=null"):
        updater.loss(model, mixed)
    updater.memory.ranks = 2
    with pytest.raises(ConfigError, match="and 2 processes would .* trainer.devices=1"):
        updater.start(model, mixed.raw)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("slda", {"shrinkage": 1.5}, "shrinkage=1.5: expected 0 to 1"),
        ("ranpac", {"ridge": 0.0}, "ridge=0.0: expected more than 0"),
        ("ranpac", {"width": 0}, "width=0: expected 1 or more"),
    ],
)
def test_bounds(name: str, change: dict[str, Any], said: str) -> None:
    node = yaml.safe_load((CONF / "updater" / f"{name}.yaml").read_text()) | change
    with pytest.raises(ConfigError, match=said):
        build(node, "updater")


@pytest.mark.slow
def test_a_stream_ends_as_one_update_on_everything(workdir: Path) -> None:
    settings = {"scenario": "iid", "updater": "slda", "trainer.max_epochs": 2}
    models = []
    for chunks in (1, 4):
        last = list(renate.stream(settings | {"scenario.chunks": chunks}))[-1]
        models.append(renate.load_model(last.state_url))

    inputs = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 16
    once, step_by_step = (model(inputs) for model in models)
    torch.testing.assert_close(step_by_step, once, atol=1e-4, rtol=1e-5)
    assert once.argmax(1).unique().numel() > 1
    assert last.matrix[-1][-1] > 0.8
