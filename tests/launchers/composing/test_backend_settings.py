"""Whatever kind of value a backend's setting is given, it is taken as it is or told in a line."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from renate.errors import ConfigError
from renate.launchers.composing.checks.backend import check_entries, mapping_of
from renate.launchers.composing.checks.kinds import COUNT, Flag, Number, OneOf, Text, check_kinds
from renate.launchers.composing.conf import CONF
from renate.launchers.local.launcher import SETTINGS as LOCAL
from renate.launchers.ray.launcher import KINDS as RAY
from renate.launchers.remote.machine import SETTINGS as REMOTE
from renate.launchers.sagemaker.check import SETTINGS as SAGEMAKER
from renate.launchers.slurm.batch import SETTINGS as SLURM

ODD: list[Any] = [0.5, float("nan"), float("inf"), -1, True, "", " ", "x", [], ["a"], {}, None]
KNOWN = {
    "local": LOCAL,
    "ray": RAY | REMOTE,
    "sagemaker": SAGEMAKER | REMOTE,
    "slurm": SLURM | REMOTE,
}
# Mappings and lists, each entry of which is checked
OF_MANY = {
    "_target_",
    "environment",
    "resources",
    "sbatch",
    "security_groups",
    "source_dirs",
    "subnets",
    "tags",
}


@pytest.mark.parametrize("backend", KNOWN)
def test_every_setting_has_a_kind_that_its_default_fits(backend: str) -> None:
    settings = OmegaConf.load(CONF / "backend" / f"{backend}.yaml")
    assert isinstance(settings, DictConfig)
    assert set(settings) - OF_MANY == set(KNOWN[backend])
    if OmegaConf.is_missing(settings, "instance_type"):
        settings.instance_type = "ml.m5.xlarge"
    check_kinds(settings, KNOWN[backend])


def fitting(kind: Any) -> Iterator[Any]:
    """Those of the odd values that fit."""
    for value in ODD:
        with suppress(ConfigError):
            check_kinds(OmegaConf.create({"key": value}), {"key": kind})
            yield value


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        (COUNT, []),
        (Number(-1, whole=True), [-1]),
        (Number(), [0.5]),
        (Number(0.5, above=True, optional=True), [None]),
        (Flag(), [True]),
        (Text(), [-1, "x"]),
        (Text(optional=True), [-1, "x", None]),
        (OneOf(("x", "y")), ["x"]),
    ],
)
def test_what_fits_a_kind(kind: Any, taken: list[Any]) -> None:
    assert list(fitting(kind)) == taken


def test_what_was_meant_is_said() -> None:
    given = OmegaConf.create({"sweep": "insde"})
    expected = "backend.sweep=insde: expected inside or per_trial, did you mean 'inside'"
    with pytest.raises(ConfigError, match=expected):
        check_kinds(given, REMOTE)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.10, "backend.environment.NAME=1.1: expected text or a whole number: in quotes"),
        (True, "backend.environment.NAME=true: expected text or a whole number: in quotes"),
        (None, "backend.environment.NAME=null: expected text or a whole number"),
        (["a"], "backend.environment.NAME=['a']: expected text or a whole number"),
    ],
)
def test_what_would_be_another_text_is_refused(value: Any, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_entries(OmegaConf.create({"environment": {"NAME": value}}), "environment")
    assert str(error.value).startswith(said)


def test_text_and_interpolations_are_taken() -> None:
    entries = {"A": "1.10", "B": 3, "C": "${oc.env:NOWHERE_AT_ALL}"}
    check_entries(OmegaConf.create({"environment": entries}), "environment")


def test_no_mapping_at_all() -> None:
    with pytest.raises(ConfigError, match=r"backend.tags=null: expected a mapping"):
        check_entries(OmegaConf.create({"tags": None}), "tags")


@pytest.mark.parametrize(("value", "shown"), [("gpu", "gpu"), (None, "null"), (3, "3")])
def test_resources_that_are_no_mapping(value: object, shown: str) -> None:
    settings = OmegaConf.create({"resources": value})
    with pytest.raises(ConfigError, match=rf"backend.resources={shown}: expected a mapping"):
        mapping_of(settings, "resources")
