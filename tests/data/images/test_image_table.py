"""Images that a table names by their paths, or holds."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import renate
from renate.data.table import place_of
from renate.errors import ConfigError, DataError
from renate.state.versions import State
from tests.command import renate as command
from tests.data.images.scenes_of_images import picture, table, write_folder
from tests.data.test_images import encoded


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


def listed(path: str, rows: list[tuple[str, str]], header: str = "path,label") -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text("\n".join([header, *(f"{name},{label}" for name, label in rows)]))
    return path


def below(folder: Path) -> list[tuple[str, str]]:
    return [(str(path.relative_to(folder)), path.parent.name) for path in folder.rglob("*.png")]


def test_paths_are_relative_to_their_table_or_to_a_folder() -> None:
    write_folder(Path("weeks/1/photos"), 4)
    rows = sorted(below(Path("weeks/1")))
    listed("weeks/1/a.csv", rows)
    shutil.copy("weeks/1/a.csv", "b.csv")
    absolute = [(str(Path("weeks/1", name).resolve()), label) for name, label in rows]
    listed("c.csv", absolute)
    found = [
        table("weeks/1/a.csv").load(seed=0),
        table("b.csv", folder="weeks/1").load(seed=0),
        table("c.csv").load(seed=0),
    ]
    for data in found:
        assert data.labels == ["blue", "green", "red"]
        assert torch.equal(data.train["inputs"], found[0].train["inputs"])
        assert [file.rows for file in data.files["train"]] == [12]
    with pytest.raises(DataError, match=r"b\.csv: row 0 .* \(12 of 12 images are missing\)"):
        table("b.csv").load(seed=0)


def test_encoded_images_and_paths_give_the_same() -> None:
    write_folder(Path("photos"), 5)
    rows = sorted(below(Path("photos")))
    listed("photos/a.csv", rows)
    images = [Path("photos", name).read_bytes() for name, _ in rows]
    pq.write_table(pa.table({"path": images, "label": [label for _, label in rows]}), "b.parquet")
    named = table("photos/a.csv").load(seed=0)
    held = table("b.parquet").load(seed=0)
    assert torch.equal(named.train["inputs"], held.train["inputs"])
    assert torch.equal(named.train["targets"], held.train["targets"])


def test_damaged_ones_of_parquet_are_left_out_with_their_rows() -> None:
    images = [encoded(picture("red" if n % 2 else "blue", n)) for n in range(10)]
    images[0] = images[7] = b"no"
    numbers = [n % 2 for n in range(10)]
    pq.write_table(pa.table({"path": images, "label": numbers}), "a.parquet")
    with pytest.raises(DataError, match=r"a\.parquet: column 'path': row 0 is no image"):
        table("a.parquet").load(seed=0)
    data = table("a.parquet", corrupt="skip").load(seed=0)
    assert any("2 of 10 images can't be decoded" in line for line in data.notes)
    assert sum(file.rows for file in data.files["train"]) == 8
    train = table("a.parquet", corrupt="skip").read()[0]
    places = [place_of(train, row) for row in (0, 5, 6, 7)]
    assert places == [("a.parquet", 1), ("a.parquet", 6), ("a.parquet", 8), ("a.parquet", 9)]
    for image, target in zip(data.train["inputs"], data.train["targets"], strict=True):
        assert int(image.float().mean((1, 2)).argmax()) == (0 if data.labels[target] else 2)


def test_what_is_refused() -> None:
    write_folder(Path("photos"), 3)
    rows = sorted(below(Path("photos")))
    listed("photos/a.csv", rows)
    with pytest.raises(DataError, match="no column 'pth', did you mean 'path'"):
        table("photos/a.csv", image="pth").load(seed=0)
    with pytest.raises(ConfigError, match="data.image=label is data.target too"):
        table("photos/a.csv", image="label")
    numbers = {"path": list(range(9)), "label": [label for _, label in rows]}
    pq.write_table(pa.table(numbers), "n.parquet")
    with pytest.raises(DataError, match="column 'path' is int64, expected encoded images or paths"):
        table("n.parquet").load(seed=0)


@pytest.mark.slow
def test_an_image_that_changed_is_another_update(workdir: Path) -> None:
    """Which no table says, but what was read."""
    write_folder(Path("photos"), 12)
    listed("photos/a.csv", sorted(below(Path("photos"))))
    asked = ["data=image_table", "data.train=photos/a.csv", "data.image=path", "data.target=label"]
    asked += ["state.url=./state", "trainer.max_epochs=1"]
    command(*asked, "state.first=true", cwd=workdir)
    again = command(*asked, cwd=workdir).stdout
    assert "already published as version 1" in again
    picture("red", 4711).save("photos/red/0.png")
    command(*asked, cwd=workdir)
    assert State("./state").versions() == [1, 2]
    again = command(*asked, "seed=3", cwd=workdir).stdout
    assert "nothing is new: the one file of data.train was trained on by version 2" in again


@pytest.mark.slow
def test_cifar_in_three_weekly_updates(data_dir: Path, workdir: Path) -> None:
    """A slice of CIFAR-10, as the how-to on images has it."""
    whole = pq.read_table(data_dir / "cifar10" / "train.parquet").slice(0, 3000)
    test = pq.read_table(data_dir / "cifar10" / "test.parquet").slice(0, 500)
    pq.write_table(test, "test.parquet")
    for week in (1, 2, 3):
        pq.write_table(whole.slice((week - 1) * 1000, 1000), f"{week}.parquet")
        command(
            *("data=cifar10", f"data.train={week}.parquet", "data.test=test.parquet"),
            *("model=resnet18", "model.width=8", "state.url=./state"),
            *(f"state.first={str(week == 1).lower()}", "trainer.max_epochs=2"),
            cwd=workdir,
        )

    state = State("./state")
    after = json.loads(bytes(state.read(state.manifest(3), "metrics.json")))["after"]["test"]
    assert after["accuracy"] > 0.25
    images = table("test.parquet", image="img", test_size=0.001).load(seed=0).train
    answers = renate.load_model("./state").predict(images["inputs"])
    targets = images["targets"].tolist()
    right = sum(a == t for a, t in zip(answers, targets, strict=True)) / len(targets)
    assert right == pytest.approx(after["accuracy"], abs=0.01)
