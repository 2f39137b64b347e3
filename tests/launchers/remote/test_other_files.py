"""What a config names besides its data travels to another machine, or is refused before anything
is sent.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

from renate.state.versions import State
from tests.command import renate as command
from tests.data.images.scenes_of_images import write_folder

TOY = Path(__file__).parents[1] / "toy_repository"
QUICK = ["trainer.max_epochs=1", "data.limit=100"]


@pytest.fixture
def toy(workdir: Path) -> list[str]:
    shutil.copytree(TOY, workdir, dirs_exist_ok=True)
    return ["backend=toy", f"backend.staging={workdir}/store"]


def refused(toy: list[str], here: Path, *more: str) -> str:
    done = command(*toy, *more, "state.url=./s", "state.first=true", cwd=here, code=1)
    assert not list(here.glob("store/*")), "nothing was sent"
    return str(done.stderr.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("sweep", [[], ["backend.sweep=inside", "seed=0,1"]])
def test_weights_travel(toy: list[str], workdir: Path, sweep: list[str]) -> None:
    Path("own").mkdir()
    begin = {"layers.1.weight": torch.zeros(8, 64), "layers.1.bias": torch.zeros(8)}
    torch.save(begin, "own/begin.pt")
    asked = ["model.hidden_sizes=[8]", "model.weights=own/begin.pt", *QUICK, *sweep]
    done = command(*toy, *asked, "state.url=null", cwd=workdir)
    sent = [path.name for path in (workdir / "store/data").rglob("*") if path.is_file()]
    assert sent == ["begin.pt"]
    assert json.loads(Path("runs/latest/result.json").read_text())["status"] == "completed"
    if not sweep:
        assert f"model.weights={workdir}/store/data" in done.stderr + done.stdout


def test_weights_that_are_not_there(toy: list[str], workdir: Path) -> None:
    said = refused(toy, workdir, "model.weights=gone.pt")
    assert said.startswith("renate: model.weights=gone.pt: no such file")


@pytest.mark.slow
def test_folders_stay_behind(toy: list[str], workdir: Path) -> None:
    Path("tok").mkdir()
    Path("a.csv").write_text("text,label\nred,0\nblue,1\n")
    texts = ["data=text", "data.train=a.csv", "data.text=text", "data.target=label"]
    assert refused(toy, workdir, *texts, "data.tokenizer=tok", "model=text_bag") == (
        "renate: data.tokenizer=tok is a folder of this machine, which doesn't travel: give its "
        "tokenizer.json, or backend=local"
    )
    assert "data.name=./tok is a folder" in refused(toy, workdir, "data=hf", "data.name=./tok")
    checkpoint = ["model=text_transformer", "model.checkpoint=./tok"]
    assert "model.checkpoint=./tok is a folder" in refused(toy, workdir, *texts, *checkpoint)


def images_of_a_table(place: str, *, absolute: bool = False) -> list[str]:
    """A table that names images by paths; what a command says of it."""
    write_folder(Path("photos"), 8)
    lines = [
        f"{path.absolute() if absolute else f'./{path.relative_to(place)}'},{path.parent.name}"
        for path in sorted(Path("photos").rglob("*.png"))
    ]
    Path("photos/a.csv").write_text("\n".join(["image,label", *lines]))
    return ["data=image_table", "data.train=photos/a.csv", "data.image=image", "data.target=label"]


@pytest.mark.slow
@pytest.mark.parametrize("folder", [None, "photos/"])
def test_images_travel_with_the_table_that_names_them(
    toy: list[str], workdir: Path, folder: str | None
) -> None:
    asked = images_of_a_table("photos")
    if folder is not None:
        Path("tables").mkdir()
        shutil.move("photos/a.csv", "tables/a.csv")
        asked += ["data.train=tables/a.csv", f"data.folder={folder}"]

    on = [*toy, *asked, *QUICK, "state.url=./s"]
    command(*on, "state.first=true", cwd=workdir)
    sent = sorted(path for path in (workdir / "store/data").rglob("*") if path.is_file())
    assert len(sent) == 25
    assert len({path.relative_to(workdir / "store/data").parts[0] for path in sent}) == 1
    assert State("s").manifest().version == 1

    first = next(Path("photos").rglob("*.png"))
    shutil.copy(next(Path("photos").rglob("1001.png")), first)
    command(*on, cwd=workdir)
    assert State("s").manifest().version == 2, "another image is another table"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("absolute", "photos/a.csv: row 0 (the first is 0) names /"),
        ("gone", "which isn't there: data.folder=… says what paths are relative to"),
    ],
)
def test_images_that_cant_travel(toy: list[str], workdir: Path, change: str, said: str) -> None:
    asked = images_of_a_table("photos", absolute=change == "absolute")
    if change == "gone":
        next(Path("photos").rglob("*.png")).unlink()
    assert said in refused(toy, workdir, *asked)
