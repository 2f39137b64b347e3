"""An updater with a small model and a memory, outside of any job, and what a job does with it."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import yaml
from torch import Tensor, nn

from renate.build import build
from renate.data.batch import Batch, BatchTransform, Columns, length, select
from renate.launchers.composing.conf import CONF
from renate.memory.store.memory import Memory
from renate.problems.base import Problem
from renate.problems.classification import Classification
from renate.problems.multi_label import MultiLabel
from renate.problems.regression import Regression
from renate.updaters.base import Updater

# Those change a model's layers during a fit, or take transformers' encoders alone: they have suites
# of their own, in the folders of these names
OTHERS = ("renate.updaters.adapters.", "renate.updaters.prompts.")
UPDATERS = sorted(
    p.stem
    for p in (CONF / "updater").glob("*.yaml")
    if not yaml.safe_load(p.read_text())["_target_"].startswith(OTHERS)
)
FEATURES = 5


def node_of(group: str, option: str) -> dict[str, Any]:
    node: dict[str, Any] = yaml.safe_load((CONF / group / f"{option}.yaml").read_text())
    return node


def memory_option(updater: str) -> str:
    """The memory that an updater's YAML asks for."""
    for override in node_of("updater", updater).get("defaults", []):
        for key, option in override.items():
            if "memory" in key:
                return str(option)
    return "reservoir"


def memory_of(option: str = "reservoir", **changes: Any) -> Memory:
    node = node_of("memory", option)
    node |= {key: value for key, value in changes.items() if key in node}
    node.pop("backfill", None)  # the job's, as the next
    max_ram = node.pop("max_ram", None)
    memory = Memory(build(node, "memory"), max_ram)
    memory.bind(seed=0, transform=BatchTransform())
    return memory


def problem_of(option: str, outputs: int) -> Problem:
    made: Problem
    if option == "classification":
        made = Classification()
        made.restore(list(range(outputs)), {})
    elif option == "multi_label":
        made = MultiLabel(0.5)
        made.restore(list(range(outputs)), {})
    else:
        made = Regression(False)
        made.restore(
            [f"y{i}" for i in range(outputs)], {"mean": [0.0] * outputs, "scale": [1.0] * outputs}
        )
    return made


CRITERIA = {
    "classification": nn.CrossEntropyLoss,
    "multi_label": nn.BCEWithLogitsLoss,
    "regression": nn.MSELoss,
}


def model_of(outputs: int = 3, features: int = FEATURES, width: int = 8) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Linear(width, outputs))


def columns_of(
    seed: int, rows: int = 24, classes: int = 3, problem: str = "classification"
) -> Columns:
    """Random examples; a class, some labels or some numbers each."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, FEATURES, generator=generator)
    if problem == "classification":
        targets = torch.randint(classes, (rows,), generator=generator)
    elif problem == "multi_label":
        targets = torch.randint(2, (rows, classes), generator=generator).float()
    else:
        targets = torch.randn(rows, classes, generator=generator)
    return {"inputs": inputs, "targets": targets}


def batch_of(seed: int, rows: int = 8, classes: int = 3) -> Batch:
    return BatchTransform()(columns_of(seed, rows, classes))


@dataclass
class Small:
    """An updater, and what it works with."""

    name: str
    updater: Updater
    model: nn.Module
    optimizer: torch.optim.Optimizer
    processes: int = 1

    @classmethod
    def of(
        cls,
        name: str,
        *,
        model: nn.Module | None = None,
        memory: Memory | None = None,
        problem: str = "classification",
        outputs: int = 3,
        lr: float = 0.05,
        **changes: Any,
    ) -> "Small":
        node = node_of("updater", name) | changes
        node.pop("defaults", None)
        updater: Updater = build(node, "updater")
        if memory is None:
            memory = memory_of(memory_option(name), capacity=20)
        updater.memory = memory
        updater.criterion = CRITERIA[problem]()
        updater.problem = problem_of(problem, outputs)
        updater.test_transform = BatchTransform()
        made = model if model is not None else model_of(outputs)
        updater.rebuild = lambda: copy.deepcopy(fresh)
        fresh = copy.deepcopy(made)
        updater.setup(made)
        parameters = [p for p in [*made.parameters(), *updater.parameters()] if p.requires_grad]
        optimizer = torch.optim.SGD(parameters or [nn.Parameter(torch.zeros(1))], lr=lr)
        return cls(name, updater, made, optimizer)

    def batches(
        self, data: Columns, batch_size: int, epochs: int = 1, seed: int = 0
    ) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(seed)
        for _ in range(epochs):
            order = torch.randperm(length(data), generator=generator)
            for rows in order.split(batch_size):
                yield BatchTransform()(select(data, rows))

    def step(self, batch: Batch) -> float:
        self.model.train()
        self.updater.train()
        loss = self.updater.loss(self.model, batch)
        self.optimizer.zero_grad()
        assert loss.shape == ()
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        if self.processes > 1:
            self.average_gradients()
        self.updater.after_backward(self.model)
        self.optimizer.step()
        self.updater.after_step(self.model)
        return float(loss.detach())

    def average_gradients(self) -> None:
        """What ddp does in the backward."""
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                dist.all_reduce(parameter.grad)
                parameter.grad /= self.processes

    def update(
        self, data: Columns, *, batch_size: int = 8, epochs: int = 1, seed: int = 0
    ) -> list[float]:
        """One update; returns the losses."""
        own = self.updater.start(self.model, data)
        rows = data if own is None else own
        losses = [self.step(batch) for batch in self.batches(rows, batch_size, epochs, seed)]
        self.updater.finish(self.model, data)
        return losses

    @torch.no_grad()
    def answers(self, inputs: Tensor) -> Tensor:
        self.model.eval()
        self.updater.eval()
        return self.updater.predict(self.model, inputs)

    def everything(self) -> dict[str, Any]:
        """What a checkpoint holds, and what an update leaves."""
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "updater": self.updater.own_state(),
                "memory": self.updater.memory.snapshot(),
                "optimizer": self.optimizer.state_dict(),
                "random": torch.get_rng_state(),
            }
        )

    def become(self, saved: dict[str, Any]) -> None:
        saved = copy.deepcopy(saved)
        self.model.load_state_dict(saved["model"])
        of_config = {
            k: v for k, v in self.updater.state_dict().items() if k not in saved["updater"]
        }
        self.updater.load_state_dict(saved["updater"] | of_config)
        self.updater.memory.revert(saved["memory"])
        self.optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["random"])


def tensors_in(content: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor within mappings and lists, by its path."""
    if isinstance(content, Tensor):
        yield name, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from tensors_in(value, f"{name}.{key}")
    elif isinstance(content, list | tuple):
        for index, value in enumerate(content):
            yield from tensors_in(value, f"{name}[{index}]")


def assert_same(one: Any, two: Any) -> None:
    """Two contents have the same tensors, bit for bit."""
    first = dict(tensors_in(one))
    second = dict(tensors_in(two))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(
            tensor.nan_to_num(7.0) if tensor.is_floating_point() else tensor,
            second[name].nan_to_num(7.0) if tensor.is_floating_point() else second[name],
        ), name
