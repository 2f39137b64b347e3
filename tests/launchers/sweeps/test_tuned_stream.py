"""What a stream whose every update is tuned makes of the evaluations of its versions."""

import pytest

from renate.jobs.records import COMPLETED, JobResult
from renate.launchers.sweeps.tuned_stream import _on_chunks


@pytest.mark.parametrize("tests", [("",), (", a", ", b")])
def test_a_row_of_the_matrix_has_no_values_of_single_labels(tests: tuple[str, ...]) -> None:
    found = {"test_accuracy": 0.6, "test_accuracy/0": 0.9, "test_accuracy/1": 0.3}
    for chunk, value in (("chunk 1", 0.8), ("chunk 2", 0.4)):
        for test in tests:
            found[f"test_accuracy/0/{chunk}{test}"] = 0.9
            found[f"test_accuracy/{chunk}{test}"] = value
    result = JobResult(COMPLETED, metrics=found)
    assert _on_chunks(result, "accuracy", 2) == pytest.approx([0.8, 0.4])


def test_a_stream_of_one_chunk_has_a_matrix_of_one_number() -> None:
    result = JobResult(COMPLETED, metrics={"test_accuracy": 0.6, "test_accuracy/0": 0.9})
    assert _on_chunks(result, "accuracy", 1) == [0.6]
