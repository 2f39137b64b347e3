"""torchvision's data sets read from what is on the disk, without torchvision; no pickle runs."""

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from renate.benchmark.datasets.vision_datasets import TorchVisionDataModule
from renate.errors import ConfigError, DataError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def pixels(rows: int, *shape: int) -> Pixels:
    return np.random.default_rng(rows).integers(0, 256, (rows, *shape), np.uint8)


def read(path: Path, name: str) -> tuple[Any, Any]:
    module = TorchVisionDataModule(path, dataset_name=name)
    module.prepare_data()
    module.setup()
    return module.train_data(), module.test_data()


def assert_holds(items: Any, images: Pixels, labels: list[int]) -> None:
    assert len(items) == len(labels)
    for row, (image, label) in enumerate(items):
        assert torch.equal(image, torch.from_numpy(images[row].copy()).float() / 255)
        assert label == labels[row]
        assert label.dtype == torch.int64


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    """MNIST's own files, of few images."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, rows in (("train", 10), ("t10k", 4)):
        images = pixels(rows, 28, 28)
        header = np.array([2051, *images.shape], ">u4").tobytes()
        (raw / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = np.array([2049, rows], ">u4").tobytes()
        labels = np.arange(rows, dtype=np.uint8)
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    return tmp_path


def test_mnist(mnist: Path) -> None:
    train, test = read(mnist, "MNIST")
    assert_holds(train, pixels(10, 28, 28)[:, None], list(range(10)))
    assert_holds(test, pixels(4, 28, 28)[:, None], list(range(4)))
    default: Any = TorchVisionDataModule(mnist)
    assert default._dataset_name == "MNIST", "as Renate 0.5.1 has it"

    (mnist / "MNIST/raw/train-labels-idx1-ubyte").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no IDX file of labels"):
        read(mnist, "MNIST")


def test_a_damaged_mnist_is_named(mnist: Path) -> None:
    labels = mnist / "MNIST/raw/train-labels-idx1-ubyte"
    content = labels.read_bytes()
    labels.write_bytes(content[:-1] + bytes([77]))
    with pytest.raises(DataError, match="label 9 of train is 77, expected 0 to 9"):
        read(mnist, "MNIST")

    labels.unlink()
    labels.with_suffix(".gz").write_bytes(gzip.compress(content)[:-9])
    with pytest.raises(DataError, match=r"labels-idx1-ubyte.gz: damaged, or not packed by gzip"):
        read(mnist, "MNIST")


def test_nothing_comes_from_a_bucket(mnist: Path) -> None:
    with pytest.raises(ConfigError, match="src_bucket='ours': TorchVisionDataModule reads files"):
        TorchVisionDataModule(mnist, src_bucket="ours", src_object_name="mnist")


def python_2(data: Pixels, labels: list[int]) -> bytes:
    """A pickle of {'data': array, 'labels': list} as Python 2 wrote CIFAR's: texts of one byte a
    character, numpy's functions under their names of then.
    """

    def text(raw: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(raw)) + raw

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    dtype = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    dtype += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    empty += number(0) + b"\x85" + text(b"b") + b"\x87R"
    shape = number(data.shape[0]) + number(data.shape[1]) + b"\x86"
    array = empty + b"(" + number(1) + shape + dtype + b"\x89" + text(data.tobytes()) + b"tb"
    listed = b"](" + b"".join(number(label) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + listed + b"u."


def write_cifar10(folder: Path, dump: Any) -> tuple[Pixels, list[int]]:
    """The python version, of two images a batch; the training images and labels."""
    folder.mkdir(parents=True)
    images = pixels(12, 3072)
    labels = [int(label) for label in np.arange(12) % 10]
    for batch in range(6):
        name = f"data_batch_{batch + 1}" if batch < 5 else "test_batch"
        part = slice(2 * batch, 2 * batch + 2)
        (folder / name).write_bytes(dump(images[part], labels[part]))
    return images.reshape(-1, 3, 32, 32), labels


def python_3(data: Pixels, labels: list[int]) -> bytes:
    return pickle.dumps({"data": data, "labels": labels})


@pytest.mark.parametrize("dump", [python_2, python_3])
def test_the_python_version(tmp_path: Path, dump: Any) -> None:
    images, labels = write_cifar10(tmp_path / "cifar-10-batches-py", dump)
    train, test = read(tmp_path, "CIFAR10")
    assert_holds(train, images[:10], labels[:10])
    assert_holds(test, images[10:], labels[10:])


def test_the_binary_version(tmp_path: Path) -> None:
    for name, classes, before in (("CIFAR10", 10, 0), ("CIFAR100", 100, 1)):
        folder = tmp_path / ("cifar-10-batches-bin" if classes == 10 else "cifar-100-binary")
        folder.mkdir()
        images = pixels(12, 3072)
        labels = (np.arange(12) * 7 % classes).astype(np.uint8)
        coarse = np.full((12, before), 3, np.uint8)
        rows = np.concatenate([coarse, labels[:, None], images], 1)
        names = [f"data_batch_{batch}" for batch in range(1, 6)] + ["test_batch"]
        if classes == 100:
            names = ["train", "test"]
        for file, part in zip(names, np.array_split(rows, len(names)), strict=True):
            (folder / f"{file}.bin").write_bytes(part.tobytes())

        train, test = read(tmp_path, name)
        square = images.reshape(-1, 3, 32, 32)
        assert_holds(train, square[: len(train)], labels[: len(train)].tolist())
        assert_holds(test, square[len(train) :], labels[len(train) :].tolist())


def test_cifar100(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name, rows in (("train", 4), ("test", 2)):
        found = {"data": pixels(rows, 3072), "coarse_labels": [1] * rows}
        found["fine_labels"] = [97 + row % 3 for row in range(rows)]
        (folder / name).write_bytes(pickle.dumps(found))
    train, _ = read(tmp_path, "CIFAR100")
    assert_holds(train, pixels(4, 3072).reshape(-1, 3, 32, 32), [97, 98, 99, 97])


class Touch:
    """What a hostile pickle would run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda f: pickle.dumps(Touch(f / "ran")), "test_batch: a pickle that holds pathlib"),
        (lambda _: b"\x80\x04\x95", "test_batch: damaged, or no file of CIFAR's"),
        (lambda _: pickle.dumps([1]), "test_batch: expected 'data' and 'labels'"),
        (lambda _: python_3(pixels(2, 3072), [1]), "2 images and 1 labels"),
        (lambda _: python_3(pixels(2, 3072), [1, 10]), "labels from 1 to 10, expected 0 to 9"),
        (lambda _: python_3(pixels(2, 3071), [1, 1]), "expected 'data' and 'labels'"),
        (None, "test_batch: no such file"),
    ],
)
def test_what_is_no_file_of_cifars(tmp_path: Path, content: Any, message: str) -> None:
    write_cifar10(tmp_path / "cifar-10-batches-py", python_3)
    path = tmp_path / "cifar-10-batches-py" / "test_batch"
    path.unlink()
    if content is not None:
        path.write_bytes(content(tmp_path))
    with pytest.raises(DataError, match=message):
        read(tmp_path, "CIFAR10")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("FashionMNIST", "no such file; download=True fetches it, with torchvision"),
        ("CIFAR10", "neither cifar-10-batches-py/ nor cifar-10-batches-bin/ is there"),
    ],
)
def test_what_isnt_there(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, name)
    with pytest.raises(ConfigError, match="download=True needs torchvision"):
        TorchVisionDataModule(tmp_path, dataset_name=name, download=True).prepare_data()


def test_names_that_there_arent(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset_name='Mnist': expected one of MNIST"):
        TorchVisionDataModule(tmp_path, dataset_name="Mnist")


def test_the_hubs_files(tmp_path: Path, data_dir: Path) -> None:
    """The first images are those that data=mnist reads."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part, rows in (("train", 12), ("test", 5)):
        few = next(pq.ParquetFile(data_dir / f"mnist/{part}.parquet").iter_batches(rows))
        pq.write_table(pa.Table.from_batches([few]), folder / f"{part}.parquet")

    train, test = read(tmp_path, "MNIST")
    assert (len(train), len(test)) == (12, 5)
    image, label = train[0]
    assert (tuple(image.shape), int(label)) == ((1, 28, 28), 5)
    assert 0.9 < float(image.max()) <= 1
