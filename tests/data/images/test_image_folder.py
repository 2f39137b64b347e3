"""Images in folders: what is a class, what is a test set, and weekly updates."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import renate
from renate.data.fingerprint import Hashes
from renate.data.images.sources import listing
from renate.data.images.sources.listing import files_below
from renate.errors import DataError
from renate.jobs.identity.data_files import labels_of, moved_to
from renate.state.versions import State
from tests.command import renate as command
from tests.data.images.scenes_of_images import COLOURS, folder, picture, write_folder


@pytest.fixture(autouse=True)
def _here(workdir: Path) -> None:
    """Relative paths below are in an empty folder."""


def test_labels_are_the_folders_names_and_pixels_the_files() -> None:
    write_folder(Path("photos"), 4)
    Path("photos/red/deeper").mkdir()
    picture("red", 77).save("photos/red/deeper/x.PNG")
    Path("photos/red/notes.txt").write_text("no image")
    Path("photos/red/.hidden.png").write_text("no image")
    data = folder().load(seed=0)
    assert data.labels == ["blue", "green", "red"]
    names = [file.name for file in data.files["train"]]
    assert names == sorted(names)
    assert len(names) == 13
    assert "photos/red/deeper/x.PNG" in names

    every = torch.cat([data.train["inputs"], data.test["test"]["inputs"]])
    wanted = {np.asarray(Image.open(name)).tobytes() for name in names}
    assert {image.permute(1, 2, 0).contiguous().numpy().tobytes() for image in every} == wanted


@pytest.mark.parametrize("held_out", [["test"], ["val"], ["val", "test"]])
def test_folders_of_parts(held_out: list[str]) -> None:
    write_folder(Path("photos/train"), 4)
    for seed, name in enumerate(held_out, start=1):
        write_folder(Path("photos") / name, 2, seed)
    data = folder().load(seed=0)
    assert len(data.train["targets"]) == 12
    assert {name: len(columns["targets"]) for name, columns in data.test.items()} == dict.fromkeys(
        held_out, 6
    )


def test_train_may_be_a_class() -> None:
    for name in ("train", "car"):
        shutil.copytree(write_folder(Path("a"), 4) / "red", Path("photos") / name)
    assert list(files_below("photos", None)["train"]) == ["car", "train"]


def test_globs_and_lists_and_tests_of_their_own() -> None:
    for week in (1, 2, 3):
        write_folder(Path(f"photos/week{week}"), 2, week)
    write_folder(Path("held"), 2, 9)
    assert len(folder("photos/week*").load(seed=0).files["train"]) == 18
    data = folder(["photos/week1", "photos/week2"], test={"a": "held", "b": "photos/week3"})
    found = data.load(seed=0)
    assert sorted(found.test) == ["a", "b"]
    assert len(found.train["targets"]) == 12
    assert sorted(folder("photos/week1", test="held").load(seed=0).test) == ["test"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: None, "data.train=photos: no such folder"),
        (lambda: Path("photos").mkdir(), "data.train=photos: no images in it"),
        (
            lambda: (Path("photos").mkdir(), picture("red", 0).save("photos/1.png")),
            "'1.png' lies in no folder of a class: move it into one, as in photos/cat/1.png",
        ),
    ],
)
def test_folders_that_cannot_be(make: Any, said: str) -> None:
    make()
    with pytest.raises(DataError, match=said):
        folder().load(seed=0)


@pytest.mark.slow
def test_an_identity_follows_content_and_class() -> None:
    def identity() -> str:
        asked = ["data=image_folder", "data.train=photos", "trainer.max_epochs=1"]
        command(*asked, cwd=Path.cwd())
        return str(Path("runs/latest").resolve().name)

    write_folder(Path("photos"), 10)
    first = identity()
    assert identity() == first
    shutil.move("photos/red/0.png", "photos/green/0.png")
    moved = identity()
    shutil.copy("photos/red/1.png", "photos/red/2.png")
    assert len({first, moved, identity()}) == 3


def test_what_travels_keeps_its_classes() -> None:
    """A backend on another machine is given label -> copies."""
    write_folder(Path("photos/train"), 3)
    write_folder(Path("photos/test"), 2, 1)
    for label in ("red", "green"):  # the same image in two classes, which is one copy
        picture("blue", 5).save(f"photos/train/{label}/same.png")
    files = files_below("photos", None)
    known = Hashes(Path("hashes.json"))
    uploaded: dict[str, Path] = {}
    copies = Path("copies").resolve()
    moved = {
        key: moved_to(f"file://{copies}", part, key, known.of, uploaded)
        for key, part in files.items()
    }
    for place, file in uploaded.items():
        (copies / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copies / place)

    there = folder(**moved).load(seed=0)
    here = folder("photos").load(seed=0)
    assert there.labels == here.labels
    assert len(here.train["targets"]) == 11
    assert torch.equal(there.train["inputs"], here.train["inputs"])
    assert torch.equal(there.train["targets"], here.train["targets"])
    assert torch.equal(there.test["test"]["targets"], here.test["test"]["targets"])
    assert list(labels_of(files)) != list(labels_of({"train": files["train"]}))


def test_names_of_test_sets_are_told_from_classes() -> None:
    classes = {"cat": ["a/1.png"], "dog": ["b/1.png"]}
    assert listing.tests_of({"test": classes}) == {"test": classes}
    assert listing.tests_of({"test": {"val": classes}}) == {"val": classes}
    assert listing.tests_of({}) == {}


@pytest.mark.slow
def test_three_weekly_updates_and_predictions_as_evaluated(workdir: Path) -> None:
    write_folder(Path("held"), 8, 9, (11, 7))
    for week in (1, 2, 3):
        write_folder(Path(f"photos/week{week}"), 30, week, (7 + week, 9))
        command(
            *("data=image_folder", f"data.train=photos/week{week}", "data.test=held"),
            *("data.image_size=[8,8]", "data.image_fit=crop", "state.url=./state"),
            *(f"state.first={str(week == 1).lower()}", "trainer.max_epochs=3"),
            cwd=workdir,
        )

    state = State("./state")
    after = json.loads(bytes(state.read(state.manifest(3), "metrics.json")))["after"]["test"]
    assert after["accuracy"] > 0.9
    model = renate.load_model("./state")
    assert model.labels == ["blue", "green", "red"]
    paths = [path for label in COLOURS for path in sorted(Path("held", label).iterdir())]
    answers = model.predict([Image.open(path) for path in paths])
    right = sum(a == path.parent.name for a, path in zip(answers, paths, strict=True))
    pixels = np.asarray(ImageOps.fit(Image.open(paths[0]), (8, 8), Image.Resampling.BILINEAR))
    tensor = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None]
    assert model.predict(tensor) == answers[:1], "as training brought them to their size"
    assert right / 24 == pytest.approx(after["accuracy"], abs=1e-6)


@pytest.mark.slow
def test_another_size_and_another_class_are_told(workdir: Path) -> None:
    write_folder(Path("one"), 20)
    asked = ["data=image_folder", "state.url=./state", "trainer.max_epochs=1"]
    command(*asked, "data.train=one", "state.first=true", cwd=workdir)
    write_folder(Path("two"), 5, 1, (9, 8))
    refused = command(*asked, "data.train=two", cwd=workdir, code=1).stderr.splitlines()[-1]
    assert "two/blue/12000.png is 8×9 pixels, the images of the state are 8×8" in refused
    write_folder(Path("three"), 20, 3)
    shutil.move("three/blue", "three/pink")
    refused = command(*asked, "data.train=three", cwd=workdir, code=1).stderr.splitlines()[-1]
    assert "pink" in refused


@pytest.mark.slow
def test_where_tests_are_given_old_photos_are_not_decoded_again(workdir: Path) -> None:
    write_folder(Path("held"), 4, 9)
    asked = ["data=image_folder", "data.train=photos/week*", "data.test=held", "state.url=./state"]
    asked += ["data.cache_dir=cache", "trainer.max_epochs=1"]
    for week, first in ((1, "true"), (2, "false")):
        write_folder(Path(f"photos/week{week}"), 15 + week, week)
        said = command(*asked, f"state.first={first}", cwd=workdir)

    assert "data: 51 new files of 99, 48 were trained on by version 1" in said.stdout + said.stderr
    rows = sorted(len(np.load(file, mmap_mode="r")) for file in Path("cache").glob("*.npy"))
    assert rows == [12, 48, 51]
    again = command(*asked, "seed=1", cwd=workdir).stdout
    assert "nothing is new: all 99 files of data.train were trained on by versions 1 to 2" in again
