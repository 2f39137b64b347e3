"""Mutated states: each use is refused in one line, or harmless; no code runs, no file is written
outside.
"""

import contextlib
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import renate
from renate.errors import RenateError, printable
from renate.jobs.config_yaml import dump
from renate.jobs.running.execute import execute
from renate.jobs.saved.restore import Saved
from renate.launchers.sweeps.from_python import composed
from renate.memory.reservoir import Reservoir
from renate.memory.store.memory import Memory
from renate.state.contents import metrics_from
from renate.state.gc import gc
from renate.state.manifest import strict_json
from renate.state.publish import publish, rollback, stage
from renate.state.versions import State
from renate.tuning.on_disk.trial_history import read
from tests.backends.conftest import moto, s3  # noqa: F401 (an S3 on this machine)

from .mutations import mutate

OLD = Path(__file__).parents[1] / "state" / "of_format_1"
GATE = 15
LATER = 100
OVER_S3 = int(os.environ.get("RENATE_MUTATIONS_S3", "200"))
FULL = int(os.environ.get("RENATE_MUTATIONS", "2000"))


def files_of(state: State) -> dict[str, bytes]:
    manifest = state.manifest()
    return {name: bytes(state.read(manifest, name)) for name in manifest.files}


def load(state: State) -> None:
    """The network, as load_model gives it, on an input of the size that it was made for."""
    model = renate.load_model(state.url)
    # Torch's own: a transform that is gone leaves pixels that don't fit
    with contextlib.suppress(RuntimeError):
        model(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


def jobs(state: State) -> None:
    """An update, and an evaluation, of a command that says nothing of model or transform but
    their sizes.
    """
    for job in ("update", "evaluate"):
        asked = [
            f"job={job}",
            f"state.url='{state.url}'",
            "model.hidden_sizes=[8]",
            "data.limit=50",
        ]
        asked += [
            "state.next_url=./next",
            "trainer.max_epochs=1",
            "memory.capacity=30",
            "run_dir=./runs",
        ]
        launcher, made = composed(
            asked if job == "update" else [o for o in asked if "next_url" not in o]
        )
        launcher.close()
        made.record = replace(made.record, publish=False)
        made.directory.prepare(dump(made.config), made.record)
        result = execute(made.directory.path)
        error = str(result.error or "")
        assert result.completed or result.failed
        assert "\n" not in error
        assert printable(error) == error
        assert "(traceback: " not in error or "RuntimeError" in error, error


def restore(state: State) -> None:
    """What an update and a stream read of their parent."""
    manifest = state.manifest()
    saved = Saved.read(state, manifest)
    saved.sizes_for({"input_shape": (1, 8, 8), "in_features": 64, "in_channels": 1})
    memory = Memory(Reservoir(30), 10**9)
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


def go_back(state: State) -> None:
    """A second version, of the first one's content."""
    parent = state.manifest()
    stage(
        state,
        ((name, None) for name in parent.files),
        job="y",
        parent=(state, parent),
        lineage={"seconds": 1.0},
    )
    publish(state, "y")
    rollback(state, 1)


USES: list[Callable[[State], None]] = [load, restore, go_back, look_after]
JOBS_EVERY = 10  # mutations; a job costs as much as a hundred of the other uses
POISON = 77_777_777


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is given out uninitialised holds a value that no example has."""
    empty = torch.empty

    def full(*shape: object, **how: object) -> torch.Tensor:
        made: torch.Tensor = empty(*shape, **how)  # type: ignore[call-overload]
        wide = made.dtype in (torch.int64, torch.float32, torch.float64)
        return made.fill_(POISON) if wide and made.device.type == "cpu" else made

    monkeypatch.setattr("renate.memory.store.columns.torch.empty", full)


def one_mutation(
    url: str,
    files: dict[str, bytes],
    chance: random.Random,
    uses: Sequence[Callable[[State], None]],
) -> dict[str, str]:
    """Put a mutated state at a URL and use it; returns what each use said, "" where it went
    well.
    """
    state = State(url)
    name = chance.choice([*files, "manifest"])
    changed = files if name == "manifest" else files | {name: mutate(name, files[name], chance)}
    stage(state, iter(changed.items()), job="x", parent=None, lineage={"seconds": 1.0})
    publish(state, "x")
    if name == "manifest":
        key = "versions/00000001.json"
        raw = json.dumps(json.loads(bytes(state.store.get(key)))).encode()
        state.store.replace(key, mutate("manifest.json", raw, chance))
    said: dict[str, str] = {}
    for use in uses:
        try:
            use(State(url))
            said[use.__name__] = ""
        except RenateError as error:
            said[use.__name__] = str(error)
    assert all(text.isprintable() for text in said.values())
    return said


def mutations(count: int, base: str) -> int:
    """Use so many mutated states below a URL; returns how many were refused by some use."""
    files = files_of(State(str(OLD)))
    chance = random.Random(count)
    refused = 0
    for number in range(count):
        uses = [*USES, jobs] if number % JOBS_EVERY == 0 else USES
        said = one_mutation(f"{base}/{number}", files, chance, uses)
        refused += any(said.values())
    return refused


@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize(
    "count",
    [
        GATE,
        pytest.param(LATER, marks=pytest.mark.slow),
        pytest.param(FULL, marks=pytest.mark.by_hand),
    ],
)
def test_mutated_states(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert mutations(count, str(tmp_path / "states")) > count / 4
    assert {path.name for path in here.iterdir()} <= {"runs", "next"}, (
        "what the jobs themselves were told to write"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "states"]


@pytest.mark.by_hand
@pytest.mark.usefixtures("poisoned", "s3")
def test_mutated_states_in_s3(workdir: Path) -> None:
    assert mutations(OVER_S3, "s3://renate-demo/mutated") > OVER_S3 / 4
    assert {path.name for path in workdir.iterdir()} <= {"runs", "next"}


def test_an_untouched_state_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(str(tmp_path / "state"))
    stage(
        state,
        iter(files_of(State(str(OLD))).items()),
        job="x",
        parent=None,
        lineage=json.loads(strict_json({})),
    )
    publish(state, "x")
    monkeypatch.chdir(tmp_path)
    for use in [*USES, jobs]:
        use(state)
