"""Updaters that choose past examples by gradients as one would write them by hand, see
`floors.py`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from floors import SCALE, Floor
from floors_begin import candidates
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap


class MIR(Floor):
    """The step is tried on other tensors than the weights, as the buffers of batch normalisation
    must stay what they are too.
    """

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        inputs = raw * SCALE
        all_targets = targets
        if self.buffer.seen:
            past, past_targets = self.chosen(inputs, targets)
            inputs = torch.cat([inputs, past])
            all_targets = torch.cat([targets, past_targets])

        loss = F.cross_entropy(self.model(inputs), all_targets)
        self.buffer.add(raw, targets)
        return loss

    def chosen(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The candidates whose losses rise most."""
        rows = self.buffer.draw(candidates(self.size)).unique()
        images, labels = (column.index_select(0, rows) for column in self.buffer.columns)
        past = images * SCALE

        weights = dict(self.model.named_parameters())
        buffers = {name: each.clone() for name, each in self.model.named_buffers()}
        loss = F.cross_entropy(functional_call(self.model, buffers, (inputs,)), targets)
        slopes = torch.autograd.grad(loss, [*weights.values()])
        with torch.no_grad():
            stepped = {
                name: each - self.made.virtual_lr * slope
                for (name, each), slope in zip(weights.items(), slopes, strict=True)
            }
            before = functional_call(self.model, buffers, (past,))
            after = functional_call(self.model, buffers | stepped, (past,))
            rise = F.cross_entropy(after, labels, reduction="none")
            rise -= F.cross_entropy(before, labels, reduction="none")

        worst = rise.topk(min(self.size, len(rows))).indices.sort().values
        return past[worst], labels[worst]


class GSS(Floor):
    """Each example's gradient by `torch.func`, in evaluation mode, where examples don't meet."""

    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        self.buffer.choose = self.choose
        self.scores: list[float] = []
        self.slopes = vmap(grad(self.loss_of_one), in_dims=(None, 0, 0))

    def loss_of_one(self, weights: dict[str, Tensor], one: Tensor, target: Tensor) -> Tensor:
        outputs = functional_call(self.model, weights, (one[None],))
        return F.cross_entropy(outputs, target[None])

    def directions(self, inputs: Tensor, targets: Tensor) -> Tensor:
        weights = {name: each.detach() for name, each in self.model.named_parameters()}
        self.model.eval()
        slopes = self.slopes(weights, inputs, targets)
        self.model.train()
        return F.normalize(torch.cat([each.flatten(1) for each in slopes.values()], 1), dim=1)

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        inputs = raw * SCALE
        all_targets = targets
        scores = torch.ones(len(raw))
        if self.buffer.seen:
            past, past_targets, _ = self.buffer.sample(self.made.compared)
            theirs = self.directions(past * SCALE, past_targets)
            cosines = self.directions(inputs, targets) @ theirs.T
            scores = (cosines.amax(1) + 1).clamp(0, 2).cpu()
            past, past_targets, _ = self.buffer.sample(self.size)
            inputs = torch.cat([inputs, past * SCALE])
            all_targets = torch.cat([targets, past_targets])

        loss = F.cross_entropy(self.model(inputs), all_targets)
        self.buffer.add(raw, targets, scores.to(raw.device))
        return loss

    def choose(self, columns: list[Tensor]) -> None:
        """Algorithm 2 of the paper, one example after the other, with draws that are thrown away:
        an example enters only with a score below 1, and one kept gives way by its own.
        """
        offered = columns[2].tolist()
        fill = min(len(offered), self.buffer.capacity - len(self.scores))
        self.scores += offered[:fill]
        for score in offered[fill:]:
            if score >= 1:
                continue

            kept = torch.tensor(self.scores)
            slot = int(torch.multinomial(kept, 1))
            if float(torch.rand(())) < self.scores[slot] / (self.scores[slot] + score):
                self.scores[slot] = score

    def ended(self) -> dict[str, Tensor]:
        inputs, targets, scores = self.buffer.columns
        return {"memory.inputs": inputs, "memory.targets": targets, "memory.score": scores}


FLOORS: dict[str, type[Floor]] = {"mir": MIR, "gss": GSS}
