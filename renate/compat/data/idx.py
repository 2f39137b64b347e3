"""MNIST's file format, http://yann.lecun.com/exdb/mnist."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from renate.errors import DataError

FILES = {"train": "train", "test": "t10k"}
MAGIC = {"images": 2051, "labels": 2049}
CLASSES = 10

Array = np.ndarray[Any, np.dtype[np.uint8]]


def read_mnist(folder: Path, *, train: bool) -> tuple[Array, Array]:
    """Return images, uint8 [N, 1, H, W], and labels [N].

    Args:
        folder: With the four files, packed or not.
        train: Whether the training data are asked for, not those for testing.

    Raises:
        DataError: A file is missing, damaged or another one.
    """
    name = FILES["train" if train else "test"]
    images = read_idx(folder / f"{name}-images-idx3-ubyte", "images")
    labels = read_idx(folder / f"{name}-labels-idx1-ubyte", "labels")
    if len(images) != len(labels):
        raise DataError(f"{folder}: {len(images)} images, {len(labels)} labels")
    if len(labels) and labels.max() >= CLASSES:
        row = int(labels.argmax())
        raise DataError(
            f"{folder}: label {row} of {name} is {labels[row]}, expected 0 to {CLASSES - 1}"
        )

    return images[:, None], labels


def read_idx(path: Path, kind: str) -> Array:
    """Read a file of the IDX format.

    Args:
        path: Of the file; with `.gz` behind it a packed one is read.
        kind: `images` or `labels`.

    Raises:
        DataError: There is none, or it is another kind of file.
    """
    packed = path.with_suffix(".gz")
    if path.is_file():
        raw = path.read_bytes()
    elif packed.is_file():
        try:
            raw = gzip.decompress(packed.read_bytes())
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{packed}: damaged, or not packed by gzip: {error}") from error
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
