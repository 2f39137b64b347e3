"""`job=predict` for images that are files: in folders, and named by tables."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import renate
from tests.command import renate as command
from tests.data.images.scenes_of_images import write_folder

pytestmark = pytest.mark.slow

SMALL = ["model.hidden_sizes=[4]", "trainer.max_epochs=1", "state.url=./s"]
SIZED = ["data.image_size=[8,8]", "data.image_fit=crop"]


def update(here: Path, train: str, *more: str) -> None:
    command("data=image_folder", f"data.train={train}", *SMALL, *SIZED, *more, cwd=here)


def predict(here: Path, *more: str, code: int = 0) -> Any:
    return command("job=predict", "state.url=./s", "output=p.jsonl", *more, cwd=here, code=code)


def answers() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("p.jsonl").read_text().splitlines()]


@pytest.fixture
def here(workdir: Path) -> Path:
    write_folder(Path("photos"), 8)
    update(workdir, "photos", "state.first=true")
    return workdir


def test_folders_files_and_tables(here: Path) -> None:
    write_folder(Path("in/deep"), 3, seed=1, size=(13, 9))
    paths = sorted(str(path) for path in Path("in").rglob("*.png"))
    images = [Image.open(path) for path in paths]
    expected = renate.load_model("./s").predict(images, probabilities=True)

    predict(here, "data=image_folder", "data.train=[in,in/deep,./in]")
    found = answers()
    assert [row["file"] for row in found] == paths
    labels = [each["prediction"] for each in expected]
    assert [row["prediction"] for row in found] == labels
    chances = [each["probability"] for each in expected]
    assert [row["probability"] for row in found] == pytest.approx(chances, abs=1e-6)

    one = "in/alone.png"
    Path("in/deep/red/10000.png").rename(one)
    Path("in/link.png").symlink_to("alone.png")
    predict(here, "data=image_folder", "data.train=in", "job.overwrite=true")
    assert len(answers()) == len(paths), "a link is no further image"
    Path("in/link.png").unlink()
    paths[paths.index("in/deep/red/10000.png")] = one
    on = ["data=image_folder", f"data.train={one}", "job.overwrite=true"]
    predict(here, *on, "job.keep=[file,file]")  # which is there anyway
    assert [row["file"] for row in answers()] == [one]

    lines = [f"{Path(path).relative_to('in')},{number}" for number, path in enumerate(paths)]
    Path("in/list.csv").write_text("\n".join(["image,number", *lines]))
    of_table = ["data=image_table", "data.image=image", "data.target=label"]
    predict(here, *of_table, "data.train=in/list.csv", "job.keep=[number]", "job.overwrite=true")
    assert [row["prediction"] for row in answers()] == labels
    assert [row["number"] for row in answers()] == list(range(len(paths)))

    Path("in/list.csv").write_text("image\ngone.png\n")
    refused = predict(here, *of_table, "data.train=in/list.csv", "job.overwrite=true", code=1)
    assert "in/gone.png: No such file" in refused.stderr


def test_images_that_cannot_be_decoded(here: Path) -> None:
    write_folder(Path("in"), 2, seed=1)
    whole = Path("in/green/11000.png").read_bytes()
    Path("in/green/half.png").write_bytes(whole[:100])
    refused = predict(here, "data=image_folder", "data.train=in", code=1)
    assert "in/green/half.png" in refused.stderr
    assert not Path("p.jsonl").exists()

    said = predict(here, "data=image_folder", "data.train=in", "data.corrupt=skip")
    assert "left out: in/green/half.png" in said.stderr
    assert len(answers()) == 6
    assert not any("half" in row["file"] for row in answers())

    refused = predict(here, "data=image_folder", "data.train=in", "data.corrupt=skp", code=1)
    assert "data.corrupt=skp: expected" in refused.stderr

    lines = ["image", "half.png", *(path.name for path in sorted(Path("in/red").glob("*.png")))]
    Path("in/red/half.png").write_bytes(whole[:100])
    Path("in/red/list.csv").write_text("\n".join(lines))
    Path("in/red/first.csv").write_text("\n".join(lines[:2]))
    tables = ["data=image_table", "data.image=image", "data.target=label", "data.corrupt=skip"]
    lists = "data.train=[in/red/first.csv,in/red/list.csv]"
    said = predict(here, *tables, lists, "job.keep=[image]", "job.overwrite=true")
    assert said.stderr.count("left out: in/red/half.png") == 2
    assert [row["image"] for row in answers()] == [f"in/red/{name}" for name in lines[2:]]

    Path("empty").mkdir()
    refused = predict(here, "data=image_folder", "data.train=empty", "output=q.jsonl", code=1)
    assert "data.train=empty: no such folder or image, or no images in it" in refused.stderr


def test_three_weeks_of_a_folder_from_the_command_line_and_from_python(workdir: Path) -> None:
    for week in (1, 2, 3):
        write_folder(Path(f"photos/week{week}"), 12, seed=week, size=(10 + week, 9))
        on = ["data=image_folder", "data.train=photos/week*", *SIZED, "trainer.max_epochs=8"]
        first = ["state.first=true"] if week == 1 else []
        command(*on, "state.url=./s", *first, cwd=workdir)
        result = renate.run([*on, "state.url=./python", *first])
        assert result.version == week

    predict(workdir, "data=image_folder", "data.train=photos/week3")
    right = [Path(row["file"]).parent.name == row["prediction"] for row in answers()]
    assert sum(right) / len(right) > 0.8
    paths = [row["file"] for row in answers()]
    images = [Image.open(path) for path in paths]
    same = renate.load_model("./python").predict(images)
    assert same == [row["prediction"] for row in answers()], "both are of the same recipe"


def test_a_state_of_numbers_has_no_images(workdir: Path) -> None:
    Path("a.csv").write_text("x,label\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(40)))
    on = ["data=files", "data.train=a.csv", "data.target=label", "state.first=true"]
    command(*on, *SMALL, cwd=workdir)
    write_folder(Path("in"), 1)
    refused = predict(workdir, "data=image_folder", "data.train=in", code=1)
    assert "data.train names images, the state's inputs are x" in refused.stderr
