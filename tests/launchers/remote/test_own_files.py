"""What a source of the user's own reads travels, whatever its keys are called."""

import json
import shutil
import sys
from pathlib import Path

import pytest

import renate
from renate.state.versions import State
from tests.command import renate as command
from tests.data.test_text_source import REPOSITORY, TRAINED, write_texts

TOY = Path(__file__).parents[1] / "toy_repository"


@pytest.fixture
def toy(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.syspath_prepend(workdir)
    monkeypatch.delitem(sys.modules, "my_texts", raising=False)
    for folder in (TOY, REPOSITORY):
        shutil.copytree(folder, workdir, dirs_exist_ok=True)
    write_texts(workdir / "1.jsonl", 1)
    (workdir / "words.txt").write_text("goal match team atom cell theory bank stock price the of")
    asked = ["data=texts", "model=bag", "data.corpus=1.jsonl", "data.vocab=words.txt", *TRAINED]
    return [*asked, "backend=toy", f"backend.staging={workdir}/store"]


@pytest.mark.slow
def test_both_files_travel(toy: list[str], workdir: Path) -> None:
    command(*toy, "state.url=./state", "state.first=true", cwd=workdir)
    sent = {path.name for path in (workdir / "store" / "data").rglob("*") if path.is_file()}
    assert sent == {"1.jsonl", "words.txt"}
    (config,) = (workdir / "store" / "jobs").glob("*/job/config.yaml")
    assert str(workdir / "store" / "data") in config.read_text()

    state = State("./state")
    kept = json.loads(bytes(state.read(state.manifest(), "encoder.json")))
    assert "goal" in kept["state"]["words"]
    assert "league" not in kept["state"]["words"], "the file of words was read there"
    assert renate.load_model("./state", trust=["my_texts"]).predict(["goal"]) == ["sports"]


@pytest.mark.slow
def test_they_travel_with_a_sweep(toy: list[str], workdir: Path) -> None:
    done = command(*toy, "backend.sweep=inside", "seed=0,1", "state.url=null", cwd=workdir)
    assert done.stderr.count("submitted as toy-") == 1
    assert json.loads((workdir / "runs/latest/result.json").read_text())["status"] == "completed"


def test_a_file_that_would_stay_behind_is_told(toy: list[str], workdir: Path) -> None:
    module = workdir / "my_texts.py"
    module.write_text(module.read_text().replace('"vocab": self.vocab, ', ""))
    refused = command(*toy, "state.url=./state", "state.first=true", cwd=workdir, code=1)
    assert refused.stderr.splitlines()[-1] == (
        "renate: data.vocab=words.txt is a file of this machine, and files() of my_texts.Texts "
        "doesn't name it: let it return 'vocab' too"
    )
