"""Raw targets become tensors, outputs become answers; what doesn't fit is told by its place."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torchmetrics.classification import MultilabelF1Score
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, R2Score

from renate.errors import DataError
from renate.problems.auto import doubt_about, option_of, problem_for
from renate.problems.base import Problem, Targets
from renate.problems.classification import Classification
from renate.problems.multi_label import MultiLabel
from renate.problems.regression import Regression


def lists(*rows: Any) -> np.ndarray[Any, Any]:
    column = np.empty(len(rows), object)
    for row, value in enumerate(rows):
        column[row] = value
    return column


def targets(values: Any, names: tuple[str, ...] = ()) -> Targets:
    array = values if isinstance(values, np.ndarray) else np.array(values)
    return Targets(array, "week.csv: column 'y'", names)


@pytest.mark.parametrize(
    ("values", "option"),
    [
        (np.array(["a", "b"], object), "classification"),
        ([True, False], "classification"),
        ([3, 1, 2], "classification"),
        ([0.0, 1.0, 2.0, 1.0], "classification"),  # pandas turns integers with gaps into floats
        ([0.5, 1.0], "regression"),
        (np.arange(100.0), "regression"),
        ([[0, 1], [1, 1]], "multi_label"),
        ([[0.5, 1.0], [1.0, 2.0]], "regression"),
        (lists(["a"], ["a", "b"], []), "multi_label"),
    ],
)
def test_the_problem_is_read_off_the_target(values: Any, option: str) -> None:
    assert option_of(targets(values)) == option
    assert type(problem_for(targets(values))).__module__ == f"renate.problems.{option}"


def test_whole_numbers_that_look_like_measurements_are_told() -> None:
    prices = np.arange(300) * 7
    said = doubt_about(targets(prices))
    assert said is not None
    assert "column 'y': 300 different whole numbers in 300 examples are taken as classes" in said
    assert "problem=regression" in said
    assert doubt_about(targets(np.repeat(np.arange(100), 5))) is None, "five examples a class"
    assert doubt_about(targets(np.arange(20))) is None
    assert doubt_about(targets(prices + 0.5)) is None


def test_values_are_standardised_and_come_back_in_their_units() -> None:
    raw = np.random.default_rng(0).normal(350_000, 20_000, 500)
    problem = Regression(standardise=True)
    assert problem.fit(targets(raw, ("price",))) == ["price"]
    encoded = torch.from_numpy(problem.encode(targets(raw)))
    assert (encoded.dtype, tuple(encoded.shape)) == (torch.float32, (500, 1))
    assert float(encoded.mean()) == pytest.approx(0, abs=1e-6)
    assert float(encoded.std(unbiased=False)) == pytest.approx(1, abs=1e-6)
    assert problem.decode(encoded) == pytest.approx(raw.tolist(), rel=1e-6)

    again = Regression(standardise=True)
    again.restore(problem.labels, json.loads(json.dumps(problem.fitted())))
    later = targets(raw + 1e6)
    assert again.fit(later) == [], "a later update keeps the first one's scale"
    assert again.decode(torch.from_numpy(again.encode(later))) == pytest.approx(
        (raw + 1e6).tolist(), rel=1e-6
    )


def test_a_constant_has_no_scale_of_its_own() -> None:
    """The deviation of so many 0.1 is no 0, by rounding: 5 would be trained on as 10¹⁷."""
    constant = np.full(1000, 0.1)
    assert constant.std() > 0
    problem = Regression(standardise=True)
    problem.fit(targets(constant))
    assert problem.scale == [1.0]
    assert problem.encode(targets([0.1, 5.0]))[:, 0] == pytest.approx([0.0, 4.9], abs=1e-6)


def test_values_that_float32_cant_hold_are_named() -> None:
    problem = Regression(standardise=False)
    problem.fit(targets([1.0, 1e39]))
    with pytest.raises(DataError, match=r"row 1 \(the first is 0\) is 1e\+39, too large to train"):
        problem.encode(targets([1.0, 1e39]))


def test_texts_of_numpys_kind_are_labels() -> None:
    problem = Classification()
    assert problem.fit(Targets(np.array(["b", "a"]), "data.train")) == ["a", "b"]


def test_metrics_of_numbers_are_those_of_a_reference() -> None:
    generator = np.random.default_rng(1)
    truth = generator.normal(50, 9, 300)
    guess = generator.normal(50, 9, 300)
    problem = Regression(standardise=True)
    problem.fit(targets(truth))
    answers = problem.answers(torch.from_numpy(problem.encode(targets(guess))))
    truths = problem.truths(torch.from_numpy(problem.encode(targets(truth))))
    squares = ((truth - guess) ** 2).mean()
    assert float(MeanSquaredError(squared=False)(answers, truths)) == pytest.approx(
        squares**0.5, rel=1e-5
    )
    assert float(MeanAbsoluteError()(answers, truths)) == pytest.approx(
        np.abs(truth - guess).mean(), rel=1e-5
    )
    assert float(R2Score()(answers, truths)) == pytest.approx(1 - squares / truth.var(), rel=1e-4)


def test_several_numbers() -> None:
    problem = Regression(standardise=True)
    raw = np.array([[1.0, 100.0], [3.0, 100.0]])
    assert problem.fit(targets(raw, ("lat", "lon"))) == ["lat", "lon"]
    assert problem.scale == [1.0, 1.0], "a constant target isn't divided by nothing"
    assert problem.decode(torch.from_numpy(problem.encode(targets(raw)))) == raw.tolist()
    with pytest.raises(DataError, match="column 'y': 1 values an example, the state's have 2"):
        problem.fit(targets([1.0, 2.0]))


def test_labels_from_lists_and_from_columns() -> None:
    problem = MultiLabel(threshold=0.5)
    assert problem.fit(targets(lists(["b", "a"], ["c"], []))) == ["a", "b", "c"]
    assert problem.encode(targets(lists(["b", "a"], [], ["c"]))).tolist() == [
        [1, 1, 0],
        [0, 0, 0],
        [0, 0, 1],
    ]
    logits = torch.tensor([[2.0, -2.0, 0.5], [-1.0, -1.0, -1.0]])
    assert problem.decode(logits) == [["a", "c"], []]
    assert problem.fit(targets(lists(["d"], ["a"]))) == ["d"]
    assert problem.labels == ["a", "b", "c", "d"]

    columns = MultiLabel(threshold=0.5)
    assert columns.fit(targets([[1, 0], [0, 1]], ("red", "blue"))) == ["red", "blue"]
    assert columns.encode(targets([[0, 1]], ("red", "blue"))).tolist() == [[0, 1]]
    assert columns.encode(targets([[0, 1]], ("blue", "red"))).tolist() == [[1, 0]], (
        "by name, not by place"
    )


def test_f1_is_that_of_a_reference_also_where_all_logits_look_like_probabilities() -> None:
    generator = np.random.default_rng(2)
    truth = generator.integers(0, 2, (200, 3))
    logits = torch.from_numpy(generator.uniform(0.0, 1.0, (200, 3)))
    problem = MultiLabel(threshold=0.6)
    problem.restore(["a", "b", "c"], {})
    answers = problem.answers(logits)
    expected = f1_score(truth, 1 / (1 + np.exp(-logits.numpy())) > 0.6, average="micro")
    metric = MultilabelF1Score(3, average="micro", threshold=0.6)
    assert float(metric(answers, problem.truths(torch.from_numpy(truth).float()))) == pytest.approx(
        expected, rel=1e-6
    )
    assert expected < 0.99, "as all logits are above 0.5, another reading would answer every label"


def test_a_label_that_no_version_knew_is_never_an_answer() -> None:
    problem = MultiLabel(threshold=0.5)
    problem.restore(["a", "b", "new"], {})
    known = torch.tensor([[3.0, 2.0]])
    assert problem.decode(torch.cat([known, problem.never(known)], 1)) == [["a", "b"]]


@pytest.mark.parametrize(
    ("problem", "values", "text"),
    [
        (
            Regression(True),
            np.array(["a"], object),
            "column 'y' holds 'a', regression predicts numbers",
        ),
        (
            Regression(True),
            [1.0, float("inf")],
            "column 'y': row 1 (the first is 0) is inf, expected a number",
        ),
        (
            Classification(),
            [0.5, 1.0],
            "column 'y' holds 0.5, a label is a whole number, a boolean or text",
        ),
        (
            Classification(),
            [[1, 0]],
            "2 values an example, a class is one: problem=multi_label or regression",
        ),
        (Classification(), lists(["a"]), "lists, a class is one label: problem=multi_label"),
        (
            Classification(),
            np.array(["a", None], dtype=object),
            "row 1 (the first is 0) is None, others are texts: labels are of one kind",
        ),
        (Classification(), [1, 1], "data.train has one class only, 1"),
        (Regression(standardise=True), [1e300, -1e308], "its deviation is beyond float64: divide"),
        (MultiLabel(0.5), lists(["a", "a"]), "row 0 (the first is 0) holds a label twice"),
        (MultiLabel(0.5), lists(["a", 1]), "some labels are text, some whole numbers"),
        (
            MultiLabel(0.5),
            lists(["a"], [0.5]),
            "row 1 (the first is 0) holds 0.5, a label is text or a whole number",
        ),
        (MultiLabel(0.5), [3, 4], "row 0 (the first is 0) is 3, expected a list of labels"),
        (MultiLabel(0.5), [[0, 2]], "row 0 (the first is 0), value 1 is 2, expected 0 or 1"),
    ],
)
def test_what_is_no_target(problem: Problem, values: Any, text: str) -> None:
    with pytest.raises(DataError) as caught:
        problem.fit(targets(values))
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("fitted", "text"),
    [
        ({}, "expected mean and scale"),
        ({"mean": [0.0], "scale": [0.0]}, "isn't above 0"),
        ({"mean": [0.0], "scale": [float("nan")]}, "expected 1 numbers"),
        ({"mean": [0.0, 1.0], "scale": [1.0]}, "expected 1 numbers"),
        ({"mean": "x", "scale": [1.0]}, "expected 1 numbers"),
    ],
)
def test_what_no_version_keeps(fitted: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Regression(standardise=True).restore(["price"], fitted)
