"""Syne Tune's domains as ours: the same values, in the same proportions."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from renate.compat.files.description import describe
from renate.compat.space.domains import as_override, is_domain
from renate.compat.space.keys import Translation
from renate.compat.space.methods import method_named
from renate.errors import ConfigError
from renate.launchers.sweeps.request.space import domain_in
from renate.tuning.space import Domain

syne_tune = pytest.importorskip("syne_tune.config_space")


def ours(value: Any, *, integer: bool = False) -> tuple[Domain, list[str]]:
    said: list[str] = []
    text = as_override("key", value, integer=integer, points=9, say=said.append)
    return domain_in("key", text), said


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("uniform", (0, 1), Domain("float", 0.0, 1.0)),
        ("uniform", (0.001, 0.1), Domain("float", 0.001, 0.1)),
        ("loguniform", (1e-6, 1e-2), Domain("float", 1e-6, 1e-2, log=True)),
        ("randint", (1, 3), Domain("int", 1, 3)),
        ("lograndint", (1, 512), Domain("int", 1, 512, log=True)),
        ("choice", ([32, 64, 128],), Domain("choice", choices=("32", "64", "128"))),
        ("choice", (["a b", "c"],), Domain("choice", choices=("a\\ b", "c"))),
        ("choice", ([True, False],), Domain("choice", choices=("True", "False"))),
        ("ordinal", ([1, 2, 4],), Domain("choice", choices=("1", "2", "4"))),
        ("logordinal", ([1, 10],), Domain("choice", choices=("1", "10"))),
        ("finrange", (0, 1, 5), Domain("choice", choices=("0.0", "0.25", "0.5", "0.75", "1.0"))),
        ("finrange", (1, 3, 3, True), Domain("choice", choices=("1", "2", "3"))),
        ("logfinrange", (1, 100, 3, True), Domain("choice", choices=("1", "10", "100"))),
    ],
)
def test_domains(name: str, arguments: tuple[Any, ...], expected: Domain) -> None:
    domain = getattr(syne_tune, name)(*arguments)
    assert is_domain(domain)
    assert ours(domain) == (expected, [])


def test_floats_for_whole_numbers_are_rounded_within_their_bounds() -> None:
    domain, said = ours(syne_tune.uniform(1, 32), integer=True)
    assert domain == Domain("int", 1, 32)
    assert said == ["key: whole numbers from 1 to 32 are drawn"]
    assert ours(syne_tune.uniform(0.5, 3.5), integer=True)[0] == Domain("int", 1, 3)
    with pytest.raises(ConfigError, match="a range that holds a whole number"):
        ours(syne_tune.uniform(1.2, 1.8), integer=True)


def test_reverse_log_is_as_dense_towards_one() -> None:
    domain, said = ours(syne_tune.reverseloguniform(0.9, 0.999))
    values = [float(text) for text in domain.choices]
    assert (values[0], values[-1], len(values)) == (0.9, 0.999, 9)
    distances = [math.log(1 - value) for value in values]
    steps = [after - before for before, after in pairwise(distances)]
    assert max(steps) - min(steps) < 1e-6
    assert "9 values" in said[0]


def test_a_choice_of_one_is_a_value() -> None:
    text = as_override("key", syne_tune.choice([64]), integer=True, points=9, say=print)
    assert text == "64"


@pytest.mark.parametrize("value", [1.5, True, "32", None])
def test_whole_numbers_are_asked_for(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"config_space\['key'\]=.*expected a whole number"):
        as_override("key", value, integer=True, points=9, say=print)


def test_our_own_domains_are_taken_too() -> None:
    for domain in (
        Domain("float", 0.0, 1.0),
        Domain("float", 1e-4, 0.5, log=True),
        Domain("int", 1, 9),
        Domain("choice", choices=("1", "2")),
    ):
        assert ours(domain) == (domain, [])


def test_our_own_domains_of_floats_are_of_whole_numbers_too() -> None:
    domain, said = ours(Domain("float", 7.5, 64.0, log=True), integer=True)
    assert domain == Domain("int", 8, 64, log=True)
    assert said == ["key: whole numbers from 7.5 to 64 are drawn"]
    with pytest.raises(ConfigError, match=r"\['key'\]=1.5: expected a whole number"):
        ours(Domain("choice", choices=("1", "1.5")), integer=True)


CONFIG = """
def model_fn(width: int, widths: "int | tuple | None" = None, model_state_url=None): pass
def data_module_fn(data_path: str): pass
"""
WHOLE_KEYS = {
    "batch_size": "data.batch_size",
    "memory_batch_size": "updater.replay_batch_size",
    "memory_size": "memory.capacity",
    "max_epochs": "trainer.max_epochs",
    "loss_normalization": "updater.loss_normalization",
    "learning_rate_scheduler_step_size": "lr_scheduler.step_size",
    "width": "config_file.width",
    "widths": "config_file.widths",
}


@pytest.mark.parametrize("key", WHOLE_KEYS)
@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (syne_tune.randint(2, 9), Domain("int", 2, 9)),
        (syne_tune.lograndint(2, 9), Domain("int", 2, 9, log=True)),
        (syne_tune.uniform(2, 9), Domain("int", 2, 9)),
        (syne_tune.loguniform(2, 9), Domain("int", 2, 9, log=True)),
        (Domain("float", 1.5, 9.0), Domain("int", 2, 9)),
        (syne_tune.choice([2, 9]), Domain("choice", choices=("2", "9"))),
        (syne_tune.finrange(2, 4, 2, cast_int=True), Domain("choice", choices=("2", "4"))),
    ],
    ids=str,
)
def test_whole_keys_get_whole_numbers(
    workdir: Path, key: str, domain: Any, expected: Domain
) -> None:
    Path("my_config.py").write_text(CONFIG)
    space = {"width": 3, "learning_rate_scheduler": "StepLR"} | {key: domain}
    translation = Translation(
        space, method_named("ER"), describe("my_config.py"), None, lambda text: None
    )
    lines = dict(line.lstrip("+").split("=", 1) for line in translation.overrides())
    assert domain_in("key", lines[WHOLE_KEYS[key]]) == expected


def test_a_choice_of_several_widths_stays_one(workdir: Path) -> None:
    Path("my_config.py").write_text(CONFIG)
    space = {"width": 3, "widths": syne_tune.choice([(8, 8), (8, 4)])}
    translation = Translation(space, method_named("ER"), describe("my_config.py"), None, print)
    lines = dict(line.lstrip("+").split("=", 1) for line in translation.overrides())
    assert domain_in("key", lines["config_file.widths"]).choices == ("[8,8]", "[8,4]")


def test_values_are_no_domains() -> None:
    assert not any(map(is_domain, (1, 0.5, "choice(1,2)", [1, 2], None, {"a": 1})))
