"""The work of `end_to_end.py` by Avalanche's own parts, in the environment that end_to_end.py makes
for it.

`python with_avalanche.py --data FOLDER`. Options and output are those of `bare.py`. What differs
from the others is Avalanche's way: its memory is filled after a task, not during it; its DER++
keeps equally many examples of each class, makes one replay draw and one forward pass, and stores
the logits of after the task. `--as-documented` uses its own MNIST benchmarks, which transform
example by example, and its default evaluator and progress bars, as its tutorials do.
"""

import argparse
import json
import struct
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

try:
    import torchvision  # noqa: F401 (to see whether it can be)
except RuntimeError:
    # Its compiled operators are for a CUDA build and can't be loaded beside a CPU build of torch.
    # Nothing here calls them, so it is enough that these two, which it describes without asking
    # whether they are there, have a name.
    for name in ("nms", "qnms"):
        torch.library.define(
            f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )

from avalanche.benchmarks import tensors_benchmark
from avalanche.benchmarks.classic import RotatedMNIST, SplitMNIST
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.models import SimpleMLP
from avalanche.training import DER, Naive
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin, SupervisedPlugin
from avalanche.training.storage_policy import ReservoirSamplingBuffer
from torchvision.transforms import InterpolationMode, Normalize
from torchvision.transforms.functional import rotate

Examples = tuple[Tensor, Tensor]  # images in [0, 1] [N, 1, 28, 28], labels [N]

TEST = "Top1_Acc_Exp/eval_phase/test_stream/Task000/Exp{:03}"


class Progress(SupervisedPlugin):  # type: ignore[misc]
    """Counts steps and notes when the first one was done."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.first_step = 0.0

    def after_update(self, strategy: Any, **kwargs: Any) -> None:
        self.steps += 1
        if self.steps == 1:
            self.first_step = time.time()
            print("FIRST STEP", flush=True)


def load(folder: Path, part: str) -> Examples:
    images, labels = (
        torch.from_numpy(np.load(folder / f"{part}_{name}.npy")) for name in ("images", "labels")
    )
    return images[:, None] / 255, labels


def by_class(examples: Examples, tasks: int) -> list[Examples]:
    images, labels = examples
    chosen = [torch.isin(labels, classes) for classes in torch.arange(10).tensor_split(tasks)]
    return [(images[rows], labels[rows]) for rows in chosen]


def by_rotation(
    train: Examples, test: Examples, tasks: int
) -> tuple[list[Examples], list[Examples]]:
    """Each task has all images, turned by an angle of its own."""

    def rotated(images: Tensor, angle: float) -> Tensor:
        return torch.cat(
            [rotate(part, angle, InterpolationMode.BILINEAR) for part in images.split(4096)]
        )

    angles = [180 * task / tasks for task in range(tasks)]
    trains = [(rotated(train[0], angle), train[1]) for angle in angles]
    tests = [(rotated(test[0], angle), test[1]) for angle in angles]

    return trains, tests


def write_mnist(data: Path, root: Path) -> None:
    """Write the arrays as the files that torchvision's MNIST reads."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, name in (("train", "train"), ("test", "t10k")):
        images = np.load(data / f"{part}_images.npy").astype(np.uint8)
        labels = np.load(data / f"{part}_labels.npy").astype(np.uint8)
        head = struct.pack(">IIII", 0x803, *images.shape)
        (raw / f"{name}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = struct.pack(">II", 0x801, len(labels))
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())


def benchmark_of(asked: argparse.Namespace, root: Path) -> Any:
    """Avalanche's own benchmark, example by example."""
    write_mnist(asked.data, root)
    options = {
        "dataset_root": root,
        "train_transform": Normalize((0.0,), (1.0,)),
        "eval_transform": Normalize((0.0,), (1.0,)),
    }
    if asked.rotation:
        angles = [180 * task / asked.tasks for task in range(asked.tasks)]
        return RotatedMNIST(asked.tasks, rotations_list=angles, **options)

    classes = list(range(10))
    return SplitMNIST(asked.tasks, fixed_class_order=classes, shuffle=False, **options)


def benchmark_of_tensors(asked: argparse.Namespace) -> Any:
    """The same tasks as tensors that need no transform any more."""
    train = load(asked.data, "train")
    test = load(asked.data, "test")

    if asked.rotation:
        trains, tests = by_rotation(train, test, asked.tasks)
    else:
        trains = by_class(train, asked.tasks)
        tests = by_class(test, asked.tasks)

    return tensors_benchmark(
        train_tensors=trains, test_tensors=tests, task_labels=[0] * asked.tasks
    )


def strategy_of(updater: str, batch: int, progress: Progress, *, as_documented: bool) -> Any:
    model = SimpleMLP(num_classes=10, hidden_size=100, hidden_layers=2, drop_rate=0)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    settings = {"model": model, "train_mb_size": batch, "train_epochs": 1, "eval_mb_size": 1000}
    if not as_documented:
        # Its default evaluator measures each training batch too and shows progress bars; this one
        # does less.
        metrics = accuracy_metrics(experience=True, stream=True)
        settings["evaluator"] = EvaluationPlugin(metrics, loggers=[])

    if updater == "er":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        buffer = ReservoirSamplingBuffer(max_size=500)
        replay = ReplayPlugin(mem_size=500, batch_size_mem=batch, storage_policy=buffer)
        return Naive(optimizer=optimizer, plugins=[replay, progress], **settings)

    optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
    memory = {"mem_size": 500, "batch_size_mem": batch, "alpha": 1.0, "beta": 0.5}

    return DER(optimizer=optimizer, plugins=[progress], **memory, **settings)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--updater", choices=["er", "derpp"], default="er")
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=5)
    parser.add_argument(
        "--rotation", action="store_true", help="tasks are rotations instead of classes"
    )
    parser.add_argument("--as-documented", action="store_true", help="by its own benchmarks")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()

    torch.manual_seed(asked.seed)
    if asked.as_documented:
        with tempfile.TemporaryDirectory() as root:
            benchmark = benchmark_of(asked, Path(root))
    else:
        benchmark = benchmark_of_tensors(asked)

    progress = Progress()
    strategy = strategy_of(asked.updater, asked.batch, progress, as_documented=asked.as_documented)
    matrix: list[list[float]] = []
    train_seconds = 0.0

    for experience in benchmark.train_stream:
        began = time.perf_counter()
        strategy.train(experience, num_workers=0)
        train_seconds += time.perf_counter() - began
        found = strategy.eval(benchmark.test_stream, num_workers=0)
        matrix.append([found[TEST.format(task)] for task in range(asked.tasks)])
        print([round(value, 4) for value in matrix[-1]], flush=True)

    print(
        json.dumps(
            {
                "first_step": progress.first_step,
                "steps": progress.steps,
                "train_seconds": train_seconds,
                "accuracy": sum(matrix[-1]) / len(matrix[-1]),
                "versions": {
                    name: version(name) for name in ("avalanche-lib", "torch", "torchvision")
                },
            }
        )
    )


if __name__ == "__main__":
    main()
