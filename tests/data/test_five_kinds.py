"""docs/how_to/data.md: five kinds of data through three weekly updates, then predictions, by
commands and from Python, with the same outcome.
"""

import datetime
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

import renate
from renate.state.versions import State
from tests.command import renate as command
from tests.conftest import ROOT
from tests.data.images.scenes_of_images import write_folder
from tests.data.tables.test_weeks import write_week
from tests.test_docs import write_files

PAGE = ROOT / "docs" / "how_to" / "data.md"
CITIES = ["München", "Kiel", "Köln", "Bonn"]
QUICK = ["trainer.max_epochs=2"]


def kinds() -> dict[str, list[str]]:
    """State -> what the page's command asks for."""
    found = re.findall(r"^renate (data=\w+ .*state\.url=\./(\w+))$", PAGE.read_text(), re.MULTILINE)
    return {name: shlex.split(line) for line, name in found}


def slices(source: Path, week: int, rows: int) -> pa.Table:
    return pq.read_table(source).slice((week - 1) * rows, rows)


def news(week: int, data: Path) -> Any:
    table = slices(data / "ag_news" / "train.parquet", week, 400)
    pq.write_table(table, f"weeks/news/{week}.parquet")
    return table.column("text").to_pylist()[:3]


def cifar(week: int, data: Path) -> Any:
    table = slices(data / "cifar10" / "train.parquet", week, 100)
    pq.write_table(table, f"weeks/cifar/{week}.parquet")
    return table.select(["img"]).slice(0, 3)


def photos(week: int, data: Path) -> Any:
    write_folder(Path(f"weeks/photos/{week}"), 30, seed=week, size=(9 + week, 12))
    paths = sorted(Path(f"weeks/photos/{week}").rglob("*.png"))[:3]
    return [Image.open(path).convert("RGB") for path in paths]


def orders(week: int, data: Path) -> Any:
    write_week(f"weeks/orders/{week}.csv", week, CITIES[: 2 + week])
    row = {"ordered": "2026-01-20T10:15", "city": "Köln", "weight": None, "express": True}
    return [row] * 3


def flights(week: int, data: Path) -> Any:
    table = pq.read_table(data / "nycflights13" / "flights.parquet").drop_columns("dep_delay")
    begin = datetime.datetime(2013, 1, 1) + datetime.timedelta(weeks=week - 1)
    end = begin + datetime.timedelta(weeks=1)
    hours = table["time_hour"]
    table = table.filter(pc.and_(pc.greater_equal(hours, begin), pc.less(hours, end)))
    table = table.append_column("late", pc.greater(table["arr_delay"], 15)).slice(0, 1500)
    pq.write_table(table, f"weeks/flights/{week}.parquet")
    asked = yaml.safe_load(Path("conf/data/flights.yaml").read_text())["inputs"]
    return table.select(asked).slice(0, 3)


WEEKS: dict[str, Callable[[int, Path], Any]] = {
    "news": news,
    "cifar": cifar,
    "photos": photos,
    "orders": orders,
    "late": flights,
    "minutes": flights,
}


def test_the_page_has_all_of_them_in_five_lines() -> None:
    assert set(kinds()) == set(WEEKS)
    files = re.findall(r"```yaml\n# conf/data/\w+\.yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(files) == 5
    assert max(len(file.splitlines()) for file in files) <= 5


@pytest.mark.slow
@pytest.mark.parametrize("name", WEEKS)
def test_three_weeks(name: str, workdir: Path, data_dir: Path) -> None:
    if name == "news":
        pytest.importorskip("tokenizers", reason="renate-cl[hf] is not installed")

    write_files(PAGE, workdir)
    asked = [*kinds()[name], *QUICK]
    folder = asked[0].removeprefix("data=")
    (workdir / "weeks" / folder).mkdir(parents=True)
    for week in (1, 2, 3):
        raw = WEEKS[name](week, data_dir)
        first = f"state.first={str(week == 1).lower()}"
        command(*asked, first, cwd=workdir)
        renate.run([*asked, first, f"state.url=./python_{name}"])

    state = State(name)
    assert state.versions() == [1, 2, 3]
    assert len(state.manifest(3).lineage["data"]["train"]) >= 3
    files = [State(url).manifest(3).files for url in (name, f"python_{name}")]
    for part in ("model.safetensors", "memory/index.safetensors"):
        assert files[0][part].sha256 == files[1][part].sha256, "the same from Python"

    after = json.loads(bytes(state.read(state.manifest(3), "metrics.json")))["after"]["test"]
    assert all(value == value for value in after.values())
    answers = renate.load_model(f"./{name}").predict(raw)
    assert len(answers) == 3
    predict = ["job=predict", asked[0], f"state.url=./{name}", "output=answers.parquet"]
    if name == "minutes":
        predict.append("data.target=arr_delay")
    command(*predict, cwd=workdir)
    found = pq.read_table("answers.parquet")
    assert found.num_rows >= 90
    assert "prediction" in found.column_names
