"""States that Renate 0.5.1 wrote, imported: weights, labels, memory, trials; and what isn't one."""

import csv
import io
import json
import pickle
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

import renate
from renate.compat.states.buffer import memory_of
from renate.compat.states.history import history_of
from renate.compat.states.pickles import read_bytes
from renate.errors import StateError
from renate.state.versions import State
from renate.training import run_training_job
from renate.tuning.on_disk.trial_history import read
from tests.command import renate as command
from tests.command import workers_kept_warm
from tests.compat.scripts import ORIGINAL, bring, run_script

LABELS = list(range(10))


@pytest.fixture
def old(workdir: Path) -> Path:
    """The folder with out1, out2 and out3."""
    for name in ("out1", "out2", "out3"):
        with tarfile.open(ORIGINAL / f"{name}.tar.gz") as tar:
            tar.extractall(workdir, filter="data")
    return workdir


@pytest.fixture
def model_fn(old: Path) -> Any:
    return run_script(bring("renate_config", old))["model_fn"]


@pytest.fixture
def _warm() -> Iterator[None]:
    with workers_kept_warm():
        yield


def imported(old: Path, name: str, *more: str) -> State:
    command("state", "import", name, f"new_{name}", "--trust-pickle", *more, cwd=old)
    return State(str(old / f"new_{name}"))


def first_test_images() -> torch.Tensor:
    inputs, _ = load_digits(return_X_y=True)
    return torch.tensor(inputs[1500:1520], dtype=torch.float32) / 16


@pytest.mark.parametrize("name", ["out1", "out2", "out3"])
def test_predictions_equal_renates(old: Path, model_fn: Any, name: str) -> None:
    state = imported(old, name)
    expected = torch.tensor(json.loads((ORIGINAL / "logits.json").read_text())[name])
    model = renate.load_model(state.url, model=model_fn())
    assert torch.allclose(model(first_test_images()), expected, atol=1e-6, rtol=0)
    assert model.labels == LABELS

    beside = model_fn(f"{state.url}/model.ckpt")
    assert torch.allclose(beside(first_test_images()), expected, atol=1e-6, rtol=0)


def test_the_memory_is_what_renate_kept(old: Path) -> None:
    learner = torch.load(old / "out3/learner.ckpt", weights_only=True)
    memory, option = memory_of(old / "out3", learner, lambda text: pytest.fail(text))
    assert option == "reservoir"
    assert (len(memory), memory.capacity, memory.count) == (40, 40, 960)

    kept = memory.columns()
    for slot in range(40):
        file = learner["memory_buffer"]["indices"][slot][1]
        inputs, target = torch.load(old / f"out3/memory_buffer/{file}.pt", weights_only=True)
        assert torch.equal(kept["inputs"][slot], inputs)
        assert int(kept["targets"][slot]) == int(target)
    outputs = learner["memory_buffer"]["metadata"]["outputs"]
    assert torch.equal(kept["logits"], outputs), "DER compares with the logits of then"

    # The keys are those of a reservoir that was offered as many: later ones replace as they would
    policy: Any = memory.policy
    keys = policy.keys_of(memory.seed, range(960))
    assert sorted(policy.values()["key"]) == sorted(keys)[-40:]


def test_trials_come_along(old: Path) -> None:
    state = imported(old, "out3")
    rows = read(state, state.manifest())
    with (old / "out3/hpo.csv").open() as file:
        theirs = list(csv.DictReader(file))

    assert [row["trial"] for row in rows] == list(dict.fromkeys(r["trial_id"] for r in theirs))
    for row in rows:
        reports = [r for r in theirs if r["trial_id"] == row["trial"]]
        best = max(float(r["val_accuracy"]) for r in reports)
        assert float(row["value"]) == best
        assert row["optimizer.lr"] == reports[0]["config_learning_rate"]
        assert row["data.batch_size"] == reports[0]["config_batch_size"]
        assert row["updater.beta"] == "0.5"
        assert (row["metric"], row["mode"], row["update"]) == ("val_accuracy", "max", "1")

    state = imported(old, "out2")
    assert {row["update"] for row in read(state, state.manifest())} == {"1", "2"}


@pytest.mark.usefixtures("_warm")
def test_the_next_update_goes_on(old: Path) -> None:
    start = imported(old, "out2")
    bring("renate_config", old)
    run_training_job(
        config_space={
            "optimizer": "SGD",
            "learning_rate": 0.05,
            "max_epochs": 1,
            "memory_size": 40,
        },
        mode="max",
        metric="val_accuracy",
        backend="local",
        config_file="renate_config.py",
        input_state_url="new_out2",
        output_state_url="next",
    )

    state = State("next")
    meta = json.loads(bytes(state.read(state.manifest(), "memory/meta.json")))
    assert meta["count"] == 2400 + 480, "the reservoir has been offered all that Renate's was"
    parent = state.manifest().parent
    assert parent is not None
    assert parent.url == start.url


@pytest.mark.usefixtures("_warm")
def test_the_next_tuned_update_tries_the_old_best_first(old: Path) -> None:
    domains = pytest.importorskip("syne_tune.config_space")
    state = imported(old, "out3")
    rows = read(state, state.manifest())
    best = max(rows, key=lambda row: float(row["value"]))
    bring("renate_config", old)
    run_training_job(
        config_space={
            "optimizer": "SGD",
            "learning_rate": domains.uniform(0.001, 0.1),
            "batch_size": domains.choice([32, 64]),
            "max_epochs": 1,
            "memory_size": 40,
        },
        mode="max",
        metric="val_accuracy",
        backend="local",
        updater="DER",
        config_file="renate_config.py",
        input_state_url="new_out3",
        output_state_url="next",
        max_num_trials_finished=2,
    )

    history = read(State("next"), State("next").manifest())
    new = [row for row in history if row["update"] == "2"]
    assert len(history) == len(rows) + len(new)
    assert float(new[0]["optimizer.lr"]) == float(best["optimizer.lr"])
    assert new[0]["source"] == "enqueued"
    with Path("next/hpo.csv").open() as file:
        updates = [row["update_id"] for row in csv.DictReader(file)]
    assert set(updates) == {"0", "1"}


def test_pickles_are_read_only_on_request(old: Path) -> None:
    done = command("state", "import", "out1", "new", cwd=old, code=1)
    assert "a pickle can run code" in done.stderr
    assert "--trust-pickle" in done.stderr
    assert not (old / "new").exists()


class Touch:
    """What a hostile pickle would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_in_a_pickle_is_told(old: Path) -> None:
    torch.save({"weight": Touch(old / "ran")}, old / "out1" / "model.ckpt")
    command("state", "import", "out1", "new", cwd=old, code=1)
    assert not (old / "ran").exists(), "not without the flag"

    done = command("state", "import", "out1", "new", "--trust-pickle", cwd=old, code=1)
    assert "its pickle was run as code" in done.stderr
    assert (old / "ran").exists()


def test_plain_values_within_a_file_need_no_code() -> None:
    said: list[str] = []
    assert read_bytes(pickle.dumps({"a": [1, 2.5, "b", {"c"}]}), "x", said.append) == {
        "a": [1, 2.5, "b", {"c"}]
    }
    assert not said
    with pytest.raises(StateError, match="damaged pickle"):
        read_bytes(b"\x80\x04\x95", "x", said.append)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.ckpt").unlink(), "model.ckpt: no such file"),
        (lambda f: (f / "learner.ckpt").unlink(), "learner.ckpt: no such file"),
        (lambda f: (f / "memory_buffer" / "7.pt").unlink(), "7.pt: no such file"),
        (lambda f: cut(f / "model.ckpt"), "model.ckpt: damaged"),
        (lambda f: cut(f / "memory_buffer" / "7.pt"), "7.pt: damaged"),
        (lambda f: torch.save([1], f / "learner.ckpt"), "no learner that Renate 0.5 wrote"),
        (lambda f: torch.save({"a": 1}, f / "model.ckpt"), "'a' is no tensor"),
        (
            lambda f: torch.save((torch.zeros(3), torch.tensor(1)), f / "memory_buffer" / "7.pt"),
            "its input is torch.float32 [3]",
        ),
        (lambda f: (f / "hpo.csv").write_text("a,b\n1,2\n"), "it has no column update_id"),
        (lambda f: changed_hpo(f, "config_mode", "Maximum"), "config_mode is 'Maximum', expected"),
        (lambda f: changed_hpo(f, "config_metric", "val_x"), "there is no such column"),
        (lambda f: changed_hpo(f, "update_id", "-7"), "update_id is -7, trial_id 0: expected 0"),
        (lambda f: changed_hpo(f, "epoch", "nan"), "an epoch is nan"),
        (lambda f: changed_hpo(f, "epoch", "1,2", quote=False), "more or fewer fields"),
        (lambda f: changed_memory(f, "max_size", None), "isn't as Renate 0.5 wrote it: KeyError"),
        (lambda f: changed_memory(f, "indices", [1, 2]), "isn't as Renate 0.5 wrote it"),
        (lambda f: example(f, (torch.zeros(64), "a")), "its target is 'a', expected"),
        (lambda f: example(f, (torch.zeros(64) / 0, 1)), "7.pt: its input holds nan"),
        (lambda f: diverge(f), "holds nan: this model has diverged"),
        (lambda f: (f / "avalanche.ckpt").touch(), "a state of Avalanche's"),
        (shutil.rmtree, "no such folder"),
    ],
)
def test_what_is_no_state_of_renates(old: Path, damage: Any, message: str) -> None:
    damage(old / "out1")
    done = command("state", "import", "out1", "new", "--trust-pickle", cwd=old, code=1)
    assert message in done.stderr
    assert done.stderr.strip().count("\n") == 0, "one line"
    assert not State(str(old / "new")).versions(), "nothing is published"


def test_a_state_of_ours_needs_no_import(old: Path) -> None:
    command("state", "import", "out1", "new", "--trust-pickle", cwd=old)
    done = command("state", "import", "new", "newer", "--trust-pickle", cwd=old, code=1)
    said = "renate: new: it is a state of this package already, which an update goes on from"
    assert done.stderr.strip() == f"{said}: state.url=new"


def changed_hpo(folder: Path, column: str, value: str, *, quote: bool = True) -> None:
    """Write the trials of another state, with one column's values in the first line changed."""
    with (folder.parent / "out2" / "hpo.csv").open(newline="") as file:
        lines = list(csv.reader(file))
    lines[1][lines[0].index(column)] = value
    if quote:
        with (folder / "hpo.csv").open("w", newline="") as file:
            csv.writer(file).writerows(lines)
    else:
        (folder / "hpo.csv").write_text("\n".join(",".join(line) for line in lines))


def changed_memory(folder: Path, key: str, value: Any) -> None:
    learner = torch.load(folder / "learner.ckpt", weights_only=True)
    learner["memory_buffer"][key] = value
    if value is None:
        del learner["memory_buffer"][key]
    torch.save(learner, folder / "learner.ckpt")


def example(folder: Path, held: Any) -> None:
    torch.save(held, folder / "memory_buffer" / "7.pt")


def diverge(folder: Path) -> None:
    weights = torch.load(folder / "model.ckpt", weights_only=True)
    found = next(tensor for tensor in weights.values() if tensor.is_floating_point())
    found.view(-1)[0] = float("nan")
    torch.save(weights, folder / "model.ckpt")


def test_a_report_without_a_number_reached_nothing(old: Path) -> None:
    """Nothing is better than nan, nor worse: which was the best would be by chance."""
    for epoch in ("nan", "inf"):
        changed_hpo(old / "out2", "val_accuracy", epoch)
        values = [float(row["value"]) for row in history_of(old / "out2")]
        assert all(0 <= value <= 1 for value in values)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_state_that_has_versions_is_left_alone(old: Path) -> None:
    imported(old, "out1")
    done = command("state", "import", "out2", "new_out1", "--trust-pickle", cwd=old, code=1)
    assert "holds version 1: import into a new place" in done.stderr


def test_outputs_may_be_given(old: Path) -> None:
    learner = torch.load(old / "out1/learner.ckpt", weights_only=True)
    learner["memory_buffer"]["metadata"] = {}
    torch.save(learner, old / "out1/learner.ckpt")
    state = imported(old, "out1")
    assert json.loads(bytes(state.read(state.manifest(), "model.json")))["labels"] == LABELS

    done = command(
        "state", "import", "out2", "new", "--trust-pickle", "--outputs", "3", cwd=old, code=1
    )
    assert "give their number, --outputs 10" in done.stderr


def test_io_is_what_the_page_says(old: Path) -> None:
    state = imported(old, "out3")
    weights = torch.load(io.BytesIO(Path(state.url, "model.ckpt").read_bytes()), weights_only=True)
    assert {"f.0.weight", "f.2.bias"} <= weights.keys()
    assert Path(state.url, "hpo.csv").read_bytes() == (old / "out3/hpo.csv").read_bytes()
