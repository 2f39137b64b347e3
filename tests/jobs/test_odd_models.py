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
from tests.conftest import write_table

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

    measured = renate.run([*MODEL[:2], *STATE, *data_of(2), "job=evaluate", "transform=none"])
    assert f"test_accuracy                {measured.metrics['test_accuracy']:.4f}" in re.sub(
        r"\S+ → ", "", done.stdout
    )

    line = re.search('load +python -c "(.*)"', done.stdout)
    assert line is not None
    found: dict[str, Any] = {}
    exec(line[1], found)
    assert found["model"].predict(raw()) == [1, 0]


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


@pytest.mark.parametrize("updater", ["joint", pytest.param("gdumb", marks=pytest.mark.slow)])
def test_who_begins_anew_begins_with_the_given_weights(updater: str, workdir: Path) -> None:
    torch.manual_seed(0)
    given = {
        "layers.1.weight": torch.randn(4, 2),
        "layers.1.bias": torch.randn(4),
        "layers.3.weight": torch.randn(9, 4),
    }
    save_file(given, workdir / "w.safetensors")
    lines = [
        f"updater={updater}",
        *STATE,
        "data=files",
        "data.target=label",
        "data.train=*.parquet",
    ]
    lines += ["model.hidden_sizes=[4]", "trainer.max_epochs=1", "optimizer.lr=0.5"]
    for week in (1, 2):
        write_table(workdir / f"{week}.parquet", seed=week)
        rate = ["optimizer.lr=0.0"] if week == 2 else []
        first = f"state.first={str(week == 1).lower()}"
        renate.run([*lines, *rate, first, "model.weights=w.safetensors"])

    trained = tensors(1)
    found = tensors(2)
    assert not torch.equal(trained["layers.1.weight"], given["layers.1.weight"])
    assert torch.equal(found["layers.1.weight"], given["layers.1.weight"])
    assert not torch.equal(found["layers.3.weight"], trained["layers.3.weight"]), "a fresh head"


@pytest.mark.slow
def test_the_load_line_trusts_every_module_of_ones_own(workdir: Path) -> None:
    (workdir / "my_way.py").write_text(
        "import torch\n\nfrom renate.updaters.er import ER\n\n\nclass Way(ER):\n"
        "    def predict(self, model, inputs):\n        return -model(inputs)\n"
    )
    (workdir / "my_shift.py").write_text(
        "from torch import nn\n\n\nclass Shift(nn.Module):\n"
        "    def forward(self, inputs):\n        return inputs.float() / 16\n"
    )
    (workdir / "conf" / "updater").mkdir(parents=True)
    (workdir / "conf" / "updater" / "way.yaml").write_text(
        "_target_: my_way.Way\nreplay_batch_size: 8\n"
    )
    shift = "transform.inputs.{}=[{{_target_:my_shift.Shift}}]"
    given = ["updater=way", *(shift.format(part) for part in ("stream", "memory", "test"))]
    done = command(*given, "trainer.max_epochs=1", cwd=workdir)
    line = re.search('load +python -c "(.*)"', done.stdout)
    assert line is not None
    assert "trust=['my_shift', 'my_way']" in line[1]
    subprocess.run([sys.executable, "-c", line[1]], cwd=workdir, check=True)
