"""Scripts that ran under Renate 0.5.1 run here, unchanged, and leave what its page says."""

import csv
from pathlib import Path

import pytest
import torch

import renate
from renate.state.versions import State
from renate.tuning.on_disk.trial_history import read
from tests.compat.scripts import bring, run_script

KEYS = ("optimizer", "learning_rate", "batch_size", "memory_size", "alpha", "updater", "mode")


@pytest.fixture
def renate_config(workdir: Path) -> Path:
    return bring("renate_config", workdir)


def test_two_updates_without_tuning(
    renate_config: Path, workdir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = bring("run", workdir)
    run_script(script)

    shown = capfd.readouterr().err
    assert shown.count("val_accuracy=0.") == 2 * 3, "one line an epoch, of three, of two updates"

    first = State("out1")
    second = State("out2")
    assert first.versions() == second.versions() == [1]
    parent = second.manifest(1).parent
    assert parent is not None
    assert parent.url == first.url, "the second update goes on from the first one's outcome"

    module = run_script(renate_config)
    for url in ("out1", "out2"):
        made = module["model_fn"](f"{url}/model.ckpt")
        loaded = renate.load_model(url, model=module["model_fn"]())
        inputs = torch.rand(4, 64)
        assert torch.equal(made(inputs), loaded(inputs)), "model.ckpt holds the version's weights"
        assert len(loaded.labels) == 10


def test_outputs_are_where_the_page_says(renate_config: Path, workdir: Path) -> None:
    """As its page "Renate's output" loads the updated model, by either release's words."""
    from renate.defaults import current_state_folder, hpo_file, input_state_folder, model_file

    run_script(bring("run_hpo", workdir))
    model_fn = run_script(renate_config)["model_fn"]
    loaded = renate.load_model("out3", model=model_fn())
    inputs = torch.rand(4, 64)
    for folder in (current_state_folder, input_state_folder):
        model = model_fn(model_file(folder("out3/")))
        assert torch.equal(model(inputs), loaded(inputs))

    with Path(hpo_file("out3")).open() as file:
        assert len(list(csv.DictReader(file))) == 3
    assert model_file("s3://bucket/first/") == "s3://bucket/first/model.ckpt"


def test_the_same_script_again_trains_nothing(
    renate_config: Path, workdir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script = bring("run", workdir)
    text = script.read_text().replace("    run_training_job(input_state_url", "    #")
    script.write_text(text)
    run_script(script)
    before = State("out1").manifest()
    capfd.readouterr()

    run_script(script)
    assert State("out1").manifest() == before
    assert "already published as version 1" in capfd.readouterr().err


def test_tuning(renate_config: Path, workdir: Path) -> None:
    run_script(bring("run_hpo", workdir))

    state = State("out3")
    history = read(state, state.manifest())
    assert len(history) == 3, "max_num_trials_finished=3"
    assert {row["data.batch_size"] for row in history} <= {"32", "64"}
    assert all(0.001 <= float(row["optimizer.lr"]) <= 0.1 for row in history)

    with Path("out3/hpo.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial_id"] for row in rows] == ["0", "1", "2"]
    assert [row["config_learning_rate"] for row in rows] == [r["optimizer.lr"] for r in history]
    assert [row["val_accuracy"] for row in rows] == [row["value"] for row in history]
    for key in KEYS:
        assert all(row[f"config_{key}"] for row in rows), key
    assert {row["update_id"] for row in rows} == {"0"}
    assert Path("out3/model.ckpt").is_file()


@pytest.mark.slow
def test_optimizers_are_tuned_and_listed_as_renate_called_them(
    renate_config: Path, workdir: Path
) -> None:
    import syne_tune.config_space as syne_tune

    from renate.training import run_training_job

    run_training_job(
        config_space={
            "optimizer": syne_tune.choice(["SGD", "Adam"]),
            "momentum": 0.9,
            "learning_rate": syne_tune.loguniform(0.001, 0.1),
        },
        mode="max",
        metric="val_accuracy",
        max_epochs=1,
        config_file="renate_config.py",
        output_state_url="out",
        max_num_trials_finished=5,
    )
    with Path("out/hpo.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["config_optimizer"] for row in rows} == {"SGD", "Adam"}
    assert {row["config_momentum"] for row in rows} == {"0.9"}
