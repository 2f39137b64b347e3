"""Config files from the command line, and Renate's own command line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import renate
from renate.compat.calls import command_line
from renate.state.versions import State
from tests.command import renate as command
from tests.compat.scripts import HERE, bring, run_script

QUICK = ["trainer.max_epochs=1", "memory.capacity=20"]


@pytest.fixture
def full(workdir: Path) -> Path:
    return bring("full", workdir, origin=HERE / "files")


def composed(full: Path, *more: str) -> Any:
    done = command("--cfg", "job", "config_file=full.py", *more, cwd=full.parent)
    return yaml.safe_load(done.stdout)


def test_arguments_are_keys(full: Path) -> None:
    config = composed(full, "hidden=64", "config_file.rows=100")
    assert config["config_file"] == {
        "path": "full.py",
        "hidden": 64,
        "activation": "ReLU",
        "rows": 100,
        "scale": 16.0,
        "smoothing": 0.0,
        "rate": 0.05,
        "betas": [0.9, 0.999],
        "interval": "epoch",
        "sizes": None,
    }
    assert config["loss"]["_target_"].endswith("LossFn")
    assert set(config["metrics"]) == {"accuracy", "f1"}


def test_the_file_isnt_run_before_its_job(workdir: Path) -> None:
    file = workdir / "full.py"
    text = bring("full", workdir, origin=HERE / "files").read_text()
    file.write_text(f"raise SystemExit('run')\n{text}")
    composed(file)


def test_groups_that_are_chosen_stay(full: Path) -> None:
    config = composed(full, "loss=cross_entropy", "optimizer=sgd", "data=config_file")
    assert config["loss"]["_target_"] == "torch.nn.CrossEntropyLoss"
    assert config["optimizer"]["_target_"] == "torch.optim.SGD"


def test_our_own_keys_come_first(full: Path) -> None:
    full.write_text(full.read_text().replace("smoothing", "resume"))
    config = composed(full, "resume=false", "config_file.resume=0.5")
    assert config["resume"] is False
    assert config["config_file"]["resume"] == 0.5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["hiden=3"], "hiden=3: no such key"),
        (["config_file.hiden=3"], "did you mean 'config_file.hidden'?"),
    ],
)
def test_keys_that_no_function_takes(full: Path, more: list[str], message: str) -> None:
    done = command("config_file=full.py", *more, cwd=full.parent, code=1)
    assert message in done.stderr


def test_values_of_another_type(full: Path) -> None:
    done = command("config_file=full.py", "hidden=wide", *QUICK, cwd=full.parent, code=1)
    assert "config_file.hidden='wide': model_fn expects a int" in done.stderr


def test_arguments_that_must_be_given(full: Path) -> None:
    full.write_text(full.read_text().replace("smoothing: float = 0.0", "smoothing: float"))
    done = command("config_file=full.py", cwd=full.parent, code=1)
    assert "config_file.smoothing is mandatory: give config_file.smoothing=…" in done.stderr


def test_a_file_that_isnt_there(workdir: Path) -> None:
    done = command("config_file=full.py", cwd=workdir, code=1)
    assert "config_file=full.py: no such file" in done.stderr
    done = command("data=config_file", "model=config_file", cwd=workdir, code=1)
    assert "config_file=null: give the file, config_file=my_config.py" in done.stderr


@pytest.mark.slow
def test_a_sweep_over_an_argument(full: Path) -> None:
    command(
        *("data=config_file", "model=config_file", "config_file=full.py", "hidden=4,12", *QUICK),
        cwd=full.parent,
    )
    widths = set()
    for path in (full.parent / "runs").glob("*/config.yaml"):
        url = str(path.parent / "state")
        state = State(url)
        tensors = state.manifest().files
        assert "model.safetensors" in tensors
        node = yaml.safe_load(path.read_text())["config_file"]
        module = run_script(full)
        net = module["model_fn"](hidden=node["hidden"])
        model = renate.load_model(url, model=net, trust=["renate"])
        widths.add(model.model.get_predictor().in_features)  # type: ignore[union-attr]
    assert widths == {4, 12}


@pytest.mark.slow
def test_an_argument_is_tuned(full: Path) -> None:
    command(
        *("config_file=full.py", "hidden=int(interval(4,64))", "tuner=random"),
        *("tuner.max_trials=2", "state.url=out", "state.first=true", *QUICK),
        cwd=full.parent,
    )
    state = State(str(full.parent / "out"))
    lineage = state.manifest().lineage
    best = int(lineage["tuned"]["config"]["config_file.hidden"])

    # The next update doesn't say how wide the network is: its weights do
    command("config_file=full.py", "state.url=out", *QUICK, cwd=full.parent)
    module = run_script(full)
    net = module["model_fn"](hidden=best)
    model = renate.load_model(state.url, model=net, trust=["renate"])
    assert model.version == 2


def test_every_function_has_its_effect(full: Path) -> None:
    """The learning rate halves each epoch, the loss is smoothed, items are scaled, f1 measured."""
    more = ["trainer.max_epochs=3", "objective.metric=val_f1", "state.url=out", "state.first=true"]
    done = command("config_file=full.py", *more, "smoothing=0.2", cwd=full.parent)
    assert "val_f1" in done.stderr
    runs = [*(full.parent / "runs").glob("*/metrics.jsonl")]
    rows = [json.loads(line) for line in runs[0].read_text().splitlines()]
    assert {"val_accuracy", "val_f1", "val_loss"} <= rows[-1].keys()
    assert rows[-1]["val_loss"] > 0.2, "smoothed targets keep the loss away from 0"


@pytest.mark.slow
def test_an_edited_file_is_another_job(full: Path) -> None:
    once = ["config_file=full.py", "state.url=out", *QUICK]
    command(*once, "state.first=true", cwd=full.parent)
    same = command(*once, cwd=full.parent)
    assert "already published as version 1" in same.stdout + same.stderr

    (full.parent / "beside.py").write_text("ROWS = 150\n")
    text = full.read_text().replace("self.rows = rows", "self.rows = ROWS")
    full.write_text(f"from beside import ROWS\n{text}")
    command(*once, cwd=full.parent)
    assert State(str(full.parent / "out")).versions() == [1, 2]

    (full.parent / "beside.py").write_text("ROWS = 100\n")
    command(*once, cwd=full.parent)
    assert State(str(full.parent / "out")).versions() == [1, 2, 3], "what it imports counts too"


def test_renates_own_command_line(full: Path, capfd: pytest.CaptureFixture[str]) -> None:
    flags = "--updater ER --config_file full.py --output_state_url out --max_epochs 1 --hidden 6 "
    flags += "--memory_size=20 --alpha 5e-1 --betas [0.8,0.9] --metric val_accuracy --mode max"
    command_line.main(flags.split())
    state = State("out")
    config = yaml.safe_load(bytes(state.read(state.manifest(), "config.yaml")).decode())
    assert config["config_file"]["hidden"] == 6
    assert config["optimizer"]["config_file"]["betas"] == [0.8, 0.9]
    assert (config["updater"]["alpha"], config["memory"]["capacity"]) == (0.5, 20)
    weights = torch.load("out/model.ckpt", weights_only=True)
    assert weights["_tasks_params.default_task.weight"].shape == (10, 6)
    assert "val_accuracy=" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--updater ER --config_file full.py --hiden 3", "did you mean 'hidden'"),
        ("--updater ER --config_file full.py --hidden", "--hidden: expected a value after it"),
        ("--updater ER --config_file full.py hidden", "hidden: expected a flag"),
        ("--updater ER --config_file full.py --early_stopping maybe", "expected True or False"),
        ("--updater EE --config_file full.py", "Renate has none of that name"),
        ("--updater ER --config_file ful.py", "no such file, did you mean 'full.py'"),
    ],
)
def test_flags_that_cant_be_right(full: Path, flags: str, message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        command_line.main(flags.split())


@pytest.mark.slow
def test_it_runs_as_a_module(full: Path) -> None:
    flags = "--updater FineTuning --config_file full.py --output_state_url out --max_epochs 1"
    subprocess.run([sys.executable, "-m", "renate.cli.run_training", *flags.split()], check=True)
    assert State("out").versions() == [1]
