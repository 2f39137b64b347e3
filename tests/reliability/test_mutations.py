"""Mutated states: each use is refused in one line, or harmless; no code runs, no file is written outside."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import renate
from renate.errors import RenateError
from renate.jobs.restore import Saved
from renate.memory.reservoir import Reservoir
from renate.state.contents import metrics_from
from renate.state.gc import gc
from renate.state.manifest import strict_json
from renate.state.publish import publish, stage
from renate.state.versions import State
from renate.tuning.past import read

from .mutations import mutate

OLD = Path(__file__).parents[1] / "state" / "of_format_1"
GATE = 100
FULL = int(os.environ.get("RENATE_MUTATIONS", "2000"))


def files_of(state: State) -> dict[str, bytes]:
    manifest = state.manifest()
    return {name: bytes(state.read(manifest, name)) for name in manifest.files}


def load(state: State) -> None:
    """The network, as load_model gives it, on an input of the size that it was made for."""
    renate.load_model(state.url)(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


def restore(state: State) -> None:
    """What an update and a stream read of their parent."""
    manifest = state.manifest()
    saved = Saved.read(state, manifest)
    saved.sizes_for({"input_shape": (1, 8, 8), "in_features": 64, "in_channels": 1})
    memory = Reservoir(30, 10**9)
    memory.bind(seed=0)
    memory.load(lambda name: state.read(manifest, name))
    for column in memory.columns().values():
        assert not (column == POISON).any() or column.dtype == torch.uint8
    saved.tensors("updater")
    metrics_from(state.read(manifest, "metrics.json"), "metrics.json")
    read(state, manifest)


def look_after(state: State) -> None:
    state.verify()
    gc(state, keep=1, grace=0)


USES: list[Callable[[State], None]] = [load, restore, look_after]
POISON = 77_777_777


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is given out uninitialised holds a value that no example has."""
    empty = torch.empty

    def full(*shape: object, **how: object) -> torch.Tensor:
        made: torch.Tensor = empty(*shape, **how)  # type: ignore[call-overload]
        wide = made.dtype in (torch.int64, torch.float32, torch.float64)
        return made.fill_(POISON) if wide and made.device.type == "cpu" else made

    monkeypatch.setattr("renate.memory.columns.torch.empty", full)


def one_mutation(url: str, files: dict[str, bytes], chance: random.Random) -> dict[str, str]:
    """Put a mutated state at a URL and use it; returns what each use said, "" where it went well."""
    state, name = State(url), chance.choice([*files, "manifest"])
    changed = files if name == "manifest" else files | {name: mutate(name, files[name], chance)}
    stage(state, iter(changed.items()), job="x", parent=None, lineage={"seconds": 1.0})
    publish(state, "x")
    if name == "manifest":
        key = "versions/00000001.json"
        raw = json.dumps(json.loads(bytes(state.store.get(key)))).encode()
        state.store.replace(key, mutate("manifest.json", raw, chance))
    said: dict[str, str] = {}
    for use in USES:
        try:
            use(State(url))
            said[use.__name__] = ""
        except RenateError as error:
            said[use.__name__] = str(error)
    assert all(text.isprintable() for text in said.values())
    return said


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("count", [GATE, pytest.param(FULL, marks=pytest.mark.slow)])
def test_mutated_states(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    files, chance, refused = files_of(State(str(OLD))), random.Random(count), 0
    for number in range(count):
        said = one_mutation(str(tmp_path / "states" / str(number)), files, chance)
        refused += any(said.values())
    assert refused > count / 4
    assert not list(here.iterdir())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here", "states"]


def test_an_untouched_state_is_used(tmp_path: Path) -> None:
    state = State(str(tmp_path / "state"))
    stage(state, iter(files_of(State(str(OLD))).items()), job="x", parent=None, lineage=json.loads(strict_json({})))
    publish(state, "x")
    for use in USES:
        use(state)
