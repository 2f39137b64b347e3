"""Renate's base class of data, and the one that reads CSV files."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, TensorDataset, random_split

from renate.build import build, shipped
from renate.errors import ConfigError, DataError

Collate = Callable[[list[Any]], Any]


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
        if not 0 <= val_size < 1:
            raise ConfigError(f"val_size={val_size}: expected a fraction from 0 to below 1")

        self._data_path = data_path
        self._src_bucket = src_bucket
        self._src_object_name = src_object_name
        self._val_size = val_size
        self._seed = seed
        self._train_data: Dataset[Any] | None = None
        self._val_data: Dataset[Any] | None = None
        self._test_data: Dataset[Any] | None = None

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
        return None

    def val_collate_fn(self) -> Collate | None:
        """Return what makes a batch of validation items; None is torch's own way."""
        return None

    def test_collate_fn(self) -> Collate | None:
        """Return what makes a batch of test items; None is torch's own way."""
        return None

    def _split_train_val_data(self, train_data: Dataset[Any]) -> tuple[Any, Any]:
        """Split off `val_size` of the data by the seed; with 0 the second part is None."""
        if self._val_size == 0:
            return train_data, None

        total = len(train_data)  # type: ignore[arg-type]
        held = round(self._val_size * total)
        generator = torch.Generator().manual_seed(self._seed)
        train, val = random_split(train_data, [total - held, held], generator=generator)

        return train, val


class CSVDataModule(RenateDataModule):
    """Two CSV files of numbers, one column of which is the class.

    Args:
        data_path: Their folder.
        train_filename: Within it.
        test_filename: Within it; there may be none of that name.
        target_name: The column to predict.
        src_bucket: See `RenateDataModule`.
        src_object_name: See `RenateDataModule`.
        val_size: See `RenateDataModule`.
        seed: See `RenateDataModule`.
    """

    def __init__(
        self,
        data_path: Path | str,
        train_filename: str = "train.csv",
        test_filename: str = "test.csv",
        target_name: str = "y",
        src_bucket: str | None = None,
        src_object_name: str | None = None,
        val_size: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(data_path, src_bucket, src_object_name, val_size, seed)
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
        train = self._read(self._train_filename)
        self._train_data, self._val_data = self._split_train_val_data(train)
        if (Path(self._data_path) / self._test_filename).is_file():
            self._test_data = self._read(self._test_filename)

    def _read(self, name: str) -> Dataset[Any]:
        path = str(Path(self._data_path) / name)
        # Read as any CSV file is here: by the same checks, with the same messages.
        node = shipped("data", "files") | {"train": path, "target": self._target_name}
        source: Any = build(node, "data")
        inputs, targets, *_ = source.read()[0]

        return TensorDataset(inputs, torch.from_numpy(targets.copy()))
