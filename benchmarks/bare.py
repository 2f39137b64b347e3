"""The work of `end_to_end.py` in plain PyTorch, as one would write it by hand; none of renate's
code.

`python benchmarks/bare.py --data FOLDER`, with the arrays that end_to_end.py leaves in FOLDER. Data
and memory are tensors of uint8, scaled batch by batch; the memory is Vitter's algorithm R. The last
line of output is JSON.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

Examples = tuple[Tensor, Tensor]  # images of uint8 [N, 28, 28], labels [N]

LEARNING_RATE = {"er": 0.1, "derpp": 0.03}
ALPHA = 1.0
BETA = 0.5


class Reservoir:
    """A uniform sample of all examples that were added, with the logits that came with them.

    Args:
        capacity: How many it keeps.
        drawn: How many are replayed at once, also beside a last batch that is smaller.
    """

    def __init__(self, capacity: int, drawn: int) -> None:
        self.capacity = capacity
        self.drawn = drawn
        self.seen = 0
        self.images = torch.empty(capacity, 28, 28, dtype=torch.uint8)
        self.labels = torch.empty(capacity, dtype=torch.int64)
        self.logits = torch.empty(capacity, 10)

    def add(self, images: Tensor, labels: Tensor, logits: Tensor | None = None) -> None:
        number = torch.arange(self.seen, self.seen + len(labels))
        drawn = (torch.rand(len(labels)) * (number + 1)).long()
        slot = torch.where(number < self.capacity, number, drawn)
        kept = (slot < self.capacity).nonzero()[:, 0]
        self.seen += len(labels)

        if len(kept):
            slot = slot[kept]
            self.images[slot] = images[kept]
            self.labels[slot] = labels[kept]
            if logits is not None:
                self.logits[slot] = logits[kept]

    def draw(self) -> Tensor:
        return torch.randint(min(self.seen, self.capacity), (self.drawn,))


def scaled(images: Tensor) -> Tensor:
    return images.float().mul_(1 / 255)


def er_loss(model: nn.Module, memory: Reservoir, images: Tensor, labels: Tensor) -> Tensor:
    all_images = images
    all_labels = labels
    if memory.seen:
        past = memory.draw()
        all_images = torch.cat([images, memory.images[past]])
        all_labels = torch.cat([labels, memory.labels[past]])

    loss = F.cross_entropy(model(scaled(all_images)), all_labels)
    memory.add(images, labels)

    return loss


def derpp_loss(model: nn.Module, memory: Reservoir, images: Tensor, labels: Tensor) -> Tensor:
    logits = model(scaled(images))
    loss = F.cross_entropy(logits, labels)
    if memory.seen:
        past = memory.draw()
        loss += ALPHA * F.mse_loss(model(scaled(memory.images[past])), memory.logits[past])
        past = memory.draw()
        loss += BETA * F.cross_entropy(model(scaled(memory.images[past])), memory.labels[past])

    memory.add(images, labels, logits.detach())
    return loss


@torch.no_grad()
def accuracy(model: nn.Module, examples: Examples) -> float:
    model.eval()
    images, labels = examples
    predicted = torch.cat([model(scaled(part)).argmax(1) for part in torch.split(images, 1000)])
    return float((predicted == labels).float().mean())


def load(folder: Path, part: str) -> Examples:
    images, labels = (
        torch.from_numpy(np.load(folder / f"{part}_{name}.npy")) for name in ("images", "labels")
    )
    return images, labels


def by_class(examples: Examples, tasks: int) -> list[Examples]:
    images, labels = examples
    chosen = [torch.isin(labels, classes) for classes in torch.arange(10).tensor_split(tasks)]
    return [(images[rows], labels[rows]) for rows in chosen]


def rotated(images: Tensor, degrees: float) -> Tensor:
    """Turn images counter-clockwise about their centre."""
    angle = torch.deg2rad(torch.tensor(degrees))
    cos = float(angle.cos())
    sin = float(angle.sin())
    grid = F.affine_grid(
        torch.tensor([[[cos, -sin, 0.0], [sin, cos, 0.0]]]), [1, 1, 28, 28], align_corners=False
    )
    parts = [
        F.grid_sample(
            part[:, None].float(), grid.expand(len(part), -1, -1, -1), align_corners=False
        )
        for part in torch.split(images, 4096)
    ]

    return torch.cat([part[:, 0].round_().clamp_(0, 255).to(torch.uint8) for part in parts])


def by_rotation(
    train: Examples, test: Examples, tasks: int
) -> tuple[list[Examples], list[Examples]]:
    """Each task has all images, turned by an angle of its own."""
    angles = [180 * task / tasks for task in range(tasks)]
    trains = [(rotated(train[0], angle), train[1]) for angle in angles]
    tests = [(rotated(test[0], angle), test[1]) for angle in angles]
    return trains, tests


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
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()

    if asked.threads:
        torch.set_num_threads(asked.threads)

    torch.manual_seed(asked.seed)
    train = load(asked.data, "train")
    test = load(asked.data, "test")

    if asked.rotation:
        trains, tests = by_rotation(train, test, asked.tasks)
    else:
        trains = by_class(train, asked.tasks)
        tests = by_class(test, asked.tasks)

    del train, test  # the tasks are copies

    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 100),
        nn.ReLU(),
        nn.Linear(100, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE[asked.updater])
    memory = Reservoir(500, asked.batch)
    loss_of = er_loss if asked.updater == "er" else derpp_loss
    matrix: list[list[float]] = []
    steps = 0
    first_step = 0.0
    train_seconds = 0.0

    for images, labels in trains:
        began = time.perf_counter()
        model.train()
        for rows in torch.split(torch.randperm(len(labels)), asked.batch):
            loss = loss_of(
                model, memory, images.index_select(0, rows), labels.index_select(0, rows)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

            steps += 1
            if steps == 1:
                first_step = time.time()
                print("FIRST STEP", flush=True)

        train_seconds += time.perf_counter() - began
        matrix.append([accuracy(model, examples) for examples in tests])
        print([round(value, 4) for value in matrix[-1]], flush=True)

    average = sum(matrix[-1]) / len(matrix[-1])
    print(
        json.dumps(
            {
                "first_step": first_step,
                "steps": steps,
                "train_seconds": train_seconds,
                "accuracy": average,
            }
        )
    )


if __name__ == "__main__":
    main()
