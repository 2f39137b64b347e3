"""Bad input gets one line: key, value, what was expected, the nearest valid choice, before any
training starts.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import renate
from renate.cli import main
from renate.errors import RenateError
from tests.conftest import write_table

FILES = ["data=files", "data.target=label", "data.train=a.parquet"]
NET = ["model=torch_module", "+model.in_features=64", "+model.out_features=10"]

# Known before torch is imported: no worker is started, nothing is written.
EARLY: list[tuple[list[str], str]] = [
    (
        ["updater.replay_batch=3"],
        "updater.replay_batch=3: no such key, did you mean 'updater.replay_batch_size'?",
    ),
    (["sede=3"], "sede=3: no such key, did you mean 'seed'?"),
    (["updater=derp"], "updater=derp: no such option, did you mean 'derpp'?"),
    (["experiment=reproduce/s_mnist_derp"], "did you mean 'reproduce/s_mnist_derpp'?"),
    (
        ["optimizer.lr=fast"],
        "optimizer.lr=fast: expected a number like 0.05 (in conf/optimizer/sgd.yaml)",
    ),
    (["optimizer.nesterov=1"], "optimizer.nesterov=1: expected true or false like false"),
    (["model.hidden_sizes=3"], "model.hidden_sizes=3: expected a list, [3], like [100, 100]"),
    (["trainer.max_epochs=[1]"], "trainer.max_epochs=[1]: expected a whole number like 5"),
    (["objective=val_accuracy"], "objective"),
    (
        ["objective.metric=val_acuracy"],
        "objective.metric=val_acuracy: not measured, did you mean 'val_accuracy'?",
    ),
    (
        ["objective.metric=accuracy"],
        "objective.metric=accuracy: not measured, did you mean 'val_accuracy'?",
    ),
    (["objective.mode=best"], "objective.mode=best: expected max or min"),
    (
        ["data.val_size=0"],
        "objective.metric=auto needs validation data, but data.val_size=0",
    ),
    (["data=files", "data.target=label"], "data.train is mandatory: give data.train=…"),
    (["loss=any"], "loss._target_ is mandatory: give loss._target_=…"),
    (
        ["data=files", "data.target=y", "data.train=nix/*.csv"],
        "data.train=nix/*.csv: no such file, and no file matches",
    ),
    ([*FILES, "data.test=nix.csv"], "nix.csv: no such file"),
    (["data.train=[ab"], "its value needs quotes: 'data.train=\"[ab\"'"),
    (
        ["tuner=grid", "optimizer.lr=interval(0.1,1)"],
        "tuner=grid: optimizer.lr=interval(0.1, 1) has no end",
    ),
    (
        ["optimizer.lr=interval(1,0.1)"],
        "optimizer.lr=interval(1,0.1): expected low < high, got 1 and 0.1",
    ),
    (
        ["optimizer.lr=tag(log,interval(0,1))"],
        "expected a low above 0 on a logarithmic scale, got 0",
    ),
    (["optimizer.lr=tag(lg,interval(0.1,1))"], "no such tag 'lg', did you mean 'log'?"),
    (
        ["optimizer.lrate=interval(0.1,1)"],
        "search space: optimizer.lrate: no such key, did you mean 'optimizer.lr'?",
    ),
    (["tuner=asha", "updater=er,derp"], "updater=derp: no such option, did you mean 'derpp'?"),
    (
        ["search_space=lr", "objective.others={val_los:min}"],
        "objective.others.val_los: not measured, did you mean 'val_loss'?",
    ),
    (
        ["search_space=lr", "objective.others={val_loss:least}"],
        "objective.others.val_loss=least: expected max or min",
    ),
    (
        ["search_space=lr", "tuner=median", "objective.others={val_loss:min}"],
        "objective.others: Median of tuner=median knows of one objective only; evolution, random,",
    ),
    (
        ["trainer.report_every=0"],
        "trainer.report_every=0: expected a whole number of 1 or more, or null",
    ),
    (
        ["search_space=lr", "trainer.report_every=10"],
        "trainer.report_every=10 with a tuner needs trainer.max_steps, the steps of a whole trial",
    ),
    (["tuner=ahsa"], "tuner=ahsa: no such option, did you mean 'asha'?"),
    (["search_space=derp"], "search_space=derp: no such option, did you mean 'derpp'?"),
    (["tuner=asha"], "the tuner has nothing to tune: give search_space=auto, or a domain"),
    (
        ["search_space=lr", "seed=0,1"],
        "seed=0,1: a tuner would choose the luckiest seed; tuner.seeds=3",
    ),
    (["search_space=lr", "tuner.order=sorted"], "tuner.order=sorted: expected arrival, fixed"),
    (
        ["search_space=lr", "tuner.storage=./study.log"],
        "tuner.storage=./study.log: only tuner=optuna/… shares",
    ),
    (
        ["search_space=lr", "tuner.max_trials=0"],
        "tuner.max_trials=0: expected a whole number of 1 or more, or null",
    ),
    (["search_space=lr", "tuner.max_trials=null"], "the space has no end: give tuner.max_trials"),
    (["search_space=lr", "tuner.max_cost=1"], "tuner.max_cost=1 needs backend.price_per_hour"),
    (
        ["search_space=lr", "objective.metric=null"],
        "objective.metric=null: a tuner needs an objective",
    ),
    (["search_space=lr", "objective.metric=val_acc"], "objective.metric=val_acc: not measured"),
    (
        ["search_space=lr", "tuner=median", "tuner.transfer=rush"],
        "tuner.transfer=rush needs a stopper with rungs",
    ),
    (
        ["search_space=lr", "tuner=asha", "tuner.stopper.factor=1"],
        "factor=1, grace=None, brackets=1: expected at least 2, 1 and 1",
    ),
    (
        ["state.url=ftp://host/state"],
        "ftp://host/state: unknown scheme 'ftp', expected a folder or",
    ),
    (["state.url=s4://bucket/state"], "s4://bucket/state: unknown scheme 's4'"),
    (["state.url=./a.parquet"], "a.parquet: is a file, expected a folder"),
    (
        ["state.url=./nowhere"],
        "state.url=./nowhere holds no version yet: if this is the first update",
    ),
    (["job=evaluate"], "job=evaluate needs state.url=…"),
    (["backend=locl"], "backend=locl: no such option, did you mean 'local'?"),
    (["backend.workers=0"], "backend.workers=0: expected a whole number of 1 or more"),
    (["backend.gpus_per_job=64"], "backend.gpus_per_job=64 with backend.workers=1 needs 64 GPUs"),
    (
        ["trainer.devices=4", "trainer.accelerator=gpu"],
        "trainer.devices=4 needs 4 GPUs, there are 0",
    ),
    (
        ["trainer.devices=-1"],
        "trainer.devices=-1: as many as GPUs, but accelerator=auto finds none here",
    ),
    (
        ["trainer.devices=0"],
        "trainer.devices=0: expected a number of processes, -1 or auto (all GPUs), or null (one)",
    ),
    (["logger=csv", "logger.name=${oc.env:NOT_SET_ANYWHERE}"], "NOT_SET_ANYWHERE"),
    (["seed=${no.such.key}"], "no.such.key"),
    (["hydra/launcher=renate_loca"], "did you mean 'renate_local'?"),
    (["stat"], "'stat' is neither a verb nor key=value, did you mean 'state'?"),
    (["state", "show", "./nowhere"], "no version"),
    (["state", "publish", "0123456789"], "0123456789: neither a job's folder nor an id in ./runs"),
    (["jobs", "show", "0123456789"], "no job '0123456789'"),
]

# Known in the job, before its first step.
IN_THE_JOB: list[tuple[list[str], str]] = [
    (["memory.capacity=0"], "memory.capacity=0: expected a whole number of 1 or more"),
    (["memory.capacity=-5"], "memory.capacity=-5: expected a whole number of 1 or more"),
    (["optimizer.lr=-1"], "optimizer: torch.optim.SGD: Invalid learning rate: -1"),
    (
        ["+optimizer.momentun=0.9"],
        "optimizer.momentun: SGD has no parameter 'momentun', did you mean 'momentum'?",
    ),
    (["updater.replay_batch_size=0"], "replay_batch_size=0: expected 1 or more"),
    (["data.batch_size=0"], "data.batch_size=0: expected 1 or more"),
    (
        ["data.val_size=1.5"],
        "data.val_size=1.5: expected a fraction below 1, or a number of examples",
    ),
    (["data.val_size=5000"], "data.val_size=5000 leaves none of 1437 examples to train on"),
    (["data.limit=-1"], "data.limit=-1: expected 1 or more, or null"),
    (["job.chunk=1"], "job.chunk=1: expected 0 to 0, the scenario has 1 chunks"),
    (
        ["scenario=class_incremental", "scenario.chunks=11"],
        "scenario.chunks=11: the data has only 10 classes",
    ),
    (["loss._target_=os.system"], "loss._target_=os.system: not a model, updater, memory, loss"),
    (
        ["loss._target_=torch.nn.CrossEntropyLos"],
        "torch.nn has no 'CrossEntropyLos', did you mean 'CrossEntropyLoss'?",
    ),
    (
        ["loss.weight=balancd"],
        "loss.weight=balancd: expected balanced, or a list of a number for each class, did you",
    ),
    (["loss.weight=[1,nan]"], "loss.weight=[1, nan]: expected a list of numbers of 0 or more"),
    (
        ["memory.capacity=100000000000000"],
        "memory: 100,000,000,000,000 rows need a file of",
    ),
    (["transform=none"], "model: MLP can't take inputs [2, 1, 8, 8] (uint8): "),
    ([*FILES, "data.kinds=category"], "data.kinds=category: expected a mapping or null"),
    (["data.limit=true"], "data.limit=true: expected a whole number or null"),
    ([*NET, "model._target_=not_a_module.Net"], "there is no module 'not_a_module'"),
    (
        [*NET, "model._target_=my_broken.Net"],
        "NameError: name 'oops' is not defined (my_broken.py:1: oops)",
    ),
    (
        [*FILES, "data.target=labl"],
        "a.parquet: no column 'labl', did you mean 'label'? (x, y, label)",
    ),
    (
        [*FILES, "data.train=one.parquet"],
        "data.train has one class only, 0: a first update needs two or more",
    ),
    ([*FILES, "data.train=empty.parquet"], "has no examples"),
    (
        [*FILES, "data.train=nan.parquet", "data.missing=error"],
        "nan.parquet: row 1 (the first is 0), column 'x' is NaN",
    ),
    (
        [*FILES, "data.train=text.parquet", "data.kinds={x: number}"],
        "text.parquet: row 0 (the first is 0), column 'x' holds 'a', expected a number",
    ),
    ([*FILES, "data.train=ragged.csv"], "ragged.csv: not readable as csv"),
    ([*FILES, "data.train=latin.csv"], "column 'x' isn't UTF-8"),
    (
        [*FILES, "data.test=other.parquet"],
        "other.parquet: column 'label': labels [9] are in neither data.train nor the state",
    ),
    ([*FILES, "scenario=rotation"], "scenario=rotation needs images [C, H, W], the inputs are [2]"),
    (
        [*FILES, "model=resnet18"],
        "model.in_channels=null: can't be read off inputs of shape [2]; it needs images",
    ),
]


@pytest.fixture(autouse=True)
def _rubbish(workdir: Path) -> None:
    write_table(workdir / "a.parquet", seed=0)
    tables: dict[str, Any] = {
        "one": {"x": [1, 2], "label": [0, 0]},
        "empty": {"x": pa.array([], pa.int64()), "label": pa.array([], pa.int64())},
        "nan": {"x": [1.0, float("nan")] * 9, "label": [0, 1] * 9},
        "text": {"x": ["a", "b"], "label": [0, 1]},
        "other": {"x": [1.0, 2.0], "y": [1.0, 2.0], "label": [0, 9]},
    }
    for name, table in tables.items():
        pq.write_table(pa.table(table), workdir / f"{name}.parquet")
    (workdir / "ragged.csv").write_text("x,label\n1,2\n3\n")
    (workdir / "latin.csv").write_bytes("x,label\nü,1\nö,2\n".encode("latin-1"))
    (workdir / "my_broken.py").write_text("oops\n")


def test_there_are_enough_cases() -> None:
    assert len(EARLY) + len(IN_THE_JOB) >= 40


@pytest.mark.parametrize(
    ("arguments", "text"), EARLY, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_before_torch(arguments: list[str], text: str, workdir: Path) -> None:
    before = {path.name for path in workdir.iterdir()}
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    message = str(caught.value.code)
    assert text in message, message
    assert message.startswith("renate: ")
    assert "\n" not in message
    assert {path.name for path in workdir.iterdir()} == before, "nothing is left behind"


@pytest.mark.parametrize(
    ("overrides", "text"), IN_THE_JOB, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_in_the_job(overrides: list[str], text: str) -> None:
    with pytest.raises(RenateError) as caught:
        renate.run([*overrides, "state.url=./state", "state.first=true"])
    message = str(caught.value)
    assert text in message, message
    assert "\n" not in message
    assert not list(Path("state").glob("versions/*")), "nothing is published"


def test_no_torch_no_traceback_and_a_status(workdir: Path) -> None:
    code = (
        "import sys\nfrom renate.cli import main\ntry:\n    main(['updater=derp'])\n"
        "except SystemExit as end:\n    print('torch' in sys.modules, type(end.code).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workdir, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False str\n"
    assert done.stderr == ""
