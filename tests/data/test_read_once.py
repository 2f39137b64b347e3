"""A file is read once, however often `data.train` or `data.test` names it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from renate.data.named.once import read_once, without_copies
from renate.data.text.source import Texts
from tests.command import renate as command
from tests.data.images.scenes_of_images import folder, write_folder
from tests.data.images.scenes_of_images import table as image_table
from tests.data.scenes import files, load, texts

TWICE = "data.train: 1.csv is named more than once: read once"
COPY = "data.train: 2.csv holds the same as 1.csv: read once; data.seen=again takes them all"


@pytest.fixture(autouse=True)
def here(workdir: Path) -> Path:
    """Two files of numbers, of which the second holds what the first does."""
    text = "x,label\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(20))
    Path("1.csv").write_text(text)
    shutil.copy("1.csv", "2.csv")
    Path("3.csv").write_text(text.replace("\n1", "\n-1"))
    Path("link.csv").symlink_to("1.csv")
    return workdir


def labels(train: Any, **settings: Any) -> Texts:
    """The labels of tables as if they were texts."""
    return texts(train=train, test=train, text="label", target="x", **settings)


@pytest.mark.parametrize(
    "train",
    [
        ["1.csv", "1.csv"],
        ["1.csv", "./1.csv"],
        ["1.csv", "link.csv", "1.csv"],
        ["1.csv", "[1].csv"],
        ["1.csv", "file://1.csv"],
    ],
)
@pytest.mark.parametrize("seen", ["new", "again"])
def test_the_names_of_one_file(train: list[str], seen: str) -> None:
    once = load(files("1.csv", seen=seen))
    data = load(files(train, seen=seen))
    assert data.train["inputs"].equal(once.train["inputs"])
    assert data.test["test"]["inputs"].equal(once.test["test"]["inputs"])
    assert data.files == once.files
    assert data.notes[:1] == [TWICE]
    assert TWICE.replace("train", "test") in data.notes

    words = labels(train, seen=seen).read()
    assert [len(words[0].targets), len(words[1]["test"].targets)] == [20, 20]
    assert words[0].notes == (TWICE,)
    assert words[1]["test"].notes == (TWICE.replace("train", "test"),)


def test_files_of_one_content() -> None:
    data = load(files(["1.csv", "2.csv", "3.csv"], seen="new", test=["1.csv", "2.csv"]))
    assert len(data.train["targets"]) == 40
    assert data.notes[0] == COPY
    assert [file.name for file in data.files["train"]] == ["1.csv", "3.csv"]
    assert len(data.test["test"]["targets"]) == 40, "what is measured is as it is named"

    again = load(files(["1.csv", "2.csv", "3.csv"], seen="again", test="1.csv"))
    assert len(again.train["targets"]) == 60
    assert not any("holds the same" in note for note in again.notes)

    table, _ = labels(["1.csv", "2.csv"], seen="new").read()
    assert (len(table.targets), table.notes) == (20, (COPY,))


def test_objects_are_known_by_their_url() -> None:
    urls = ["s3://b/a.csv", "s3://b/c.csv", "s3://b/a.csv", "s3://b/c.csv"]
    assert read_once(urls, "data.test") == (
        urls[:2],
        [
            "data.test: 2 files are named more than once (s3://b/a.csv, s3://b/c.csv): each is read "
            "once"
        ],
    )
    same = dict.fromkeys(urls, '"etag" 12')
    assert without_copies(urls[:2], same)[0] == urls[:1]


def test_folders_of_images() -> None:
    write_folder(Path("photos"), 4)
    Path("again").symlink_to("photos")
    once = load(folder())
    data = load(folder(["photos", "again", "./photos"]))
    assert data.train["inputs"].equal(once.train["inputs"])
    assert "24 of 36 images are named more than once" in data.notes[0]

    shutil.copytree("photos", "copy")
    both = load(folder(["photos", "copy"], seen="new", test="photos"))
    assert len(both.train["targets"]) == 12
    assert "data.train: 12 files hold the same as others (copy/" in both.notes[0]
    assert len(load(folder(["photos", "copy"], test="photos")).train["targets"]) == 24

    # Of which class such an image is isn't for renate to say
    image = next(Path("photos/red").iterdir())
    shutil.copy(image, "photos/blue/red.png")
    assert len(load(folder(seen="new", test="copy")).train["targets"]) == 13


def test_tables_of_images_are_alike_where_their_images_are() -> None:
    for week in ("one", "two"):
        write_folder(Path(week), 4, seed=len(week) + (week == "two"))
        paths = sorted(path.relative_to(week) for path in Path(week).rglob("*.png"))
        rows = [f"{place}.png,{path.parent}" for place, path in enumerate(paths)]
        for place, path in enumerate(paths):
            (Path(week) / path).rename(Path(week) / f"{place}.png")
        (Path(week) / "a.csv").write_text("\n".join(["path,label", *rows]))

    assert Path("one/a.csv").read_bytes() == Path("two/a.csv").read_bytes()
    shutil.copytree("one", "copy")
    data = load(image_table(["one/a.csv", "two/a.csv", "copy/a.csv"], seen="new", test="one/a.csv"))
    assert len(data.train["targets"]) == 24
    assert "data.train: copy/a.csv holds the same as one/a.csv" in data.notes[0]


@pytest.mark.slow
def test_predictions_for_a_file_that_is_named_twice(here: Path) -> None:
    on = ["data=files", "data.target=label", "state.url=./s", "trainer.max_epochs=1"]
    command(*on, "data.train=1.csv", "state.first=true", cwd=here)
    predict = ["job=predict", "data=files", "state.url=./s", "output=p.jsonl"]
    found = command(*predict, "data.train=[1.csv,./1.csv,2.csv]", cwd=here)
    assert TWICE in " ".join(found.stderr.split())
    rows = [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]
    assert len(rows) == 40, "each row of a file of its own has an answer"
