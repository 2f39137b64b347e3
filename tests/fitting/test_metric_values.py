"""Metrics as they are measured, against scikit-learn and formulas; values of single labels."""

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import f1_score, roc_auc_score
from torch import Tensor, nn

from renate.build import build, infer
from renate.data.batch import BatchTransform
from renate.errors import JobError
from renate.fitting.measure import Measure
from renate.fitting.measured.values import numbers_of
from renate.jobs.scoring.measured import flat
from renate.launchers.composing.conf import CONF
from renate.problems.classification import Classification
from renate.problems.multi_label import MultiLabel
from renate.updaters.fine_tuning import FineTuning

LABELS = ["ant", "bee", "cat", "dog"]


def problem_of(labels: list[str]) -> Classification:
    problem = Classification()
    problem.restore(labels, {})
    return problem


def measured(logits: Tensor, targets: Tensor, size: int = 7, **changes: object) -> dict[str, float]:
    """The metrics of the option, of a model that gives these logits."""
    problem = problem_of(LABELS)
    nodes = yaml.safe_load((CONF / "metrics" / "classification_detailed.yaml").read_text())
    nodes["auroc"] |= changes
    metrics = {name: build(infer(node, problem.facts), name) for name, node in nodes.items()}
    measure = Measure(metrics, nn.CrossEntropyLoss(), BatchTransform(), size, problem)
    updater = FineTuning()
    updater.criterion = nn.CrossEntropyLoss()
    return measure(nn.Identity(), updater, {"inputs": logits, "targets": targets})


def examples(labels: int, scale: float = 1.0, shift: float = 0.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(labels, (60,), generator=generator)
    noise = torch.rand(60, 4, generator=generator)
    return scale * (noise + 0.3 * nn.functional.one_hot(targets, 4)) + shift, targets


# Logits that all lie between 0 and 1, which torchmetrics would take for probabilities; large ones
@pytest.mark.parametrize(("scale", "shift"), [(0.7, 0.0), (9.0, -3.0)])
def test_against_references(scale: float, shift: float) -> None:
    logits, targets = examples(4, scale, shift)
    found = measured(logits, targets)
    probabilities = logits.double().softmax(1).numpy()
    truths = targets.numpy()
    answers = probabilities.argmax(1)

    assert found["accuracy"] == pytest.approx((answers == truths).mean())
    for number, label in enumerate(LABELS):
        own = truths == number
        assert found[f"accuracy/{label}"] == pytest.approx((answers[own] == number).mean())
    assert found["f1"] == pytest.approx(f1_score(truths, answers, average="macro"))
    expected = roc_auc_score(truths, probabilities, multi_class="ovr", average="weighted")
    assert found["auroc"] == pytest.approx(expected, abs=1e-6)

    confidence = probabilities.max(1)
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [
        abs((answers == truths)[bins == b].mean() - confidence[bins == b].mean())
        * (bins == b).sum()
        for b in np.unique(bins)
    ]
    assert found["ece"] == pytest.approx(sum(gaps) / 60, abs=1e-6)


def test_labels_without_examples_count_nowhere() -> None:
    logits, targets = examples(2, 3.0)
    found = measured(logits, targets)
    assert [n for n in found if n.startswith("accuracy/")] == ["accuracy/ant", "accuracy/bee"]
    of_two = [roc_auc_score(targets == label, logits.softmax(1)[:, label]) for label in range(2)]
    shares = [float((targets == label).float().mean()) for label in range(2)]
    expected = sum(share * auc for share, auc in zip(shares, of_two, strict=True))
    assert found["auroc"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("thresholds", [None, 50])
def test_a_mean_over_labels_that_arent_there_is_refused(thresholds: int | None) -> None:
    logits, targets = examples(2)
    with pytest.raises(JobError, match="metrics.auroc: no example is of label 'cat'.*weighted"):
        measured(logits, targets, average="macro", thresholds=thresholds)
    with pytest.raises(JobError, match="metrics.auroc: every example is of label 'bee'"):
        measured(logits, torch.ones_like(targets), thresholds=thresholds)


def test_an_order_is_kept_where_logits_are_shifted() -> None:
    problem = problem_of(LABELS[:2])
    close = torch.tensor([[0.0, 1e-12], [0.5, 0.5 + 1e-7]])
    assert problem.scored(close).argmax(1).tolist() == [1, 1]
    assert bool((problem.scored(close) < 0).all())
    far = torch.tensor([[0.5, 1.5]])
    assert problem.scored(far) is far


def test_flags_are_counted_by_label() -> None:
    assert MultiLabel(0.5).counts(torch.tensor([[1, 0], [1, 1]])).tolist() == [2, 1]


def test_values_that_dont_fit_the_labels() -> None:
    with pytest.raises(JobError, match=r"metrics\.f1/\*.*shape \[3\], expected 2, one for each"):
        numbers_of("f1/*", torch.ones(3), {"a": True, "b": True})
    with pytest.raises(JobError, match=r"one for each label is called 'f1/\*'"):
        numbers_of("f1", torch.ones(2), {"a": True, "b": True})


def test_a_label_counts_in_the_tests_that_have_it() -> None:
    scores = {"x": {"accuracy": 0.5, "accuracy/a": 0.2}, "y": {"accuracy": 0.7}}
    assert flat(scores) == pytest.approx(
        {
            "test_accuracy": 0.6,
            "test_accuracy/a": 0.2,
            "test_accuracy/x": 0.5,
            "test_accuracy/a/x": 0.2,
            "test_accuracy/y": 0.7,
        }
    )
