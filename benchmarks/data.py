"""Reading data beside torch's DataLoader over the same files: `python benchmarks/data.py
[--images 10000] [--epochs 3]`.

CPU seconds of one process at one thread, so that what else the machine does has little say;
shuffled batches of 128, images as floats in [0, 1]. Images: a Dataset that decodes each item by
Pillow when it is asked for, as image folders of most libraries do, and one whose items were decoded
before. Texts: the same tokenizer, in the DataLoader's `collate_fn`, or once when the data are
read.
"""

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from machine import write
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from renate.data.base import Data, Source
from renate.data.batch import Batches, BatchTransform
from renate.data.files import Files
from renate.data.ragged import Ragged
from renate.data.text.source import Texts
from renate.data.transforms import Scale

BATCH = 128
SHARED: dict[str, Any] = {"test_size": 0.0, "batch_size": BATCH, "val_size": 0, "limit": None}
IMAGES = {"mnist": "image", "cifar10": "img"}


class Decoding(Dataset[tuple[Tensor, int]]):
    """Items that are decoded when they are asked for."""

    def __init__(self, images: list[bytes], labels: list[int]) -> None:
        self.images = images
        self.labels = labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        pixels = np.array(Image.open(io.BytesIO(self.images[row])))
        tensor = torch.from_numpy(pixels)
        tensor = tensor[None] if tensor.ndim == 2 else tensor.permute(2, 0, 1)
        return tensor.float() / 255, self.labels[row]


class Decoded(Dataset[tuple[Tensor, Tensor]]):
    """Items of tensors that lie in memory."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs = inputs
        self.targets = targets

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.inputs[row].float() / 255, self.targets[row]


class Lines(Dataset[tuple[str, int]]):
    """Texts and their labels."""

    def __init__(self, texts: list[str], labels: list[int]) -> None:
        self.texts = texts
        self.labels = labels

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, row: int) -> tuple[str, int]:
        return self.texts[row], self.labels[row]


def seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def epoch(batches: Iterable[Any], of: Callable[[Any], Tensor]) -> Callable[[], int]:
    """Go once through all batches, and touch each."""
    return lambda: sum(int(of(batch).shape[0]) for batch in batches)


def median(call: Callable[[], object], epochs: int) -> float:
    return float(np.median([seconds(call) for _ in range(epochs)]))


def loaded(source: Source) -> tuple[Data, float]:
    """What a source reads, and how long it took."""
    began = time.process_time() + children()
    data = source.load(seed=0)
    return data, time.process_time() + children() - began


def children() -> float:
    """CPU seconds of processes that have ended, which decode."""
    times = os.times()
    return times.children_user + times.children_system


def batches_of(data: Data) -> Batches:
    generator = torch.Generator().manual_seed(0)
    return Batches(data.train, BATCH, BatchTransform([Scale()]), generator)


def loader(items: Dataset[Any], **options: Any) -> DataLoader[Any]:
    return DataLoader(items, BATCH, shuffle=True, num_workers=0, **options)


def images(name: str, count: int, epochs: int, folder: str) -> list[str]:
    where = Path(os.environ.get("RENATE_DATA", "../shared/data"))
    table = pq.read_table(where / name / "train.parquet").slice(0, count)
    path = str(Path(folder) / f"{name}.parquet")
    pq.write_table(table, path)

    settings: dict[str, Any] = {
        "train": path,
        "test": path,
        "target": "label",
        "inputs": [IMAGES[name]],
        "image_size": None,
        "cache_dir": folder,
    }
    data, first = loaded(Files(**settings, **SHARED))
    _, later = loaded(Files(**settings, **SHARED))
    ours = median(epoch(batches_of(data), lambda batch: batch.inputs), epochs)

    encoded = [image["bytes"] for image in table[IMAGES[name]].to_pylist()]
    decoding = loader(Decoding(encoded, table["label"].to_pylist()))
    theirs = median(epoch(decoding, lambda batch: batch[0]), epochs)
    held = loader(Decoded(data.train["inputs"], data.train["targets"]))
    in_memory = median(epoch(held, lambda batch: batch[0]), epochs)

    return row(f"{name}, {count:,} images", first, later, ours, theirs, in_memory)


def texts(epochs: int, folder: str) -> list[str]:
    where = Path(os.environ.get("RENATE_DATA", "../shared/data"))
    path = str(where / "ag_news" / "train.parquet")
    settings: dict[str, Any] = {
        "train": path,
        "test": path,
        "text": "text",
        "target": "label",
        "tokenizer": None,
        "vocab_size": 8000,
        "lowercase": True,
        "max_length": 256,
    }
    source = Texts(**settings, **SHARED)
    data, first = loaded(source)
    ours = median(epoch(batches_of(data), lambda batch: batch.inputs["ids"]), epochs)

    tokens = source.texts.tokens

    def collate(items: list[tuple[str, int]]) -> tuple[Tensor, Tensor]:
        ids: Ragged = tokens.encode([text for text, _ in items])
        return ids.padded(), torch.tensor([label for _, label in items])

    table = pq.read_table(path)
    lines = Lines(table["text"].to_pylist(), table["label"].to_pylist())
    theirs = median(epoch(loader(lines, collate_fn=collate), lambda batch: batch[0]), epochs)
    began = time.process_time()
    tokens.encode(lines.texts)
    once = time.process_time() - began

    return row(f"AG News, {len(lines):,} texts", first, once, ours, theirs, None)


def row(
    what: str, first: float, later: float, ours: float, theirs: float, held: float | None
) -> list[str]:
    in_memory = "" if held is None else f"{held:.3f}"
    ratio = f"{theirs / ours:.0f} ×"
    return [what, f"{first:.2f}", f"{later:.2f}", f"{ours:.3f}", f"{theirs:.3f}", ratio, in_memory]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=3)
    asked = parser.parse_args()

    torch.set_num_threads(1)
    os.environ["RAYON_NUM_THREADS"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as folder:
        rows = [images(name, asked.images, asked.epochs, folder) for name in IMAGES]
        rows.append(texts(asked.epochs, folder))

    table = [
        "| data | read first | read again; texts: encoded | an epoch | DataLoader | ratio | "
        "DataLoader of decoded items |",
        "| --- | --: | --: | --: | --: | --: | --: |",
        *("| " + " | ".join(cells) + " |" for cells in rows),
    ]
    said = (
        "CPU seconds of one process at one thread (what is read first, decoding processes "
        "included); batches of 128. The DataLoader decodes, or cuts into tokens, in each epoch; "
        "here that is done once, when the files are read first. The ratio is that of an epoch."
    )
    write("data", "Reading data beside torch's DataLoader", said, table)


if __name__ == "__main__":
    main()
