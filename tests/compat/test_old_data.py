"""Renate's data modules, data sets and scenarios: what they promise, and what they refuse."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from renate.benchmark.scenarios import (
    ClassIncrementalScenario,
    FeatureSortingScenario,
    IIDScenario,
    ImageRotationScenario,
    PermutationScenario,
)
from renate.data.data_module import CSVDataModule, RenateDataModule
from renate.data.datasets import ImageDataset, NestedTensorDataset
from renate.errors import ConfigError, DataError


class Numbers(RenateDataModule):
    """100 numbers, of 5 classes in turn."""

    def prepare_data(self) -> None:
        self.prepared = True

    def setup(self) -> None:
        images = torch.arange(100, dtype=torch.float32).reshape(100, 1, 1, 1).expand(100, 1, 4, 4)
        data = TensorDataset(images.contiguous(), torch.arange(100) % 5)
        self._train_data, self._val_data = self._split_train_val_data(data)
        self._test_data = TensorDataset(images[:50], torch.arange(50) % 5)


def test_validation_is_split_off_by_the_seed() -> None:
    def held(seed: int, size: float) -> list[float]:
        module = Numbers("x", val_size=size, seed=seed)
        module.setup()
        data: Any = module.val_data()
        return [] if data is None else sorted(float(x[0, 0, 0]) for x, _ in data)

    assert len(held(0, 0.2)) == 20
    assert held(0, 0.2) == held(0, 0.2)
    assert held(0, 0.2) != held(1, 0.2)
    assert held(0, 0.0) == []
    with pytest.raises(DataError, match="val_size=0.001: of 100 examples it holds out 0"):
        held(0, 0.001)
    with pytest.raises(ConfigError, match="val_size=1.5: expected a fraction"):
        Numbers("x", val_size=1.5)
    with pytest.raises(DataError, match=r"setup\(\) made no training data"):
        Numbers("x").train_data()


def test_csv_files(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,y,b\n1,0,2\n3,1,4\n5,0,6\n7,1,8\n")
    (tmp_path / "test.csv").write_text("a,y,b\n9,1,10\n")
    module = CSVDataModule(tmp_path, val_size=0.25)
    module.prepare_data()
    module.setup()
    train: Any = module.train_data()
    val: Any = module.val_data()
    rows = sorted((x.tolist(), int(y)) for part in (train, val) for x, y in part)
    assert rows == [([1, 2], 0), ([3, 4], 1), ([5, 6], 0), ([7, 8], 1)]
    assert len(val) == 1
    test: Any = module.test_data()
    assert test[0][0].tolist() == [9, 10]

    with pytest.raises(DataError, match="no column 'z'|target"):
        CSVDataModule(tmp_path, target_name="z").setup()


def test_columns_of_csv_files_are_known_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,b,y\n1,10,0\n2,20,1\n")
    (tmp_path / "test.csv").write_text("b,y,a\n30,1,3\n")
    module = CSVDataModule(tmp_path)
    module.setup()
    test: Any = module.test_data()
    assert test[0][0].tolist() == [3, 30]


def test_a_test_file_may_lack_where_nobody_names_one(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a,y\n1,0\n2,1\n")
    module = CSVDataModule(tmp_path)
    module.setup()
    assert module.test_data() is None
    with pytest.raises(DataError, match=r"tset\.csv: no such file"):
        CSVDataModule(tmp_path, test_filename="tset.csv").setup()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,y\n1,0\n,1\n", r"train\.csv: column 'a' has 1 empty values"),
        ("a,y\nred,0\nblue,1\n", r"train\.csv: column 'a' is of kind text, expected numbers"),
        ("a,y\n1,cat\n2,dog\n", r"train\.csv: column 'y' holds 'cat', expected numbers alone"),
    ],
)
def test_csv_files_of_something_else(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        CSVDataModule(tmp_path).setup()


def test_csv_files_come_from_no_bucket(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="src_bucket='ours': CSVDataModule reads files alone"):
        CSVDataModule(tmp_path, src_bucket="ours")


def test_labels_of_image_files_are_whole_numbers(tmp_path: Path) -> None:
    path = str(tmp_path / "image.png")
    Image.new("L", (2, 2)).save(path)
    image, label = ImageDataset([path], [3], target_transform=lambda label: label.item() + 1)[0]
    assert (image.mode, label) == ("RGB", 4)
    assert ImageDataset([path], [3])[0][1].dtype == torch.int64
    with pytest.raises(ValueError, match="label 0 is 1.5: expected the number of a class"):
        ImageDataset([path], [1.5])


def test_nested_tensors() -> None:
    data = NestedTensorDataset(({"a": torch.arange(3)}, torch.arange(3) * 2))
    assert len(data) == 3
    assert data[1] == ({"a": torch.tensor(1)}, torch.tensor(2))
    with pytest.raises(ValueError, match="as many in each"):
        NestedTensorDataset((torch.zeros(2), torch.zeros(3)))
    with pytest.raises(ValueError, match="3: expected tensors of rows"):
        NestedTensorDataset((torch.zeros(2), 3))


def inputs_of(data: Any) -> set[float]:
    return {float(x.flatten()[0]) for x, _ in data}


def test_classes_come_in_groups() -> None:
    groups = [[0, 1], [2, 3, 4]]
    for chunk in (0, 1):
        scenario = ClassIncrementalScenario(
            Numbers("x", val_size=0.2), class_groupings=groups, chunk_id=chunk
        )
        scenario.prepare_data()
        scenario.setup()
        for part in (scenario.train_data(), scenario.val_data()):
            items: Any = part
            assert {int(y) for _, y in items} <= set(groups[chunk])
        tests = scenario.test_data()
        assert [{int(y) for _, y in test} for test in tests] == [set(g) for g in groups]

    with pytest.raises(ConfigError, match="chunk_id=2: expected a number from 0 to 1"):
        ClassIncrementalScenario(Numbers("x"), groups, chunk_id=2)
    scenario = ClassIncrementalScenario(Numbers("x"), [[7], [1]])
    with pytest.raises(DataError, match="chunk 0: no training example of class 7"):
        scenario.setup()


def test_the_chunk_may_stand_before_the_groups() -> None:
    """As in Renate's last release; in those before it stood after them."""
    groups = ((0, 1), (2, 3, 4))
    last = ClassIncrementalScenario(Numbers("x"), 1, groups)
    first = ClassIncrementalScenario(Numbers("x"), groups, 1)
    for scenario in (last, first):
        scenario.setup()
        items: Any = scenario.train_data()
        assert {int(y) for _, y in items} == {2, 3, 4}

    with pytest.raises(ConfigError, match="groupings=7: .*the classes of each chunk"):
        ClassIncrementalScenario(Numbers("x"), 1, 7)
    with pytest.raises(ConfigError, match="num_tasks='4': expected a whole number"):
        IIDScenario(Numbers("x"), "4", 0)


class Odd(RenateDataModule):
    """A few numbers, with targets and tests of one's own."""

    targets = torch.tensor([0, 1, 2, 0])
    tests = torch.tensor([0, 1, 2])

    def prepare_data(self) -> None: ...

    def setup(self) -> None:
        self._train_data = TensorDataset(torch.rand(len(self.targets), 4), self.targets)
        self._test_data = TensorDataset(torch.rand(len(self.tests), 4), self.tests)


def test_every_chunk_has_examples_of_what_it_is_measured_on() -> None:
    odd = Odd("x")
    odd.tests = torch.tensor([0, 1])
    with pytest.raises(DataError, match="chunk 1: no test example of class 2"):
        ClassIncrementalScenario(odd, [[0, 1], [2]]).setup()

    odd = Odd("x")
    odd.targets = torch.tensor([0.0, 1.9, 2.0, 0.0])
    with pytest.raises(DataError, match="chunk 0: no training example of class 1"):
        ClassIncrementalScenario(odd, [[0, 1], [2]]).setup()
    with pytest.raises(DataError, match="data.train: 4 examples for scenario.chunks=5"):
        IIDScenario(odd, num_tasks=5, chunk_id=0).setup()
    with pytest.raises(DataError, match="of its 4 examples none is left for chunk 4 of 5"):
        FeatureSortingScenario(odd, 5, 0, 0.0, chunk_id=4).setup()
    with pytest.raises(DataError, match=r"input_dim=9: an input of data.train is \[4\]"):
        PermutationScenario(odd, 2, input_dim=9, chunk_id=0).setup()


def test_what_is_no_number_is_not_sorted() -> None:
    class Gaps(Odd):
        def setup(self) -> None:
            super().setup()
            self._train_data = TensorDataset(torch.tensor([[0.0], [torch.nan]]), torch.zeros(2))

    with pytest.raises(DataError, match="data.train: example 1 can't be sorted by nan"):
        FeatureSortingScenario(Gaps("x"), 2, 0, 0.0, chunk_id=0).setup()


def test_parts_are_disjoint_and_complete() -> None:
    parts = []
    for chunk in range(4):
        scenario = IIDScenario(Numbers("x"), num_tasks=4, chunk_id=chunk)
        scenario.setup()
        parts.append(inputs_of(scenario.train_data()))
    assert set().union(*parts) == set(map(float, range(100)))
    assert sum(map(len, parts)) == 100


def test_each_chunk_is_another_view() -> None:
    class Corner(Numbers):
        """Images with one bright corner, and a class each."""

        def setup(self) -> None:
            images = torch.zeros(40, 1, 4, 4)
            images[:, :, 0, 0] = 1.0
            self._train_data = self._test_data = TensorDataset(images, torch.arange(40) % 2)

    corners = []
    for chunk in (0, 1):
        scenario = ImageRotationScenario(Corner("x"), degrees=[0, 180], chunk_id=chunk)
        scenario.setup()
        data: Any = scenario.train_data()
        corners.append((float(data[0][0][0, 0, 0]), float(data[0][0][0, 3, 3])))
    assert corners == [(1.0, 0.0), (0.0, 1.0)]

    bright = set()
    for chunk in range(3):
        permuted = PermutationScenario(Corner("x"), 3, input_dim=16, chunk_id=chunk)
        permuted.setup()
        items: Any = permuted.train_data()
        bright.add(int(items[0][0].flatten().argmax()))
    assert len(bright) > 1
