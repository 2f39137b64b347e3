"""CIFAR-10 and CIFAR-100 as https://www.cs.toronto.edu/~kriz/cifar.html has them, read without
torchvision.

The "python version" is pickles. They are read by an unpickler that knows arrays and nothing else,
so that a file can't run code.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from renate.errors import DataError

SHAPE = (3, 32, 32)
VALUES = 3 * 32 * 32

Array = np.ndarray[Any, np.dtype[np.uint8]]


@dataclass(frozen=True)
class Layout:
    """How one of the data sets lies on a disk.

    Attributes:
        pickled: The folder of the python version.
        binary: The folder of the binary version.
        train: Names of the training files, without an ending.
        test: Those for testing.
        labels: What the python version calls the labels.
        coarse: Labels of the binary version that stand before these in each row.
        classes: How many classes there are.
    """

    pickled: str
    binary: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    labels: str
    coarse: int
    classes: int


LAYOUTS = {
    "CIFAR10": Layout(
        "cifar-10-batches-py",
        "cifar-10-batches-bin",
        tuple(f"data_batch_{number}" for number in range(1, 6)),
        ("test_batch",),
        "labels",
        0,
        10,
    ),
    "CIFAR100": Layout(
        "cifar-100-python", "cifar-100-binary", ("train",), ("test",), "fine_labels", 1, 100
    ),
}


def folders_of(name: str, data_path: Path) -> dict[str, Path]:
    """Return kind, `pickled` or `binary` -> the folder, of the versions that are there."""
    layout = LAYOUTS[name]
    places = {"pickled": data_path / layout.pickled, "binary": data_path / layout.binary}
    return {kind: folder for kind, folder in places.items() if folder.is_dir()}


def read_cifar(name: str, data_path: Path, *, train: bool) -> tuple[Array, Array]:
    """Return images, uint8 [N, 3, 32, 32], and labels [N].

    Args:
        name: `CIFAR10` or `CIFAR100`.
        data_path: Holds a folder as the archives have them.
        train: Whether the training data are asked for, not those for testing.

    Raises:
        DataError: No such folder, or a file that is missing, damaged or another one.
    """
    layout = LAYOUTS[name]
    found = folders_of(name, data_path)
    if not found:
        raise DataError(
            f"{data_path}: neither {layout.pickled}/ nor {layout.binary}/ is there; download=True "
            "fetches them, with torchvision"
        )

    files = layout.train if train else layout.test
    if "pickled" in found:
        parts = [_pickled(found["pickled"] / file, layout) for file in files]
    else:
        parts = [_binary(found["binary"] / f"{file}.bin", layout) for file in files]

    images = np.concatenate([part[0] for part in parts])
    return images.reshape(-1, *SHAPE), np.concatenate([part[1] for part in parts])


def _binary(path: Path, layout: Layout) -> tuple[Array, Array]:
    row = layout.coarse + 1 + VALUES
    raw = np.frombuffer(_bytes(path), np.uint8)
    if not len(raw) or len(raw) % row:
        raise DataError(f"{path}: {len(raw)} bytes, expected rows of {row}")

    rows = raw.reshape(-1, row)
    labels = rows[:, layout.coarse].copy()
    _check_labels(labels, layout, path)
    return rows[:, layout.coarse + 1 :].copy(), labels


def _pickled(path: Path, layout: Layout) -> tuple[Array, Array]:
    try:
        with path.open("rb") as file:
            found = _Arrays(file, encoding="latin1").load()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except ForeignError as error:
        raise DataError(f"{path}: a pickle that holds {error}, expected CIFAR's arrays") from error
    except Exception as error:  # damaged bytes raise anything
        raise DataError(f"{path}: damaged, or no file of CIFAR's: {error}") from error

    plain: dict[str, Any] = found if isinstance(found, dict) else {}
    images: Any = plain.get("data")
    labels: Any = plain.get(layout.labels)
    is_images = (
        isinstance(images, np.ndarray)
        and images.dtype == np.uint8
        and images.shape[1:] == (VALUES,)
    )
    if not is_images or not isinstance(labels, list):
        raise DataError(f"{path}: expected 'data' and '{layout.labels}', as CIFAR's files have")
    if len(labels) != len(images) or not all(type(label) is int for label in labels):
        raise DataError(f"{path}: {len(images)} images and {len(labels)} labels that aren't theirs")

    _check_labels(np.array(labels), layout, path)
    return images, np.array(labels, np.uint8)


def _check_labels(labels: np.ndarray[Any, Any], layout: Layout, path: Path) -> None:
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < layout.classes:
        raise DataError(
            f"{path}: labels from {labels.min()} to {labels.max()}, expected 0 to "
            f"{layout.classes - 1}"
        )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error


class ForeignError(Exception):
    """A pickle asks for what arrays don't need."""


def _array(kind: Any, shape: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """What numpy's pickles call to make an array, before they fill it."""
    if kind is not np.ndarray:
        raise ForeignError(f"an array of {kind}")
    return np.ndarray.__new__(np.ndarray, shape, dtype)


class _Arrays(pickle.Unpickler):
    """Knows arrays of numpy's, as Python 2 and 3 wrote them."""

    known = {  # noqa: RUF012 (of a class that nobody changes)
        ("numpy.core.multiarray", "_reconstruct"): _array,
        ("numpy._core.multiarray", "_reconstruct"): _array,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return what an array is made of.

        Raises:
            ForeignError: Anything else is asked for.
        """
        if (module, name) not in self.known:
            raise ForeignError(f"{module}.{name}")
        return self.known[module, name]
