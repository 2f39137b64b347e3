"""The shared suite: every option of conf/tuner, on trials that only pretend to train."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from renate.build import build
from renate.launchers.composing.conf import CONF
from renate.launchers.sweeps.request import LIMITS
from renate.tuning.base import Proposer, Stopper
from renate.tuning.space import Domain, Space
from tests.tuning.simulated import SPACE, Killed, Simulated, outcome, sweep_of

TUNERS = sorted(
    str(path.relative_to(CONF / "tuner").with_suffix(""))
    for path in (CONF / "tuner").rglob("*.yaml")
    if path.stem not in ("auto", "default")
)
SMALL = Space(
    {
        "updater": Domain("choice", choices=("er", "derpp")),
        "lr": Domain("choice", choices=("0.1", "0.01")),
    }
)
# Models that are fitted anew for each trial
HEAVY = {"syne_tune/bore", "syne_tune/cqr", "optuna/gp"}
# At which events each is killed: ours at all, the libraries' at every tenth, where there is time at
# every third; those that take seconds a trial at every hundredth.
KILLED = [(name, 10 if "/" in name else 1) for name in TUNERS if name not in HEAVY]
KILLED_LATER = [(name, 100) for name in sorted(HEAVY)] + [
    (name, 3) for name, every in KILLED if every > 1
]


def settings(name: str) -> dict[str, Any]:
    text = (CONF / "tuner" / f"{name}.yaml").read_text().replace("${tuner.storage}", "null")
    text = text.replace("scheduler: ???", "scheduler: syne_tune.optimizer.baselines.RandomSearch")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def parts(name: str) -> Callable[[], dict[str, Proposer | Stopper]]:
    pytest.importorskip(name.split("/")[0]) if "/" in name else None
    if name == "syne_tune/cqr":
        pytest.importorskip("huggingface_hub")
    node = settings(name)
    return lambda: {part: build(node[part], f"tuner.{part}") for part in ("proposer", "stopper")}


@pytest.mark.parametrize(
    ("name", "every"),
    [*KILLED, *(pytest.param(*pair, marks=pytest.mark.slow) for pair in KILLED_LATER)],
)
def test_killed_it_ends_like_an_undisturbed_sweep(name: str, every: int, tmp_path: Path) -> None:
    make = parts(name)
    space = SMALL if name == "grid" else SPACE
    trials = 4 if name == "grid" else 12
    counted = Simulated()
    whole = outcome(
        sweep_of(tmp_path / "whole", counted, **make(), space=space, trials=trials).run()
    )  # type: ignore[arg-type]
    assert len(whole) == trials or "pbt" in name
    for death in range(1, counted.events + 1, every):
        log = tmp_path / f"log-{death}"
        with pytest.raises(Killed):
            sweep_of(log, Simulated(dies=death), **make(), space=space, trials=trials).run()  # type: ignore[arg-type]
        backend = Simulated()
        assert (
            outcome(sweep_of(log, backend, **make(), space=space, trials=trials).run()) == whole
        ), death  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TUNERS)
def test_its_file_says_what_it_is(name: str) -> None:
    text = (CONF / "tuner" / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    assert set(settings(name)) <= {"defaults", "proposer", "stopper", *LIMITS}
