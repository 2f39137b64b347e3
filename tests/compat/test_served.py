"""Data sets that can't be columns: items of several shapes, or random, are read when needed."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from renate.compat.files.data import DataModuleFn
from renate.compat.files.load_served import load_served
from renate.compat.files.served import ServedPart, is_random, served
from renate.data.base import Known
from renate.data.batch import Batches, BatchTransform
from renate.data.items.served import Served, first_of, in_order, read_ahead, read_all
from renate.data.table import described
from renate.errors import DataError
from renate.state.versions import State
from renate.training import run_training_job
from tests.command import workers_kept_warm

CONFIG = """
import random

import numpy as np
import torch
from torch.utils.data import Dataset

from renate.data.data_module import RenateDataModule
from renate.models.renate_module import RenateWrapper


class Images(Dataset):
    def __init__(self, begin, end, noise):
        self.rows = range(begin, end)
        self.noise = noise

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        row = self.rows[index]
        size = 4 + (row % 3 if DIFFER else 0)
        image = torch.zeros(1, size, size)
        image[0, row % 2, :4] = 1.0
        if self.noise:
            image += 0.1 * torch.rand(1) + 0.1 * random.random() + 0.1 * np.random.rand()
        return image, row % 2


class Module(RenateDataModule):
    def prepare_data(self):
        pass

    def setup(self):
        self._train_data = Images(0, 60, NOISE)
        self._val_data = Images(60, 80, NOISE)
        self._test_data = Images(80, 100, NOISE)


def model_fn(model_state_url=None):
    model = RenateWrapper(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)))
    if model_state_url is not None:
        model.load_state_dict(torch.load(model_state_url))
    return model


def data_module_fn(data_path):
    return Module(data_path)


def train_transform():
    return lambda image: image[:, :4, :4]


def test_transform():
    return lambda image: image[:, :4, :4]
"""


class Random(Dataset[Any]):
    """Three numbers by every generator that a data set may draw from."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, row: int) -> Any:
        drawn = [float(torch.rand(())), random.random(), float(np.random.rand())]  # noqa: NPY002
        return torch.tensor([float(row), *drawn]), row % 2


class Sizes(Dataset[Any]):
    """Items of several sizes."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, row: int) -> Any:
        return torch.arange(2.0 * (row + 1)).reshape(2, row + 1), row % 2


def column(items: Dataset[Any], shape: tuple[int, ...] | None, workers: int) -> dict[str, Any]:
    rows = len(items)  # type: ignore[arg-type]
    inputs = Served(items, torch.arange(rows), shape, torch.float32, workers, "", "data.train")
    return {"inputs": inputs, "targets": torch.arange(rows)}


@pytest.fixture(autouse=True)
def _warm(workdir: Path) -> Iterator[None]:
    with workers_kept_warm():
        yield


def write_config(*, noise: bool, differ: bool) -> str:
    path = Path("renate_config.py")
    path.write_text(CONFIG.replace("NOISE", str(noise)).replace("DIFFER", str(differ)))
    return str(path)


def load(workers: int = 0, **kind: bool) -> Any:
    source = DataModuleFn(
        config_file={"path": write_config(**kind)},
        data_path="data",
        chunk_id=None,
        module_seed=0,
        model="renate.compat.files.parts.ModelFn",
        test_size=0.2,
        batch_size=32,
        val_size=None,
        limit=None,
        workers=workers,
    )
    return source.load(seed=0)


def test_what_is_random_follows_from_the_seed_and_the_row_alone() -> None:
    """However many processes read, in whatever parts, and nobody else's draws change."""
    alone = column(Random(), (4,), 0)
    helped = column(Random(), (4,), 2)
    before = (torch.get_rng_state(), random.getstate())
    rows = torch.arange(7)
    whole = next(read_ahead(alone, [rows], 3))["inputs"]
    parts = torch.cat([part["inputs"] for part in read_ahead(helped, torch.split(rows, 2), 3)])
    assert torch.equal(whole, parts)
    other = next(read_ahead(alone, [rows], 4))["inputs"]
    assert torch.equal(whole[:, 0], other[:, 0])
    assert not bool((whole[:, 1:] == other[:, 1:]).any()), "each generator draws anew"
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()


def test_epochs_differ_and_are_repeated() -> None:
    def epochs(skip: int = 0) -> list[Tensor]:
        columns = column(Random(), (4,), 0)
        generator = torch.Generator().manual_seed(1)
        batches = Batches(columns, 3, BatchTransform(), generator)
        if skip:
            batches.resume(skip, generator.get_state())
        return [torch.cat([batch.raw["inputs"] for batch in batches]) for _ in range(2)]

    first, second = epochs()
    assert sorted(first[:, 0].tolist()) == sorted(second[:, 0].tolist()) == list(range(7))
    ordered = [each[each[:, 0].argsort()] for each in (first, second)]
    assert not bool((ordered[0][:, 1:] == ordered[1][:, 1:]).any())
    again = epochs()
    assert torch.equal(first, again[0])
    assert torch.equal(epochs(skip=1)[0], first[3:]), "what is gone on with is the same epoch"


def test_measuring_sees_the_same_each_time() -> None:
    columns = column(Random(), (4,), 0)
    found = [torch.cat([part["inputs"] for part in in_order(columns, 3)]) for _ in range(2)]
    assert torch.equal(found[0], found[1])
    assert torch.equal(first_of(columns, 2)["inputs"], found[0][:2])


def test_items_of_several_sizes_keep_them() -> None:
    read = read_all(column(Sizes(), None, 0))
    assert read["inputs.item_shape"].tolist() == [[2, n + 1] for n in range(5)]
    rows = read["inputs.item"].list()
    assert rows == [Sizes()[row][0].reshape(-1).tolist() for row in range(5)]


class Mappings(Dataset[Any]):
    """Random tokens, another number of them each time, beside something of a fixed size."""

    def __init__(self, odd: Any = None) -> None:
        self.odd = odd

    def __len__(self) -> int:
        return 6

    def __getitem__(self, row: int) -> Any:
        if row == 4 and self.odd is not None:
            return self.odd, 0
        count = int(torch.randint(1, 5, ()))
        return {"ids": torch.full((count,), row), "more": torch.rand(2).double()}, row % 2


def test_random_mappings_are_served_by_name() -> None:
    part = served(Mappings(), "data.train", workers=0, random=is_random(Mappings()))
    assert part.why == "items that are another one each time they are read"
    assert [column.name for column in described(part.sample).columns] == ["ids", "more"]
    columns = {"inputs": part.inputs, "targets": torch.arange(6)}

    batches = Batches(columns, 4, BatchTransform(), torch.Generator().manual_seed(0))
    epochs = [list(batches) for _ in range(2)]
    for epoch in epochs:
        rows = [row for batch in epoch for row in batch.raw["inputs.ids"].list()]
        assert sorted(row[0] for row in rows) == list(range(6))
        assert all(len(set(row)) == 1 and len(row) < 5 for row in rows)
        assert sorted(epoch[0].inputs) == ["ids", "ids_lengths", "more"]
        assert epoch[0].inputs["more"].dtype == torch.float32
    drawn = [epoch[0].raw["inputs.more"] for epoch in epochs]
    assert not torch.equal(*drawn)


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"ids": torch.ones(2)}, "item 4 has ids, item 0 ids, more: expected the same of all"),
        (torch.ones(3), "item 4 has one tensor, item 0 ids, more"),
        ({"ids": torch.ones(2), "more": torch.ones(2)}, "item 4's 'ids' is torch.float32 .2., it"),
        ({"ids": torch.ones(2).long(), "more": torch.ones(1, 2)}, "item 4's 'more' is torch.float"),
    ],
)
def test_mappings_that_cant_be_served(odd: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        served(Mappings(odd), "data.train", workers=0, random=True)


class Grown(Sizes):
    """More of them, each another one, from one on."""

    def __init__(self, begin: int) -> None:
        self.begin = begin

    def __len__(self) -> int:
        return 200

    def __getitem__(self, row: int) -> Any:
        number = self.begin + row
        return torch.full((2, 1 + number % 3), float(number)), number % 2


def numbers(columns: Any) -> set[int]:
    return {int(row[0]) for row in read_all(columns)["inputs.item"].list()}


def test_items_of_several_sizes_are_held_out_by_what_they_hold() -> None:
    """Where the module gives no test data; and stay so in the next update, wherever they are."""

    def load_of(begin: int, known: Known | None = None, **parts: ServedPart) -> Any:
        train = served(Grown(begin), "data.train", workers=0, random=False)
        given = {"seed": 0, "known": known, "problem": None, "training": True}
        return load_served({"train": train, **parts}, test_size=0.2, **given)

    first = load_of(0)
    held = numbers(first.test["test"])
    assert 20 < len(held) < 60
    assert held | numbers(first.train) == set(range(200))
    assert not held & numbers(first.train)
    assert "test_… is measured on held-out training data" in first.notes[-1]

    known = Known(first.problem, first.inputs, first.split)
    second = load_of(100, known)
    assert numbers(second.test["test"]) & set(range(200)) == held & set(range(100, 300))
    test = served(Grown(900), "data.test", workers=0, random=False)
    third = load_of(100, known, test=test)
    assert not numbers(third.train) & held, "what was held out before isn't trained on"
    assert len(numbers(third.test["test"])) == 200


def test_what_is_read_is_said() -> None:
    data = load(workers=2, noise=True, differ=False)
    assert (
        "data.train: items that are another one each time they are read: each is read when it is "
        "needed, by 2 processes" in data.notes
    )
    assert data.input_shape == (1, 4, 4)
    assert len(data.train["inputs"]) == 60

    sized = load(noise=False, differ=True)
    assert any("items of several shapes" in note for note in sized.notes)
    assert sized.input_shape is None
    assert not isinstance(load(noise=False, differ=False).train["inputs"], Served)


def test_contents_are_known_by_what_they_hold() -> None:
    """The same random data set twice is the same, another one isn't."""
    found = [load(noise=True, differ=False).train["inputs"].content for _ in range(2)]
    assert found[0] == found[1]
    path = Path("renate_config.py")
    path.write_text(path.read_text().replace("+= 0.1", "+= 0.2"))
    from renate.compat.files.module import imported

    assert imported(path)
    changed = load(noise=True, differ=True).train["inputs"].content
    assert changed != found[0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return image, row % 2", "return image[0] if row == 7 else image, row % 2", "item 7 is"),
        ("return image, row % 2", "return image * (1 if row else float('nan')), row % 2", "NaN"),
        ("return image, row % 2", "raise OSError('no disk')", "no disk"),
        (
            "self._val_data = Images",
            "self._test_data = None\n        return\n        Images",
            "held",
        ),
    ],
)
def test_what_cant_be_served(old: str, new: str, message: str) -> None:
    text = CONFIG.replace("NOISE", "True").replace("DIFFER", "True")
    assert old in text
    Path("renate_config.py").write_text(text.replace(old, new))
    source = DataModuleFn(
        config_file={"path": "renate_config.py"},
        data_path="data",
        chunk_id=None,
        module_seed=0,
        model=None,
        test_size=0.2,
        batch_size=32,
        val_size=None,
        limit=None,
    )
    with pytest.raises((DataError, OSError), match=message):
        read_all(source.load(seed=0).train)


def job(url: str, workers: int, **given: Any) -> dict[str, Tensor]:
    from renate.compat.calls import training

    lines = training.run
    training.run = lambda overrides: lines([*overrides, f"data.workers={workers}"])  # type: ignore[assignment]
    try:
        run_training_job(
            config_space={"optimizer": "SGD", "learning_rate": 0.5, "memory_size": 10},
            mode="max",
            metric="val_accuracy",
            max_epochs=3,
            config_file="renate_config.py",
            output_state_url=url,
            **given,
        )
    finally:
        training.run = lines
    weights: dict[str, Tensor] = torch.load(f"{url}/model.ckpt", weights_only=True)
    return weights


@pytest.mark.slow
def test_jobs_on_items_of_several_sizes_that_are_random() -> None:
    """Trained, measured, replayed; the same by one process and by several; and gone on with."""
    write_config(noise=True, differ=True)
    alone = job("first", 0)
    helped = job("helped", 2)
    assert all(
        torch.equal(each, helped[name]) for name, each in alone.items() if "extra" not in name
    )

    job("second", 0, input_state_url="first")
    state = State("second")
    scores = json.loads(bytes(state.read(state.manifest(), "metrics.json")))["after"]
    assert scores["test"]["accuracy"] == 1.0
    kept = json.loads(bytes(state.read(state.manifest(), "memory/meta.json")))
    assert kept["count"] == 2 * 3 * 60
