"""Which way a metric is better."""

import pytest

from renate.errors import ConfigError
from renate.launchers.composing.checks.direction import directed, direction_of
from renate.launchers.sweeps.from_python import composed

TORCHMETRICS = "torchmetrics.classification."
METRICS = {
    "accuracy": {"_target_": f"{TORCHMETRICS}MulticlassAccuracy"},
    "f1": {"_target_": f"{TORCHMETRICS}MulticlassF1Score"},
    "calibration": {"_target_": f"{TORCHMETRICS}MulticlassCalibrationError"},
    "loss_like": {"_target_": "torchmetrics.regression.LogCoshError"},
    "mean": {"_target_": "torchmetrics.MeanMetric"},
}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("val_loss", "min"),
        ("train_loss", "min"),
        ("val_accuracy", "max"),
        ("val_f1", "max"),
        ("val_calibration", "min"),
        ("val_loss_like", "min"),
        ("val_mean", None),
        ("forgetting", "min"),
        ("backward_transfer", "max"),
    ],
)
def test_direction(metric: str, expected: str | None) -> None:
    assert direction_of(metric, METRICS) == expected


def test_unknown_and_contradicted() -> None:
    with pytest.raises(
        ConfigError, match="whether more or less of val_mean is better: objective.mode=max or"
    ):
        directed("objective.mode", "val_mean", None, METRICS)
    assert directed("objective.mode", "val_mean", "min", METRICS) == "min"
    with pytest.raises(ConfigError, match="objective.mode=max: of val_loss less is better"):
        directed("objective.mode", "val_loss", "max", METRICS)


def test_a_composed_job_knows_the_direction() -> None:
    _, job = composed(["objective.metric=val_loss", "objective.others={val_accuracy: null}"])
    assert job.config.objective.mode == "min"
    assert job.config.objective.others.val_accuracy == "max"
    with pytest.raises(ConfigError, match="objective.mode=max: of val_loss less is better"):
        composed(["objective.metric=val_loss", "objective.mode=max"])


@pytest.mark.parametrize(
    "override",
    [
        "trainer.max_epochs=0",
        "trainer.max_epochs=-1",
        "trainer.max_epochs=1.5",
        "trainer.max_steps=0",
        "trainer.precision=bf16",
    ],
)
def test_settings_of_the_trainer_are_checked_when_composed(override: str) -> None:
    with pytest.raises(ConfigError, match=f"{override}: expected"):
        composed([override])
