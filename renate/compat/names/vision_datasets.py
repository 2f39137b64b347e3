"""Renate's data module for torchvision's data sets."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, TensorDataset

from renate.compat.names.data_module import RenateDataModule
from renate.errors import ConfigError, DataError

IN_IDX = ("MNIST", "FashionMNIST")  # read here, so that they need no torchvision
OTHERS = ("CIFAR10", "CIFAR100")
FILES = {"train": "train", "test": "t10k"}
MAGIC = {"images": 2051, "labels": 2049}


class TorchVisionDataModule(RenateDataModule):
    """Images in [0, 1], float32 [C, H, W], and their classes.

    Args:
        data_path: Where torchvision keeps its data sets.
        src_bucket: See `RenateDataModule`.
        src_object_name: See `RenateDataModule`.
        dataset_name: `MNIST`, `FashionMNIST`, and with torchvision `CIFAR10` or `CIFAR100`.
        download: Whether torchvision may download what isn't there.
        val_size: See `RenateDataModule`.
        seed: See `RenateDataModule`.
    """

    def __init__(
        self,
        data_path: Path | str,
        src_bucket: str | None = None,
        src_object_name: str | None = None,
        dataset_name: str = "FashionMNIST",
        download: bool = False,
        val_size: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(data_path, src_bucket, src_object_name, val_size, seed)
        if dataset_name not in (*IN_IDX, *OTHERS):
            raise ConfigError(
                f"dataset_name={dataset_name!r}: expected one of {', '.join((*IN_IDX, *OTHERS))}"
            )
        self._dataset_name = dataset_name
        self._download = download

    def prepare_data(self) -> None:
        """Download, if that is asked for."""
        if self._download:
            for train in (True, False):
                self._of_torchvision(train)

    def setup(self) -> None:
        """Read the data.

        Raises:
            DataError: They aren't there, or are damaged.
        """
        if self._dataset_name in IN_IDX:
            read = self._read_idx
        else:
            read = self._of_torchvision

        self._train_data, self._val_data = self._split_train_val_data(read(True))
        self._test_data = read(False)

    def _of_torchvision(self, train: bool) -> Dataset[Any]:
        try:
            from torchvision import datasets, transforms
        except ImportError as error:
            raise ConfigError(
                f"dataset_name='{self._dataset_name}' needs torchvision: pip install torchvision"
            ) from error

        make = getattr(datasets, self._dataset_name)
        made: Dataset[Any] = make(
            self._data_path,
            train=train,
            download=self._download,
            transform=transforms.ToTensor(),
        )
        return made

    def _read_idx(self, train: bool) -> Dataset[Any]:
        folder = Path(self._data_path) / self._dataset_name / "raw"
        name = FILES["train" if train else "test"]
        images = _idx(folder / f"{name}-images-idx3-ubyte", "images")
        labels = _idx(folder / f"{name}-labels-idx1-ubyte", "labels")
        if len(images) != len(labels):
            raise DataError(f"{folder}: {len(images)} images, {len(labels)} labels")

        inputs = torch.from_numpy(images)[:, None].float() / 255
        return TensorDataset(inputs, torch.from_numpy(labels).long())


def _idx(path: Path, kind: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Read a file of the IDX format, as http://yann.lecun.com/exdb/mnist has them.

    Raises:
        DataError: There is none, or it is another kind of file.
    """
    packed = path.with_suffix(".gz")
    if path.is_file():
        raw = path.read_bytes()
    elif packed.is_file():
        raw = gzip.decompress(packed.read_bytes())
    else:
        raise DataError(f"{path}: no such file; download=True fetches it, with torchvision")

    rank = 3 if kind == "images" else 1
    size = 4 * (rank + 1)
    if len(raw) >= size:
        header = np.frombuffer(raw[:size], dtype=">u4")
    else:
        header = np.zeros(1)

    if header[0] != MAGIC[kind]:
        raise DataError(f"{path}: no IDX file of {kind}")

    shape = [int(size) for size in header[1:]]
    values = np.frombuffer(raw, dtype=np.uint8, offset=4 * (rank + 1))
    if len(values) != int(np.prod(shape)):
        raise DataError(f"{path}: {len(values)} values, its header says {shape}")

    return values.reshape(shape).copy()
