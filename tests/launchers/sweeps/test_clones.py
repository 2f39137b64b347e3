"""Clones, as population-based training makes them: they go on where their parent was, by values
of their own.
"""

import json
from pathlib import Path

import pytest

from renate.state.versions import State
from tests.command import renate
from tests.launchers.sweeps.test_tune import SMALL, content, events, the_sweep

CLONER = """
from renate.tuning.base import Proposal, Proposer


class Cloner(Proposer):
    clones = True

    def bind(self, space, **given):
        super().bind(space, **given)
        self.reached = 0

    def ask(self, trial):
        if trial == 0:
            return Proposal({"optimizer.lr": "0.1"})
        if self.reached < 3 or trial > 2:
            return None
        return Proposal({"optimizer.lr": ["0.1", "0.01"][trial - 1]}, "clone:0", 0)

    def propose(self, trial): ...

    def report(self, trial, step, value):
        self.reached = max(self.reached, step)
        return False
"""
CLONED = [
    *SMALL,
    "backend.workers=3",
    "tuner=random",
    "tuner.proposer={_target_:my_tuner.Cloner}",
    "trust=[my_tuner]",
]
CLONED += ["optimizer.momentum=0.9", "lr_scheduler=cosine", "optimizer.lr=interval(0.001,1)"]
CLONED += ["tuner.order=fixed", "tuner.keep=all"]


def curve(folder: Path) -> dict[int, dict[str, float]]:
    found = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {
        line["epoch"]: {k: v for k, v in line.items() if k.endswith(("loss", "accuracy"))}
        for line in found
    }


@pytest.mark.slow
def test_a_clone_with_its_parents_values_does_what_its_parent_does(workdir: Path) -> None:
    (workdir / "my_tuner.py").write_text(CLONER)
    renate(*CLONED, "state.url=./state", "state.first=true", cwd=workdir)
    sweep = the_sweep(workdir)
    parent, same, other = (curve(sweep / str(k)) for k in range(3))
    assert list(parent) == list(range(1, 10))
    assert list(same) == list(other) == list(range(4, 10)), (
        "a clone goes on after its parent's third epoch"
    )
    # Bit for bit: weights, momenta, memory, generators and the place in the schedule are all the
    # parent's.
    assert same == {epoch: parent[epoch] for epoch in same}
    assert all(other[epoch] != parent[epoch] for epoch in other)
    assert not list(sweep.glob("*/epoch-*.pt"))


@pytest.mark.slow
def test_population_based_training(workdir: Path) -> None:
    command = [
        *SMALL,
        "backend.workers=4",
        "search_space=lr",
        "tuner=syne_tune/pbt",
        "tuner.order=fixed",
    ]
    command += ["tuner.max_trials=8", "trainer.max_epochs=5"]
    renate(*command, "state.url=./state", "state.first=true", cwd=workdir)
    sweep = the_sweep(workdir)
    clones = [e for e in events(sweep) if e.get("source", "").startswith("clone:")]
    assert clones
    for clone in clones:
        assert min(curve(sweep / str(clone["ask"]))) > 1, (
            "it goes on after an epoch of its parent's"
        )
    assert State("./state").versions() == [1]
    assert not [*sweep.glob("*/epoch-*.pt"), *sweep.glob("*/start.pt"), *sweep.glob("*/candidate")]
    # a clone whose parent's weights are gone: what it starts from is kept in its own folder, so it
    # can begin again
    first = content(workdir / "state")
    (workdir / "again").mkdir()
    renate(*command, "state.url=./state", "state.first=true", cwd=workdir / "again")
    assert content(workdir / "again" / "state") == first
