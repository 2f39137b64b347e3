"""Renate's base class of data, and the one that reads CSV files."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset, random_split

from renate.build import build, shipped
from renate.data.table import Table
from renate.errors import ConfigError, DataError

Collate = Callable[[list[Any]], Any]
TEST = "test.csv"  # the only file that may lack, as nobody asked for it


class RenateDataModule(ABC):
    """Training, validation and test data. A subclass fills `_train_data`, `_val_data` and
    `_test_data` in `setup`.

    Args:
        data_path: Where the data are, or are to be put.
        src_bucket: Of an object store that they come from; for the subclass to use.
        src_object_name: What to take from there; for the subclass to use.
        val_size: The fraction of the training data that `_split_train_val_data` holds out.
        seed: Of that split.
    """

    def __init__(
        self,
        data_path: Path | str,
        src_bucket: str | None = None,
        src_object_name: str | None = None,
        val_size: float = 0.0,
        seed: int = 0,
    ) -> None:
        if not isinstance(val_size, int | float) or not 0 <= val_size < 1:
            raise ConfigError(f"val_size={val_size!r}: expected a fraction from 0 to below 1")

        self._data_path = data_path
        self._src_bucket = src_bucket
        self._src_object_name = src_object_name
        self._val_size = val_size
        self._seed = seed
        self._train_data: Dataset[Any] | None = None
        self._val_data: Dataset[Any] | None = None
        self._test_data: Dataset[Any] | None = None
        self._train_collate_fn: Collate | None = None
        self._val_collate_fn: Collate | None = None
        self._test_collate_fn: Collate | None = None

    @abstractmethod
    def prepare_data(self) -> None:
        """Download, if need be; called once, before `setup`."""

    @abstractmethod
    def setup(self) -> None:
        """Make the data sets."""

    def train_data(self) -> Dataset[Any]:
        """Return the training data.

        Raises:
            DataError: `setup` made none.
        """
        if self._train_data is None:
            raise DataError(f"{type(self).__name__}: setup() made no training data (_train_data)")
        return self._train_data

    def val_data(self) -> Dataset[Any] | None:
        """Return the validation data; None where there is none."""
        return self._val_data

    def test_data(self) -> Dataset[Any] | None:
        """Return the test data; None where there is none."""
        return self._test_data

    def train_collate_fn(self) -> Collate | None:
        """Return what makes a batch of training items; None is torch's own way."""
        return self._train_collate_fn

    def val_collate_fn(self) -> Collate | None:
        """Return what makes a batch of validation items; None is torch's own way."""
        return self._val_collate_fn

    def test_collate_fn(self) -> Collate | None:
        """Return what makes a batch of test items; None is torch's own way."""
        return self._test_collate_fn

    def _split_train_val_data(self, train_data: Dataset[Any]) -> tuple[Any, Any]:
        """Split off `val_size` of the data by the seed; with 0 the second part is None."""
        if self._val_size == 0:
            return train_data, None

        total = len(train_data)  # type: ignore[arg-type]
        held = round(self._val_size * total)
        if not 0 < held < total:
            raise DataError(
                f"val_size={self._val_size}: of {total} examples it holds out {held}, expected 1 "
                "or more, and 1 or more to train on"
            )

        generator = torch.Generator().manual_seed(self._seed)
        train, val = random_split(train_data, [total - held, held], generator=generator)

        return train, val

    def _check_source(self) -> None:
        """Raises ConfigError where the data are to come from a bucket, which nothing here reads."""
        if self._src_bucket is not None:
            raise ConfigError(
                f"src_bucket={self._src_bucket!r}: {type(self).__name__} reads files alone: put "
                f"those of the bucket into {self._data_path}, or fetch them in prepare_data of a "
                "subclass, and leave src_bucket out"
            )


class CSVDataModule(RenateDataModule):
    """Two CSV files of numbers, one column of which is the class.

    Columns are known by their names: those of the test file may stand in another order.

    Args:
        data_path: Their folder.
        train_filename: Within it.
        test_filename: Within it; only one of the name that nobody gives may lack.
        target_name: The column to predict.
        src_bucket: None: nothing is downloaded.
        src_object_name: None.
        val_size: See `RenateDataModule`.
        seed: See `RenateDataModule`.

    Raises:
        ConfigError: A bucket.
    """

    def __init__(
        self,
        data_path: Path | str,
        train_filename: Path | str = "train.csv",
        test_filename: Path | str = TEST,
        target_name: str = "y",
        src_bucket: str | None = None,
        src_object_name: str | None = None,
        val_size: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(data_path, src_bucket, src_object_name, val_size, seed)
        self._check_source()
        self._train_filename = train_filename
        self._test_filename = test_filename
        self._target_name = target_name

    def prepare_data(self) -> None:
        """The files are there."""

    def setup(self) -> None:
        """Read the files.

        Raises:
            DataError: No such file or column, or a value that is no number.
        """
        folder = Path(self._data_path)
        test = folder / self._test_filename
        is_there = test.is_file() or str(self._test_filename) != TEST
        # Read as any CSV files are here: by the same checks, with the same messages.
        node = shipped("data", "files") | {
            "train": str(folder / self._train_filename),
            "test": str(test) if is_there else None,
            "target": self._target_name,
            "missing": "error",
        }
        source: Any = build(node, "data")
        train, tests = source.read()

        self._train_data, self._val_data = self._split_train_val_data(_items(train))
        if is_there:
            self._test_data = _items(tests["test"])


def _items(table: Table) -> Dataset[Any]:
    """A table of numbers, item by item.

    Raises:
        DataError: A column holds something else.
    """
    file = table.files[0].name
    if not isinstance(table.inputs, Tensor):
        name, kind = next((each for each in table.columns if each[1] != "number"), ("?", "?"))
        raise DataError(f"{file}: column '{name}' is of kind {kind}, expected numbers alone")
    if table.targets.dtype.kind not in "biuf":
        raise DataError(
            f"{file}: column '{table.target}' holds {table.targets[0]!r}, expected numbers alone"
        )

    return TensorDataset(table.inputs, torch.from_numpy(table.targets.copy()))
