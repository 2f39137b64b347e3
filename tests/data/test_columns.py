"""Columns as NumPy arrays are what pyarrow makes of them, without pandas."""

import numpy as np
import pyarrow as pa
import pytest

from renate.data.tables.columns import strings, to_numpy

NUMBERS = [getattr(pa, f"{kind}{bits}")() for kind in ("int", "uint") for bits in (8, 16, 32, 64)]


@pytest.mark.parametrize(
    ("kind", "values"),
    [(kind, [1, 2, 100, 0, 7]) for kind in NUMBERS]
    + [
        (kind, [0.5, -1.0, float("nan"), float("inf"), -0.0])
        for kind in (pa.float32(), pa.float64())
    ]
    + [(pa.float16(), list(np.array([0.5, -1, 2, 3, 4], np.float16)))]
    + [(pa.bool_(), [True, False, False, True, True] * 5), (pa.string(), ["a", "", "ä", "b", "a"])],
    ids=str,
)
def test_to_numpy(kind: pa.DataType, values: list[object]) -> None:
    whole = pa.chunked_array(
        [pa.array(values, kind), pa.array(values[:0], kind), pa.array(values[2:], kind)]
    )
    for column in (
        whole,
        whole.slice(3, len(values)),
        whole.slice(0, 0),
        pa.chunked_array([], kind),
    ):
        found = to_numpy(column)
        expected = column.to_numpy()
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_strings() -> None:
    for values in (["", "NA", "ä", "x y"], [""], []):
        made = strings(values)
        made.validate(full=True)
        assert made.equals(pa.array(values, pa.string()))
