"""The focal loss against its formula, written out example by example."""

import math

import pytest
import torch
import torch.nn.functional as F

from renate.errors import ConfigError
from renate.jobs.builders import check_fits
from renate.losses.focal import BinaryFocal, Focal
from renate.losses.weighted import weighted_mean
from renate.problems.base import Problem
from renate.problems.classification import Classification
from renate.problems.multi_label import MultiLabel
from renate.problems.regression import Regression

LOGITS = torch.tensor([[2.0, -1.0, 0.3], [0.1, 0.2, -0.4], [-3.0, 4.0, 0.0], [1.0, 1.0, 1.0]])
CLASSES = torch.tensor([0, 2, 1, 1])
FLAGS = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]])


def of_classes(gamma: float, weight: list[float]) -> float:
    total = 0.0
    weights = 0.0
    for row, label in zip(LOGITS.tolist(), CLASSES.tolist(), strict=True):
        p = math.exp(row[label]) / sum(math.exp(value) for value in row)
        total += weight[label] * (1 - p) ** gamma * -math.log(p)
        weights += weight[label]
    return total / weights


def of_labels(gamma: float, alpha: float | None) -> float:
    total = 0.0
    for row, flags in zip(LOGITS.tolist(), FLAGS.tolist(), strict=True):
        for logit, flag in zip(row, flags, strict=True):
            sigmoid = 1 / (1 + math.exp(-logit))
            p = sigmoid if flag else 1 - sigmoid
            factor = 1.0
            if alpha is not None:
                factor = alpha if flag else 1 - alpha
            total += factor * (1 - p) ** gamma * -math.log(p)
    return total / LOGITS.numel()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_classes(gamma: float) -> None:
    loss = Focal(gamma)(LOGITS, CLASSES)
    assert float(loss) == pytest.approx(of_classes(gamma, [1.0, 1.0, 1.0]), rel=1e-5)
    weight = [0.5, 2.0, 1.0]
    loss = Focal(gamma, weight=torch.tensor(weight))(LOGITS, CLASSES)
    assert float(loss) == pytest.approx(of_classes(gamma, weight), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_labels(gamma: float, alpha: float | None) -> None:
    loss = BinaryFocal(gamma, alpha)(LOGITS, FLAGS)
    assert float(loss) == pytest.approx(of_labels(gamma, alpha), rel=1e-5)


def test_without_gamma_it_is_the_cross_entropy() -> None:
    weight = torch.tensor([0.5, 2.0, 1.0])
    torch.testing.assert_close(
        Focal(0.0, weight=weight)(LOGITS, CLASSES), F.cross_entropy(LOGITS, CLASSES, weight)
    )
    torch.testing.assert_close(
        BinaryFocal(0.0)(LOGITS, FLAGS), F.binary_cross_entropy_with_logits(LOGITS, FLAGS)
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_certain_answers_have_a_finite_gradient(gamma: float) -> None:
    logits = torch.tensor([[300.0, -300.0], [-300.0, 300.0], [300.0, -300.0]], requires_grad=True)
    flags = torch.tensor([[1.0, 0.0]] * 3)
    for loss in (Focal(gamma)(logits, torch.tensor([0, 0, 1])), BinaryFocal(gamma)(logits, flags)):
        logits.grad = None
        loss.backward()
        assert logits.grad is not None
        assert bool(logits.grad.isfinite().all())


def test_what_cant_be_right() -> None:
    with pytest.raises(ValueError, match="it takes one class an example, neither mixed ones nor"):
        Focal(2.0)(LOGITS, FLAGS)
    with pytest.raises(ValueError, match="Target size"):
        BinaryFocal(2.0)(LOGITS, CLASSES)
    for make in (Focal, BinaryFocal):
        with pytest.raises(ValueError, match="gamma=-1"):
            make(-1.0)
    with pytest.raises(ValueError, match="alpha=1.5"):
        BinaryFocal(2.0, alpha=1.5)


@pytest.mark.parametrize(
    ("loss", "problem"),
    [
        (Focal(2.0), Regression(standardise=True)),
        (BinaryFocal(2.0), Regression(standardise=True)),
        (BinaryFocal(2.0), Classification()),
        (Focal(2.0), MultiLabel(0.5)),
        (torch.nn.L1Loss(), Classification()),
        (torch.nn.HuberLoss(), Classification()),
    ],
)
def test_a_loss_of_another_problem_is_refused(loss: torch.nn.Module, problem: Problem) -> None:
    with pytest.raises(
        ConfigError, match=f"{type(loss).__name__} is not of problem={problem.name}"
    ):
        check_fits(loss, "loss", problem, problem.loss)


def test_examples_may_have_weights() -> None:
    """As many times as an example weighs is as often as it is there."""
    weights = torch.tensor([2.0, 1.0, 0.0, 1.0])
    rows = [0, 0, 1, 3]
    for loss, targets in (
        (Focal(2.0), CLASSES),
        (Focal(2.0, torch.tensor([0.5, 2.0, 1.0])), CLASSES),
        (BinaryFocal(2.0, 0.25), FLAGS),
    ):
        found = weighted_mean(loss, LOGITS, targets, weights)
        torch.testing.assert_close(found, loss(LOGITS[rows], targets[rows]))
