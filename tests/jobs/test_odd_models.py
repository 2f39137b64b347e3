"""Models of the user's own, from a file and live: several inputs by name, one of several outputs,
tied weights, lazy modules, frozen parts, weights of another training.
"""

import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save_file

import renate
from renate.errors import ConfigError, JobError
from renate.state.versions import State
from tests.command import renate as command

HERE = Path(__file__).parent
MODEL = ["model=torch_module", "model._target_=my_odd.Odd", "+model.num_classes=null"]
QUICK = ["model.output=logits", "trainer.max_epochs=3", "optimizer.lr=0.3", "transform=none"]
STATE = ["state.url=./state"]


def data_of(seed: int) -> list[str]:
    return ["data=torch_dataset", f"data.train={{_target_:my_odd.Items,seed:{seed}}}"]


def tensors(version: int, url: str = "./state") -> dict[str, torch.Tensor]:
    state = State(url)
    return load(bytes(state.read(state.manifest(version), "model.safetensors")))


@pytest.fixture
def odd(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module beside the user's command."""
    shutil.copy(HERE / "odd_model.txt", workdir / "my_odd.py")
    monkeypatch.syspath_prepend(workdir)
    monkeypatch.delitem(sys.modules, "my_odd", raising=False)
    yield importlib.import_module("my_odd")
    sys.modules.pop("my_odd", None)


def raw() -> dict[str, torch.Tensor]:
    numbers = torch.tensor([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0]])
    return {"word": torch.tensor([1, 2]), "numbers": numbers, "noise": torch.zeros(2, 1)}


def test_from_a_file_for_two_weeks(odd: Any, workdir: Path) -> None:
    renate.run([*MODEL, *QUICK, *STATE, *data_of(1), "state.first=true"])
    first = tensors(1)
    assert torch.equal(first["embedding.weight"], first["decode.weight"]), "tied"
    assert first["numbers.0.weight"].shape == (8, 3), "lazy"

    frozen = ["model.freeze=[numbers,embedding]", "updater=derpp", "memory.backfill=true"]
    done = command(*MODEL, *QUICK, *STATE, *data_of(2), *frozen, cwd=workdir)
    assert "forward has no argument for the inputs noise" in done.stdout + done.stderr
    second = tensors(2)
    kept = [name for name in first if not name.startswith("head.")]
    assert all(torch.equal(first[name], second[name]) for name in kept), "statistics as well"
    assert not torch.equal(first["head.weight"], second["head.weight"])

    line = re.search('load +python -c "(.*)"', done.stdout)
    assert line is not None
    code = f"{line[1]}; import torch; print(model.predict({raw()!r}.copy()))"
    code = code.replace("tensor(", "torch.tensor(")
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=workdir, capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "[1, 0]"


def test_live_with_weights_to_begin_with(odd: Any, workdir: Path) -> None:
    torch.manual_seed(3)
    given = odd.Odd(2)
    given(**{name: each for name, each in raw().items() if name != "noise"})  # shapes
    other = {name: torch.full_like(each, 0.25) for name, each in given.state_dict().items()}
    other["head.weight"] = torch.ones(7, 8)
    del other["decode.weight"]
    save_file(other, workdir / "w.safetensors")

    lines = [*QUICK, *STATE, "model.weights=w.safetensors", "optimizer.lr=0.0"]
    data = {"train": odd.Items(1), "test": odd.Items(2)}
    renate.run([*lines, "state.first=true", "trainer.max_epochs=1"], model=given, data=data)
    found = tensors(1)
    assert torch.equal(found["net.decode.weight"], torch.full((20, 8), 0.25))
    assert torch.equal(found["net.head.weight"], given.head.weight.detach())

    model = renate.load_model("./state", model=odd.Odd(2))
    assert model(raw()).shape == (2, 2), "the output that counts is part of the version"


def test_mistakes_come_before_the_training(odd: Any, workdir: Path) -> None:
    lines = [*MODEL, *data_of(1), "transform=none", "trainer.max_epochs=1"]
    for changes, message in (
        ([], "forward gives a dict of rebuilt, logits, .* model.output=… names the one to take"),
        (["model.output=logit"], "model.output=logit: .* did you mean 'logits'"),
        (["model.output=logits", "model.freeze=[heat]"], "no part 'heat', did you mean 'head'"),
        (["model.output=logits", "model.weights=w.pt"], "model.weights=w.pt: No such file"),
    ):
        with pytest.raises((JobError, ConfigError), match=message):
            renate.run([*lines, *changes])
