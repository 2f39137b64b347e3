"""Updaters as one would write them by hand: what a step of `step_time.py`'s bare loop does.

Each takes the state that ours begins with (copies, importance, teacher, factors) from ours, and
none of its code, so that both end in the same weights.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SCALE = 1 / 255


class Floor:
    """A step's parts; by itself fine-tuning.

    Args:
        model: What is trained.
        buffer: Has `seen`, `sample(n)` and `add(*columns)`.
        size: How many past examples are replayed.
        made: Our updater, started, for its numbers and what it begins with.

    Attributes:
        trained: What the optimizer steps; where there is none of it, no gradient is taken.
        columns: What is trained on, before the first step.
        index: Which rows of it the step's batch has.
    """

    columns: dict[str, Tensor]
    index: Tensor

    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        self.model = model
        self.buffer = buffer
        self.size = size
        self.made = made
        self.trained = [each for each in model.parameters() if each.requires_grad]

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(self.model(raw * SCALE), targets)

    def after_backward(self) -> None: ...

    def after_step(self) -> None: ...

    def ended(self) -> dict[str, Tensor]:
        """Return what it ends with besides the model's weights, by the names that our updater's
        state has, or `memory.` and a column's.
        """
        return {}


class ER(Floor):
    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        inputs = raw * SCALE
        all_targets = targets
        if self.buffer.seen:
            past, past_targets = self.buffer.sample(self.size)
            inputs = torch.cat([inputs, past * SCALE])
            all_targets = torch.cat([targets, past_targets])

        loss = F.cross_entropy(self.model(inputs), all_targets)
        self.buffer.add(raw, targets)
        return loss


class ERACE(Floor):
    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        logits = self.model(raw * SCALE)
        there = torch.zeros(logits.shape[1], dtype=torch.bool, device=targets.device)
        there[targets] = True
        loss = F.cross_entropy(logits.masked_fill(~there, -1e4), targets)
        if self.buffer.seen:
            past, past_targets = self.buffer.sample(self.size)
            loss = loss + F.cross_entropy(self.model(past * SCALE), past_targets)

        self.buffer.add(raw, targets)
        return loss


class DER(Floor):
    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        logits = self.model(raw * SCALE)
        loss = F.cross_entropy(logits, targets)
        if self.buffer.seen:
            past, _, past_logits = self.buffer.sample(self.size)
            loss = loss + self.made.alpha * F.mse_loss(self.model(past * SCALE), past_logits)

        self.buffer.add(raw, targets, logits.detach())
        return loss


class DERpp(Floor):
    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        logits = self.model(raw * SCALE)
        loss = F.cross_entropy(logits, targets)
        if self.buffer.seen:
            past, _, past_logits = self.buffer.sample(self.size)
            loss = loss + self.made.alpha * F.mse_loss(self.model(past * SCALE), past_logits)
            past, past_targets, _ = self.buffer.sample(self.size)
            loss = loss + self.made.beta * F.cross_entropy(self.model(past * SCALE), past_targets)

        self.buffer.add(raw, targets, logits.detach())
        return loss


class CLSER(Floor):
    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        self.plastic = copy.deepcopy(model).requires_grad_(False)
        self.stable = copy.deepcopy(model).requires_grad_(False)
        self.steps = 0

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        inputs = raw * SCALE
        if not self.buffer.seen:
            loss = F.cross_entropy(self.model(inputs), targets)
            self.buffer.add(raw, targets)
            return loss

        past, past_targets = self.buffer.sample(self.size)
        past = past * SCALE
        with torch.no_grad():
            stable = self.stable(past)
            plastic = self.plastic(past)
            of_stable = F.cross_entropy(stable, past_targets, reduction="none")
            of_plastic = F.cross_entropy(plastic, past_targets, reduction="none")
            close = torch.where((of_stable < of_plastic)[:, None], stable, plastic)

        distance = F.mse_loss(self.model(past), close)
        outputs = self.model(torch.cat([inputs, past]))
        loss = F.cross_entropy(outputs, torch.cat([targets, past_targets]))
        self.buffer.add(raw, targets)
        return loss + self.made.consistency * distance

    @torch.no_grad()
    def after_step(self) -> None:
        self.steps += 1
        for average, decay in (
            (self.plastic, self.made.plastic_decay),
            (self.stable, self.made.stable_decay),
        ):
            weight = 1 - min(1 - 1 / (self.steps + 1), decay)
            for mine, now in zip(average.parameters(), self.trained, strict=True):
                mine.lerp_(now, weight)


class Holding(Floor):
    """EWC and MAS: the weights are held where they were, each by its importance."""

    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        names = [name for name, each in model.named_parameters() if each.requires_grad]
        self.anchors = [each.clone() for each in made.anchors.weights.tensors(names)]
        self.importance = [each.clone() for each in made.anchors.importance.tensors(names)]

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        held: Any = sum(
            (weight * (now - then) ** 2).sum()
            for now, then, weight in zip(self.trained, self.anchors, self.importance, strict=True)
        )
        return super().loss(raw, targets) + self.made.strength * held


class SI(Holding):
    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        self.path = [torch.zeros_like(each) for each in self.trained]
        self.before: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def after_backward(self) -> None:
        self.before = []
        parts = zip(self.trained, self.anchors, self.importance, strict=True)
        for now, then, weight in parts:
            assert now.grad is not None
            own = now.grad - self.made.strength * 2 * weight * (now - then)
            self.before.append((now.clone(), own))

    @torch.no_grad()
    def after_step(self) -> None:
        parts = zip(self.trained, self.before, self.path, strict=True)
        for now, (then, gradient), path in parts:
            path -= gradient * (now - then)


class LwF(Floor):
    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        self.teacher = copy.deepcopy(model).requires_grad_(False)
        self.known = made.seen.nonzero().flatten()

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        inputs = raw * SCALE
        logits = self.model(inputs)
        loss = F.cross_entropy(logits, targets)
        with torch.no_grad():
            wanted = (self.teacher(inputs)[:, self.known] / self.made.temperature).softmax(1)

        shares = (logits[:, self.known] / self.made.temperature).log_softmax(1)
        return loss - self.made.alpha * (wanted * shares).sum(1).mean()


class AGEM(Floor):
    @torch.no_grad()
    def after_backward(self) -> None:
        past, past_targets = self.buffer.sample(self.size)
        with torch.enable_grad():
            loss = F.cross_entropy(self.model(past * SCALE), past_targets)
            found = torch.autograd.grad(loss, self.trained)

        reference = torch.cat([each.flatten() for each in found])
        gradients: list[Any] = [each.grad for each in self.trained]
        gradient = torch.cat([each.flatten() for each in gradients])
        against = gradient @ reference
        if against < 0:
            gradient -= against / (reference @ reference) * reference
            parts = gradient.split([each.numel() for each in self.trained])
            for each, part in zip(gradients, parts, strict=True):
                each.copy_(part.view_as(each))


class LoRA(Floor):
    """The factors and the head alone are trained; what they change is added to the outputs."""

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        values = (raw * SCALE).flatten(1)
        factor = self.made.alpha / self.made.rank
        for adapter in self.made.adapted.values():
            base = adapter.base_layer
            down = adapter.lora_A["default"].weight
            up = adapter.lora_B["default"].weight
            outputs = F.linear(values, base.weight, base.bias)
            values = (outputs + F.linear(F.linear(values, down), up) * factor).relu()

        head: Any = [*self.model.modules()][-1]
        return F.cross_entropy(F.linear(values, head.weight, head.bias), targets)


FLOORS: dict[str, type[Floor]] = {
    "er": ER,
    "er_ace": ERACE,
    "der": DER,
    "derpp": DERpp,
    "cls_er": CLSER,
    "ewc": Holding,
    "mas": Holding,
    "si": SI,
    "lwf": LwF,
    "agem": AGEM,
    "lora": LoRA,
}
