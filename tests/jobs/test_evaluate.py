"""A version is measured as it was published, whatever else the command says."""

import json

import pytest

import renate

SMALL = ["model.hidden_sizes=[8]", "data.limit=200", "trainer.max_epochs=1", "state.url=./state"]


@pytest.mark.slow
@pytest.mark.usefixtures("workdir")
def test_in_half_precision_by_the_versions_own_transform() -> None:
    own = "{_target_:renate.data.transforms.Scale},{_target_:torch.nn.Flatten}"
    renate.run([*SMALL, f"transform.inputs.test=[{own}]", "state.first=true"])
    whole = renate.run([*SMALL, "job=evaluate"]).metrics
    half = renate.run([*SMALL, "job=evaluate", "trainer.precision=bf16-true"]).metrics
    assert half["test_loss"] == pytest.approx(whole["test_loss"], rel=0.05)


@pytest.mark.usefixtures("workdir")
def test_its_value_is_what_was_asked_for() -> None:
    """Of a metric that test data don't have it was their loss."""
    renate.run([*SMALL, "state.first=true"])
    for asked, metric in (("auto", "accuracy"), ("val_loss", "loss"), ("null", None)):
        found = renate.run([*SMALL, "job=evaluate", f"objective.metric={asked}"])
        told = json.loads((found.job_dir / "result.json").read_text())["value"]
        assert told == found.metrics.get(f"test_{metric}")
