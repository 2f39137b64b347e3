"""What is compared, and what is said of it."""

from typing import Any

import numpy as np
import pytest
import torch

from renate.data.ragged import Ragged
from renate.data.tables.encoding.encoder import TableEncoder
from renate.errors import ConfigError, DataError
from renate.shift.detector import Detector, Samples
from renate.shift.views import PROJECTED, View, scaled, vectors_of, views_of

RULES: dict[str, Any] = {
    "missing": "auto",
    "unseen": "other",
    "max_categories": 10,
    "standardize": True,
    "kinds": None,
    "tokenizer": None,
    "vocab_size": 100,
    "lowercase": True,
    "max_length": 8,
}
SETTINGS: dict[str, Any] = {
    "level": 0.05,
    "permutations": 199,
    "classifier": True,
    "min_examples": 20,
    "max_examples": 500,
}


def encoded(kind: str) -> tuple[TableEncoder, Any, Any]:
    encoder = TableEncoder(categories=kind, **RULES)
    encoder.declare([("age", "number", "number"), ("city", "category", "text")])
    before = {
        "age": np.array([1.0, 2.0, np.nan, 4.0] * 10),
        "city": np.array(["a", "b", "b", None] * 10, dtype=object),
    }
    now = {
        "age": np.array([np.nan, np.nan, 3.0, 4.0] * 10),
        "city": np.array(["b", "b", "z", None] * 10, dtype=object),
    }
    encoder.fit(before)
    parts = []
    for raw in (before, now):
        found = encoder.encode(raw)
        if isinstance(found, torch.Tensor):
            parts.append({"inputs": found})
        else:
            parts.append({f"inputs.{name}": tensor for name, tensor in found.items()})
    return encoder, parts[0], parts[1]


@pytest.mark.parametrize("kind", ["one_hot", "embed"])
def test_a_tables_columns_are_seen_as_the_user_has_them(kind: str) -> None:
    encoder, before, now = encoded(kind)
    age, city = views_of(before, now, None, encoder.state()["columns"])
    assert (age.name, age.kind, city.name, city.kind) == ("age", "number", "city", "category")
    assert age.missing == (0.25, 0.5)
    assert city.missing == (0.25, 0.25)
    assert city.unseen == 0.25
    # Codes: 0 others, 1 missing, from 2 on those that are known
    assert city.before.tolist()[:4] == [2, 3, 3, 1]
    assert city.now.tolist()[:4] == [3, 3, 0, 1]

    drift = Detector(**SETTINGS).compare(Samples([age, city], None, None, None, (40, 40)), 0)
    assert drift.found[0].about == "city"
    assert "column 'city': 25.0% are categories never seen" in drift.notes
    assert "column 'age': 50.0% are missing, 25.0% before" in drift.notes


def test_what_has_not_moved_is_not_found() -> None:
    draw = np.random.default_rng(5)
    views = [
        View(f"x{i}", "number", draw.normal(size=200), draw.normal(size=200)) for i in range(4)
    ]
    both = (draw.normal(size=(200, 4)), draw.normal(size=(200, 4)))
    drift = Detector(**SETTINGS).compare(Samples(views, both, both[::-1], None, (200, 200)), 1)
    assert (drift.found, drift.effect) == ([], 0.0)
    assert len(drift.moved) == 7
    moved = View("x", "number", views[0].before, views[0].now + 1)
    drift = Detector(**SETTINGS).compare(Samples([*views, moved], None, None, None, (200, 200)), 1)
    assert [each.about for each in drift.found] == ["x"]
    assert drift.to_json()["moved"] == ["x"]
    assert drift.effect == pytest.approx(1.0, abs=0.2)


def test_what_is_constant_but_for_rounding_has_not_moved() -> None:
    draw = np.random.default_rng(0)
    before = 0.1 + draw.normal(0, 1e-17, (200, 3))
    now = 0.1 + np.full((50, 3), 2e-17)
    first, second = scaled(before, now)
    assert max(np.abs(first).max(), np.abs(second).max()) < 1e-12
    assert scaled(before, now + 1)[1] == pytest.approx(1.0)


def test_wide_inputs_are_projected_and_texts_left_out() -> None:
    images = {"inputs": torch.randn(6, 1, 8, 8)}
    found = vectors_of(images, seed=1)
    assert found is not None
    assert found.shape == (6, PROJECTED)
    assert np.array_equal(found, vectors_of(images, seed=1))  # type: ignore[arg-type]
    many = {"inputs": torch.randn(150, 3, 8, 8)}
    part = {"inputs": many["inputs"][100:]}
    assert np.allclose(vectors_of(many, seed=1)[100:], vectors_of(part, seed=1))  # type: ignore[index,arg-type]
    assert vectors_of({"inputs.ids": Ragged.of([[1], [2, 3]])}, seed=1) is None
    assert views_of(images, images, None, []) == []


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("level", 1.5, "level=1.5: expected a number between 0 and 1"),
        ("permutations", 3, "permutations=3: expected 19 or more"),
        ("min_examples", 2, "min_examples=2: expected 5 or more"),
        ("max_examples", 5, "max_examples=5: expected 20 or more"),
    ],
)
def test_settings_that_are_none(setting: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Detector(**SETTINGS | {setting: value})


def test_too_little_says_nothing() -> None:
    view = View("x", "number", np.ones(9), np.ones(30))
    with pytest.raises(DataError, match="9 reference and 30 new examples are too few"):
        Detector(**SETTINGS).compare(Samples([view], None, None, None, (9, 30)), 0)
    with pytest.raises(DataError, match="nothing of these data can be compared"):
        Detector(**SETTINGS).compare(Samples([], None, None, None, (90, 30)), 0)
