"""More updaters as one would write them by hand, see `floors.py`: those that fill their memory
after a fit, that weigh their terms, or that look at past examples in other ways.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from floors import SCALE, Floor, LoRA
from torch import Tensor, nn

RIDGE = 1e-6  # of GEM's quadratic programme, without which training tells the two apart


class WeightedER(Floor):
    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        inputs = raw * SCALE
        if not self.buffer.seen:
            loss = self.made.loss_weight * F.cross_entropy(self.model(inputs), targets)
            self.buffer.add(raw, targets)
            return loss

        past, past_targets = self.buffer.sample(self.size)
        outputs = self.model(torch.cat([inputs, past * SCALE]))
        loss = self.made.loss_weight * F.cross_entropy(outputs[: len(raw)], targets)
        loss = loss + self.made.alpha * F.cross_entropy(outputs[len(raw) :], past_targets)
        self.buffer.add(raw, targets)
        return loss / (self.made.loss_weight + self.made.alpha)


class WeightedDERpp(Floor):
    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        logits = self.model(raw * SCALE)
        loss = self.made.loss_weight * F.cross_entropy(logits, targets)
        if self.buffer.seen:
            past, _, past_logits = self.buffer.sample(self.size)
            loss = loss + self.made.alpha * F.mse_loss(self.model(past * SCALE), past_logits)
            past, past_targets, _ = self.buffer.sample(self.size)
            loss = loss + self.made.beta * F.cross_entropy(self.model(past * SCALE), past_targets)
            loss = loss / (self.made.loss_weight + self.made.alpha + self.made.beta)

        self.buffer.add(raw, targets, logits.detach())
        return loss


class OfflineER(Floor):
    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        loss = F.cross_entropy(self.model(raw * SCALE), targets)
        past, past_targets = self.buffer.sample(self.size)
        replayed = F.cross_entropy(self.model(past * SCALE), past_targets)
        return self.made.weight * loss + (1 - self.made.weight) * replayed


class FDR(Floor):
    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        loss = F.cross_entropy(self.model(raw * SCALE), targets)
        past, _, past_logits = self.buffer.sample(self.size)
        apart = self.model(past * SCALE).softmax(1) - past_logits.softmax(1)
        return loss + self.made.alpha * torch.linalg.vector_norm(apart, dim=1).mean()


class ICaRL(Floor):
    """Half of the classes are those of the update before."""

    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        self.teacher = copy.deepcopy(model).eval().requires_grad_(False)
        self.old = made.old.clone()

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        inputs = raw * SCALE
        logits = self.model(inputs)
        wanted = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
        with torch.no_grad():
            before = self.teacher(inputs).sigmoid()

        wanted = torch.where(self.old, before, wanted)
        active = self.old | self.made.new
        return F.binary_cross_entropy_with_logits(logits[:, active], wanted[:, active])


class GEM(Floor):
    """One earlier update, of which the nearest gradient follows in closed form."""

    @torch.no_grad()
    def after_backward(self) -> None:
        count = self.made.examples
        past, past_targets = (column[:count] for column in self.buffer.columns[:2])
        with torch.enable_grad():
            loss = F.cross_entropy(self.model(past * SCALE), past_targets)
            found = torch.autograd.grad(loss, self.trained)

        reference = torch.cat([each.flatten() for each in found])
        gradients: list[Any] = [each.grad for each in self.trained]
        gradient = torch.cat([each.flatten() for each in gradients])
        against = gradient @ reference
        if against < 0:
            squared = float(reference @ reference) * (1 + RIDGE)
            gradient += max(-float(against) / squared, self.made.margin) * reference
            parts = gradient.split([each.numel() for each in self.trained])
            for each, part in zip(gradients, parts, strict=True):
                each.copy_(part.view_as(each))


class OLoRA(LoRA):
    """LoRA, away from where the updates before looked."""

    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        self.looked_at = [each.clone() for each in made.looked_at.buffers()]

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        total: Any = 0.0
        for adapter, seen in zip(self.made.adapted.values(), self.looked_at, strict=True):
            down = adapter.lora_A["default"].weight
            total = total + ((down @ seen) * down).sum()

        return super().loss(raw, targets) + self.made.orthogonality * total


FLOORS: dict[str, type[Floor]] = {
    "fine_tuning": Floor,
    "joint": Floor,
    "gdumb": Floor,
    "weighted_er": WeightedER,
    "weighted_derpp": WeightedDERpp,
    "offline_er": OfflineER,
    "fdr": FDR,
    "icarl": ICaRL,
    "gem": GEM,
    "o_lora": OLoRA,
}
