"""A policy of the user's own: one file and one YAML in a repository of experiments."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import renate
from renate.build import build
from renate.data.batch import Columns
from renate.errors import ConfigError, JobError
from renate.memory.base import Plan, Policy
from renate.memory.store.memory import Memory
from renate.state.versions import State
from tests.conftest import ROOT
from tests.memory.examples import bound, in_ram

KINDS = ("yaml", "python")

CODE = '''"""Memories of our own."""

import numpy as np

from renate.memory.base import Policy


class Brightest(Policy):
    """Keeps the examples with the largest inputs."""

    shared = True

    def __init__(self, capacity):
        super().__init__(capacity)
        self.light = np.empty(0)

    def assign(self, ids, columns, size):
        new = columns["inputs"].flatten(1).float().mean(1).cpu().numpy().astype(np.float64)
        both = np.concatenate([self.light, new])
        kept = self.select({"light": both}, len(both))
        rows = kept[kept >= size] - size
        room = np.arange(size, min(size + len(rows), self.capacity))
        slots = np.concatenate([np.setdiff1d(np.arange(size), kept), room])[: len(rows)]
        self.light = np.concatenate([self.light, np.zeros(len(room))])
        self.light[slots] = new[rows]
        return slots, rows

    def values(self):
        return {"light": self.light}

    def restore(self, values):
        self.light = values["light"]

    def select(self, values, size):
        return np.sort(np.argsort(-values["light"], kind="stable")[: self.capacity])
'''
OPTION = """# The brightest images
_target_: my_lights.Brightest
capacity: 50
max_ram: null
"""


@pytest.fixture
def repository(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(workdir)
    (workdir / "my_lights.py").write_text(CODE)
    (workdir / "conf" / "memory").mkdir(parents=True)
    (workdir / "conf" / "memory" / "brightest.yaml").write_text(OPTION)
    return workdir


def kept(url: str) -> tuple[torch.Tensor, int]:
    """How bright the examples in a state's memory are, sorted, and how many were offered."""
    state = State(url)
    manifest = state.manifest()
    policy: Policy = build({"_target_": "my_lights.Brightest", "capacity": 50}, "memory")
    memory = bound(in_ram(policy))
    memory.load(lambda name: state.read(manifest, name))
    light = memory.columns()["inputs"].flatten(1).float().mean(1)
    assert np.allclose(policy.values()["light"], light.numpy())
    return light.sort().values, memory.count


@pytest.mark.slow
def test_it_is_an_option_like_every_other(repository: Path) -> None:
    quick = ["memory=brightest", "updater=er", "trainer.max_epochs=1", "data.val_size=0"]
    quick += ["state.url=./state", "model.hidden_sizes=[8]", "objective.metric=null"]
    renate.run([*quick, "state.first=true", "data.limit=300"])
    first, offered = kept("./state")
    assert len(first) == 50

    renate.run([*quick, "data.limit=400"])
    second, more = kept("./state")
    assert len(second) == 50
    assert more > offered
    assert (second >= first).all(), "what an update kept, the next one goes on from"
    assert second.sum() > first.sum()

    with pytest.raises(JobError, match="can't come back"):
        renate.run([*quick, "data.limit=300", "memory.capacity=60"])
    with pytest.raises(ConfigError, match="memory.size"):
        renate.run([*quick, "memory.size=60"])


def columns(count: int) -> Columns:
    return {"inputs": torch.rand(count, 4), "targets": torch.zeros(count, dtype=torch.long)}


class FirstCome(Policy):
    """Keeps what comes first, the shortest policy there is; but leaves a gap where asked to."""

    gap = 0

    def assign(self, ids: range, columns: Columns, size: int) -> Plan:
        assert self.capacity is not None
        count = min(len(ids), self.capacity - size)
        return np.arange(size, size + count) + self.gap, np.arange(count)


def test_what_a_policy_gets_wrong_is_said() -> None:
    memory = bound(in_ram(FirstCome(30)))
    for _ in range(5):
        memory.add_columns(columns(8))
    assert len(memory) == 30
    files = {name: data for name, data in memory.save() if data is not None}
    with pytest.raises(Exception, match="memory.capacity=20: a FirstCome can't tell which of 30"):
        bound(in_ram(FirstCome(20))).load(files.__getitem__)

    odd = FirstCome(30)
    odd.gap = 2
    with pytest.raises(ConfigError, match="FirstCome leaves slots below 10 without an example"):
        bound(in_ram(odd)).add_columns(columns(8))
    with pytest.raises(ConfigError, match="a dict is no policy; derive it from renate.mem"):
        Memory({}, None)  # type: ignore[arg-type]


def test_the_recipe_of_the_docs_runs(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(workdir)
    section = (
        (ROOT / "docs" / "extending.md").read_text().split("## A memory\n")[1].split("\n## ")[0]
    )
    option, code = (re.findall(rf"```{kind}\n(.*?)```", section, re.DOTALL)[0] for kind in KINDS)
    (workdir / "my_memories.py").write_text(code)
    (workdir / "conf" / "memory").mkdir(parents=True)
    (workdir / "conf" / "memory" / "tenth.yaml").write_text(option)

    quick = ["memory=tenth", "updater=er", "trainer.max_epochs=1", "data.limit=300"]
    url = renate.run([*quick, "model.hidden_sizes=[8]"]).state_url
    state = State(url)
    manifest = state.manifest()
    meta = json.loads(bytes(state.read(manifest, "memory/meta.json")))
    assert meta["policy"] == "EveryTenth"
    assert meta["size"] == -(-meta["count"] // 10) > 0
