"""Slices of new data that a gate is to look at, by the values of a table's columns."""

from typing import Any

import numpy as np
import pytest
import torch

from renate.data.tables.encoding.encoder import TableEncoder
from renate.errors import ConfigError
from renate.jobs.scoring.slices import asked_slices, slices_of

CARRIERS = np.array(["AA", "UA", "AA", "B6", "UA", "AA", None], object)
RAW = {
    "origin": np.array(["x", "y", "x", "y", "x", "y", "x"], object),
    "miles": np.arange(7.0, dtype=np.float32),
    "carrier": CARRIERS,
}
COLUMNS = [
    ("origin", "category", "text"),
    ("miles", "number", "number"),
    ("carrier", "category", "text"),
]
RULES: dict[str, Any] = {
    "missing": "auto",
    "unseen": "other",
    "max_categories": 100,
    "standardize": True,
    "kinds": None,
    "tokenizer": None,
    "vocab_size": 300,
    "lowercase": True,
    "max_length": 16,
}


def fitted(categories: str) -> tuple[TableEncoder, Any]:
    """An encoder of a number between two columns of categories, and the rows as it encodes them."""
    encoder = TableEncoder(**RULES, categories=categories)
    encoder.declare(COLUMNS)
    encoder.fit(RAW)
    found = encoder.encode(RAW)
    if isinstance(found, torch.Tensor):
        return encoder, {"inputs": found}
    return encoder, {f"inputs.{name}": column for name, column in found.items()}


@pytest.mark.parametrize("categories", ["one_hot", "embed"])
def test_a_slice_has_the_rows_of_its_value(categories: str) -> None:
    encoder, columns = fitted(categories)
    asked = asked_slices({"carrier": ["AA", "UA"], "origin": ["y"]})
    found = slices_of(asked, columns, encoder)
    assert [*found] == ["carrier=AA", "carrier=UA", "origin=y"]
    assert np.array_equal(found["carrier=AA"], CARRIERS == "AA")
    assert np.array_equal(found["carrier=UA"], CARRIERS == "UA")
    assert np.array_equal(found["origin=y"], RAW["origin"] == "y")


def test_what_is_no_slice_is_refused() -> None:
    encoder, columns = fitted("one_hot")
    for asked, said in (
        ({"carier": ["AA"]}, r"gate.slices.carier: .* did you mean 'carrier'.*origin, carrier"),
        ({"miles": ["3"]}, r"gate.slices.miles: expected a column of categories"),
        ({"carrier": ["AB"]}, r"gate.slices.carrier: the state knows no 'AB'.*AA, B6, UA"),
    ):
        with pytest.raises(ConfigError, match=said):
            slices_of(asked_slices(asked), columns, encoder)
    with pytest.raises(ConfigError, match=r"categories among the inputs \(none\)"):
        slices_of({"carrier": ["AA"]}, {"inputs": torch.zeros(3, 2)}, None)
    assert slices_of({}, {"inputs": torch.zeros(3, 2)}, None) == {}


@pytest.mark.parametrize("node", [None, ["carrier"], {"carrier": "AA"}, {"carrier": []}])
def test_what_is_no_list_of_slices_is_refused(node: Any) -> None:
    with pytest.raises(ConfigError, match="gate.slices=.*expected column -> values"):
        asked_slices(node)
