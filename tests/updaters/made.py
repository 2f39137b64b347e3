"""Updaters as a job makes them, without a job."""

from typing import Any

import torch
import yaml
from torch import Tensor, nn

from renate.build import build
from renate.data.batch import Batch, BatchTransform
from renate.launchers.composing.conf import CONF
from renate.memory.store.memory import Memory
from renate.problems.classification import Classification
from renate.updaters.base import Updater


def memory_of(option: str = "reservoir", **changes: Any) -> Memory:
    node = yaml.safe_load((CONF / "memory" / f"{option}.yaml").read_text()) | changes
    node.pop("backfill", None)  # the job's, as the next
    max_ram = node.pop("max_ram", None)
    memory = Memory(build(node, "memory"), max_ram)
    memory.bind(seed=0, transform=BatchTransform())
    return memory


def updater_of(name: str, memory: Memory, labels: int = 3, **changes: Any) -> Any:
    node = yaml.safe_load((CONF / "updater" / f"{name}.yaml").read_text()) | changes
    node.pop("defaults", None)
    updater: Updater = build(node, "updater")
    updater.memory = memory
    updater.criterion = nn.CrossEntropyLoss()
    updater.problem = Classification()
    updater.problem.restore([*range(labels)], {})
    updater.test_transform = BatchTransform()
    return updater


def batch_of(seed: int, rows: int = 8, shape: tuple[int, ...] = (5,)) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    raw = {
        "inputs": torch.randn(rows, *shape, generator=generator),
        "targets": torch.randint(3, (rows,), generator=generator),
    }
    return BatchTransform()(raw)


def network(outputs: int = 3, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, outputs))


class Branches(nn.Module):
    """Takes a way that depends on the batch's values, which no transform of functions follows."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(5, 3)
        self.other = nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        layer = self.one if float(inputs.sum()) > 0 else self.other
        outputs: Tensor = layer(inputs)
        return outputs


def steps_on(updater: Any, model: nn.Module, batch: Batch, steps: int) -> list[float]:
    """Losses of so many steps on one batch, between an updater's `start` and `finish`."""
    parameters = [*model.parameters(), *updater.parameters()]
    optimizer = torch.optim.SGD([p for p in parameters if p.requires_grad], lr=0.1)
    losses = []
    for _ in range(steps):
        loss = updater.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def fit(updater: Any, model: nn.Module, batches: list[Batch], rate: float = 0.1) -> None:
    """One update as a job has it: plain gradient descent, a step per batch."""
    data = {
        name: torch.cat([batch.raw[name] for batch in batches]) for name in ("inputs", "targets")
    }
    optimizer = torch.optim.SGD(model.parameters(), rate)
    updater.start(model, data)
    model.train()
    for batch in batches:
        optimizer.zero_grad()
        updater.loss(model, batch).backward()
        updater.after_backward(model)
        optimizer.step()
        updater.after_step(model)
    updater.finish(model, data)
