"""Every file of a version is data: what isn't of its kind is refused."""

import json
from typing import Any

import pytest

from renate.errors import CorruptError, RenateError, printable
from renate.memory.store.meta import memory_from
from renate.state.contents import deploy_from, history_from, metrics_from, sizes_from

MODEL: dict[str, Any] = {
    "model": {"_target_": "renate.models.mlp.MLP", "input_shape": [4], "num_classes": 2},
    "labels": ["a", "b"],
    "transform": {"inputs": [], "targets": []},
    "updater": None,
}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"labels": ["a", "a"]}, "labels hold one twice"),
        ({"labels": ["a", 1]}, "labels are of several kinds"),
        ({"labels": ["a"]}, "model.num_classes is 2, but there are 1 labels"),
        ({"model": {"_target_": "x y"}}, "model._target_ is x y, expected package.module.Class"),
        ({"model": {"_target_": "a.B", "_partial_": True}}, "is no parameter's name"),
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"inputs": 3}, "inputs is 3, expected a mapping"),
    ],
)
def test_a_model_that_no_update_wrote(change: Any, text: str) -> None:
    with pytest.raises(CorruptError, match="model.json") as caught:
        deploy_from(json.dumps(MODEL | change).encode(), "model.json")
    assert text in str(caught.value)


def test_nothing_but_sizes_reaches_a_job() -> None:
    node = {"_target_": "a.B", "input_shape": [1, 2], "hidden": 3, "in_channels": None}
    assert sizes_from(node) == {"input_shape": [1, 2]}
    with pytest.raises(ValueError, match="expected a whole|in_features is"):
        sizes_from(
            {
                "in_features": {
                    "_target_": "renate.jobs.passed_objects.loaded.PassedDataset",
                    "path": "x",
                }
            }
        )


@pytest.mark.parametrize(
    "raw", [b"[", b"[" * 100_000, b'{"after": {"t": {"loss": NaN}}}', b'{"after": {"t": 1e999}}']
)
def test_metrics_that_are_none(raw: bytes) -> None:
    with pytest.raises(CorruptError):
        metrics_from(raw, "metrics.json")


def test_a_memory_and_a_history_that_are_none() -> None:
    with pytest.raises(CorruptError, match="lacks 'policy'"):
        memory_from(b"{}", "memory/meta.json")
    with pytest.raises(CorruptError, match="first line"):
        history_from(b"a,b\n1,2\n", "hpo.csv")


def test_no_error_steers_the_terminal() -> None:
    assert str(RenateError("a\x1b[2Jb\nc\u202e")) == r"a\x1b[2Jb\nc\u202e"
    assert printable("grün") == "grün"
