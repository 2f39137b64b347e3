"""Data sets of the Hub: from a folder that datasets has saved, and where files are missing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import renate
from renate.data.hub import HubData
from renate.errors import ConfigError
from renate.state.versions import State
from tests.command import renate as command
from tests.data.images.scenes_of_images import COLOURS, picture
from tests.data.text.test_texts import rows_of

LABELS = sorted(COLOURS)


def hub(name: str, **changes: Any) -> HubData:
    plain: dict[str, Any] = {
        "name": name,
        "config": None,
        "train_split": "train",
        "test_split": "test",
        "test_size": 0.2,
        "target": "label",
        "inputs": None,
        "text": None,
        "tokens": {"tokenizer": None, "vocab_size": 300, "lowercase": True, "max_length": 16},
        "image_size": None,
        "image_fit": "stretch",
        "cache_dir": "cache",
        "batch_size": 8,
        "val_size": 0,
        "limit": None,
    }
    return HubData(**plain | changes)


def save_images(folder: str, count: int = 12) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=LABELS)}
    )
    splits = {}
    for split, start in (("train", 0), ("test", 1000)):
        labels = [n % 3 for n in range(count)]
        images = [picture(LABELS[label], start + n) for n, label in enumerate(labels)]
        splits[split] = datasets.Dataset.from_dict(
            {"image": images, "label": labels}, features=features
        )
    datasets.DatasetDict(splits).save_to_disk(folder)


@pytest.mark.slow
def test_images_and_the_names_of_classes(workdir: Path) -> None:
    save_images("pictures")
    data = hub("pictures").load(seed=0)
    assert data.labels == LABELS
    assert data.input_shape == (3, 8, 8)
    for row, target in enumerate(data.train["targets"].tolist()):
        wanted = np.asarray(picture(data.labels[target], row)).transpose(2, 0, 1)
        assert torch.equal(data.train["inputs"][row], torch.from_numpy(wanted.copy()))
    assert len(data.test["test"]["targets"]) == 12
    assert hub("pictures", test_split=None).load(seed=0).input_shape == (3, 8, 8)
    with pytest.raises(ConfigError, match="has no split 'tset', did you mean 'test'"):
        hub("pictures", test_split="tset").load(seed=0)


@pytest.mark.slow
def test_texts_and_numbers_in_weekly_updates(workdir: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for week in (1, 2):
        rows = rows_of(week)
        split = datasets.Dataset.from_list(rows).class_encode_column("label")
        datasets.DatasetDict({"train": split}).save_to_disk(f"week{week}")
        command(
            *("data=hf", f"data.name=./week{week}", "data.text=text", "data.test_split=null"),
            *("model=text_bag", "optimizer=adam", "optimizer.lr=0.02", "trainer.max_epochs=4"),
            *("state.url=./state", f"state.first={str(week == 1).lower()}"),
            cwd=workdir,
        )

    state = State("./state")
    after = json.loads(bytes(state.read(state.manifest(2), "metrics.json")))["after"]["test"]
    assert after["accuracy"] > 0.85
    assert renate.load_model("./state").predict(["goal of the team"]) == ["sports"]
    again = ["data=hf", "data.name=./week2", "data.text=text", "data.test_split=null"]
    again += ["model=text_bag", "optimizer=adam", "optimizer.lr=0.02", "trainer.max_epochs=4"]
    assert (
        "already published as version 2" in command(*again, "state.url=./state", cwd=workdir).stdout
    )

    table = {"x": [float(n) for n in range(40)], "y": [n % 2 for n in range(40)]}
    datasets.Dataset.from_dict(table).save_to_disk("numbers")
    data = hub("numbers", target="y", test_split=None).load(seed=0)
    assert data.input_shape == (1,)


@pytest.mark.slow
def test_what_there_is_not(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def refuse(*_: Any) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(ConfigError, match=r"data.name=none/such: no folder .* \(no network\)"):
        hub("none/such").load(seed=0)
    (workdir / "empty").mkdir()
    with pytest.raises(ConfigError, match="data.name=empty: no folder that datasets has saved"):
        hub("empty").load(seed=0)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"data.text=a and data.inputs=\['b'\]: give one"):
        hub("x", text="a", inputs=["b"])
    with pytest.raises(ConfigError, match="data.test_size=0"):
        hub("x", test_split=None, test_size=0)


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("mnist", "ylecun/mnist"),
        ("cifar10", "uoft-cs/cifar10"),
        ("cifar100", "uoft-cs/cifar100"),
        ("fashion_mnist", "zalando-datasets/fashion_mnist"),
        ("tiny_imagenet", "zh-plus/tiny-imagenet"),
    ],
)
def test_who_lacks_the_files_is_told_where_they_are(
    option: str, name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENATE_DATA", "./nowhere")
    said = command(f"data={option}", cwd=workdir, code=1).stderr.splitlines()[-1]
    assert said.startswith(f"renate: data.train=./nowhere/{option}/train.parquet isn't there")
    assert f"the Hub's data set {name} as parquet files" in said
    assert f"RENATE_DATA=… names the folder above '{option}'" in said


@pytest.mark.parametrize("option", ["fashion_mnist", "cifar100", "tiny_imagenet"])
def test_the_hubs_layouts(option: str, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Column names as the Hub has them, a column more among them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tests.data.test_images import encoded

    monkeypatch.setenv("RENATE_DATA", str(workdir))
    (workdir / option).mkdir()
    target, column = ("fine_label", "img") if option == "cifar100" else ("label", "image")
    for part, start in (("train", 0), ("test", 50), ("valid", 80)):
        rows = [
            {
                column: {"bytes": encoded(picture(LABELS[n % 3], start + n)), "path": None},
                target: n % 3,
                **({"coarse_label": 0} if option == "cifar100" else {}),
            }
            for n in range(30)
        ]
        pq.write_table(pa.Table.from_pylist(rows), workdir / option / f"{part}.parquet")
    result = renate.run([f"data={option}", "trainer.max_epochs=3", "data.batch_size=8"])
    assert result.metrics["test_accuracy"] > 0.6
