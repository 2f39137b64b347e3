"""Renate's data module for torchvision's data sets."""

from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset, TensorDataset

from renate.build import build, shipped
from renate.compat.data.cifar import LAYOUTS, folders_of, read_cifar
from renate.compat.data.data_module import RenateDataModule
from renate.compat.data.idx import read_mnist
from renate.errors import ConfigError, DataError, nearest

IN_IDX = ("MNIST", "FashionMNIST")
KNOWN = (*IN_IDX, *LAYOUTS)
# Our option of conf/data that reads the Hub's parquet files of it, in a folder of the same name
IN_PARQUET = {"MNIST": "mnist", "CIFAR10": "cifar10"}


class TorchVisionDataModule(RenateDataModule):
    """Images in [0, 1], float32 [C, H, W], and their classes.

    They are read without torchvision: MNIST's own files, CIFAR's python or binary version, each
    where torchvision puts them, or the Hub's parquet files in `mnist/` or `cifar10/`. With
    torchvision, and a network, what isn't there is downloaded.

    Args:
        data_path: Where torchvision keeps its data sets.
        src_bucket: None: nothing comes from a bucket.
        src_object_name: None.
        dataset_name: `MNIST`, `FashionMNIST`, `CIFAR10` or `CIFAR100`.
        val_size: See `RenateDataModule`.
        seed: See `RenateDataModule`.
        download: Whether torchvision is to look for the data set in any case.
    """

    def __init__(
        self,
        data_path: Path | str,
        src_bucket: str | None = None,
        src_object_name: str | None = None,
        dataset_name: str = "MNIST",
        val_size: float = 0.0,
        seed: int = 0,
        download: bool = False,
    ) -> None:
        super().__init__(data_path, src_bucket, src_object_name, val_size, seed)
        self._check_source()
        if dataset_name not in KNOWN:
            raise ConfigError(
                f"dataset_name={dataset_name!r}: expected one of {', '.join(KNOWN)}"
                f"{nearest(str(dataset_name), KNOWN)}"
            )

        self._dataset_name = dataset_name
        self._download = download

    def prepare_data(self) -> None:
        """Download what isn't there, where torchvision is installed.

        Raises:
            ConfigError: The download is asked for, and torchvision isn't installed.
            DataError: It failed.
        """
        if not self._download and self._is_there():
            return

        try:
            from torchvision import datasets
        except ImportError as error:
            if not self._download:
                return  # reading says what isn't there
            raise ConfigError(
                f"dataset_name='{self._dataset_name}', download=True needs torchvision: "
                "pip install torchvision, or put the files there"
            ) from error

        make = getattr(datasets, self._dataset_name)
        for train in (True, False):
            try:
                make(self._data_path, train=train, download=True)
            except (OSError, RuntimeError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                raise DataError(
                    f"{self._data_path}: {self._dataset_name} can't be downloaded: {reason}"
                ) from error

    def setup(self) -> None:
        """Read the data.

        Raises:
            DataError: They aren't there, or are damaged.
        """
        if self._is_as_torchvision_has_it() or self._parquet() is None:
            train = self._read(train=True)
            test = self._read(train=False)
        else:
            train, test = self._read_parquet()

        self._train_data, self._val_data = self._split_train_val_data(train)
        self._test_data = test

    def _is_there(self) -> bool:
        return self._is_as_torchvision_has_it() or self._parquet() is not None

    def _is_as_torchvision_has_it(self) -> bool:
        folder = Path(self._data_path)
        if self._dataset_name in IN_IDX:
            return (folder / self._dataset_name / "raw").is_dir()
        return bool(folders_of(self._dataset_name, folder))

    def _parquet(self) -> Path | None:
        """The folder with the Hub's files, where it is there."""
        name = IN_PARQUET.get(self._dataset_name)
        if name is None:
            return None

        folder = Path(self._data_path) / name
        return folder if (folder / "train.parquet").is_file() else None

    def _read(self, *, train: bool) -> Dataset[Any]:
        folder = Path(self._data_path)
        if self._dataset_name in IN_IDX:
            images, labels = read_mnist(folder / self._dataset_name / "raw", train=train)
        else:
            images, labels = read_cifar(self._dataset_name, folder, train=train)

        return _in_01(torch.from_numpy(images), torch.from_numpy(labels))

    def _read_parquet(self) -> tuple[Dataset[Any], Dataset[Any]]:
        """Read as these files are anywhere here: by the same checks, with the same messages."""
        folder = self._parquet()
        assert folder is not None
        shown = shipped("data", IN_PARQUET[self._dataset_name])
        node = {key: value for key, value in shown.items() if key != "defaults"}
        node |= {part: str(folder / f"{part}.parquet") for part in ("train", "test")}
        source: Any = build(node | {"cache_dir": str(folder / "decoded")}, "data")
        train, tests = source.read()
        parts = [
            _in_01(table.inputs, torch.as_tensor(table.targets.copy()))
            for table in (train, tests["test"])
        ]
        return parts[0], parts[1]


def _in_01(images: torch.Tensor, labels: torch.Tensor) -> Dataset[Any]:
    return TensorDataset(images.float() / 255, labels.long())
