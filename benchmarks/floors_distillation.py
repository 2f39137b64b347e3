"""Updaters that keep features or logits of before as one would write them by hand, see
`floors.py`.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from floors import SCALE, Floor
from torch import Tensor, nn

NEVER = -1e4  # a logit that has no share


class PODER(Floor):
    """Hooks stay where they are from the beginning."""

    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        self.names = made.features.names
        self.heard: dict[str, Tensor] = {}
        for name in self.names:
            model.get_submodule(name).register_forward_hook(self.listen(name))

    def listen(self, name: str) -> Any:
        def hear(module: nn.Module, given: Any, output: Tensor) -> None:
            self.heard[name] = output

        return hear

    def outputs(self, raw: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The model's, and its features, pooled over height and over width where they have any."""
        outputs = self.model(raw * SCALE)
        features = []
        for name in self.names:
            squares = self.heard[name].square()
            if squares.ndim == 4:
                sums = [squares.sum(3).flatten(1), squares.sum(2).flatten(1)]
                features.append(torch.cat(sums, 1))
            else:
                features.append(squares.flatten(1))

        return outputs, features

    def apart(self, now: list[Tensor], then: Tensor) -> Tensor:
        """How far features of length 1 are from those kept."""
        lengths = []
        for one, other in zip(now, then.split([each.shape[1] for each in now], 1), strict=True):
            difference = F.normalize(one, dim=1) - F.normalize(other, dim=1)
            lengths.append(torch.linalg.vector_norm(difference, dim=1).mean())
        return torch.stack(lengths).mean()

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        outputs, features = self.outputs(raw)
        loss = self.made.loss_weight * F.cross_entropy(outputs, targets)
        if self.buffer.seen:
            past, _, kept = self.buffer.sample(self.size)
            _, now = self.outputs(past)
            loss = loss + self.made.alpha * self.apart(now, kept)
            loss = loss / (self.made.loss_weight + self.made.alpha)

        self.buffer.add(raw, targets, torch.cat(features, 1).detach())
        return loss

    def ended(self) -> dict[str, Tensor]:
        return {"memory.features": self.buffer.columns[-1]}


class SuperER(PODER):
    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        self.stable = copy.deepcopy(model).requires_grad_(False).eval()
        self.plastic = copy.deepcopy(model).requires_grad_(False).eval()
        super().__init__(model, buffer, size, made)
        self.steps = 0
        self.numbers = self.of(model)
        self.copies = [
            (self.of(self.stable), made.cls.stable_decay),
            (self.of(self.plastic), made.cls.plastic_decay),
        ]

    @staticmethod
    def of(model: nn.Module) -> list[Tensor]:
        tensors = [*model.parameters(), *model.buffers()]
        return [each for each in tensors if each.is_floating_point()]

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        made = self.made
        logits, features = self.outputs(raw)
        loss = made.loss_weight * F.cross_entropy(logits, targets)
        if self.buffer.seen:
            past, past_targets, past_logits, kept = self.buffer.sample(self.size)
            now, features_now = self.outputs(past)
            with torch.no_grad():
                stable = self.stable(past * SCALE)
                plastic = self.plastic(past * SCALE)
                of_stable = F.cross_entropy(stable, past_targets, reduction="none")
                of_plastic = F.cross_entropy(plastic, past_targets, reduction="none")
                close = torch.where((of_stable < of_plastic)[:, None], stable, plastic)

            loss = loss + made.der.alpha * F.mse_loss(now, past_logits)
            loss = loss + made.der.beta * F.cross_entropy(now, past_targets)
            loss = loss + made.pod.alpha * self.apart(features_now, kept)
            loss = loss + made.cls.alpha * F.mse_loss(now, close)
            weights = made.loss_weight + made.der.alpha + made.der.beta
            loss = loss / (weights + made.pod.alpha + made.cls.alpha)

        self.buffer.add(raw, targets, logits.detach(), torch.cat(features, 1).detach())
        return loss

    @torch.no_grad()
    def after_step(self) -> None:
        self.steps += 1
        for mine, decay in self.copies:
            weight = 1 - min(1 - 1 / (self.steps + 1), decay)
            torch._foreach_lerp_(mine, self.numbers, weight)

    def ended(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for which, followed in (("stable", self.stable), ("plastic", self.plastic)):
            for name, each in followed.named_parameters():
                found[f"{which}.model.{name}"] = each
        return found


class XDER(Floor):
    """Some classes of an update before, some new, and some that none had yet."""

    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        groups = made.groups
        self.past = groups.past.clone()
        self.new = groups.new.clone()
        self.later = groups.later.clone()
        # An example competes with the classes of its own class's update
        self.own = torch.where(self.new[:, None], self.new, self.past)

    def excess(self, values: Tensor) -> Tensor:
        over = values.clamp(min=0)
        return over.sum() / (values > 0).sum().clamp(min=1)

    @torch.no_grad()
    def implanted(self, kept: Tensor, now: Tensor, targets: Tensor) -> Tensor:
        fresh = now[:, self.new]
        own = kept.gather(1, targets[:, None])
        largest = fresh.amax(1, keepdim=True)
        scaled = fresh * (self.made.gamma * own / torch.where(largest > 0, largest, 1.0))
        lowered = torch.where(own > 0, scaled, fresh - (largest - own))
        found = kept.clone()
        found[:, self.new] = torch.where(largest > own, lowered, fresh)
        return found

    def contrast(self, parts: list[tuple[Tensor, Tensor]]) -> Tensor:
        """Of two views of each example, which are alike where nothing is augmented."""
        views = [self.model(raw * SCALE)[:, self.later] for raw, _ in parts for _ in range(2)]
        targets = torch.cat([each for _, each in parts for _ in range(2)])
        features = torch.cat([F.normalize(each, dim=1) for each in views])
        itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
        alike = (features @ features.T / self.made.temperature).masked_fill(itself, float("-inf"))
        same = (targets[:, None] == targets) & ~itself
        counts = same.sum(1)
        losses = -alike.log_softmax(1).masked_fill(~same, 0.0).sum(1) / counts.clamp(min=1)
        return losses.sum() / (counts > 0).sum().clamp(min=1)

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        made = self.made
        size = self.size
        logits = self.model(raw * SCALE)
        loss = F.cross_entropy(logits.masked_fill(~self.new, NEVER), targets)
        shares = logits.masked_fill(self.later, NEVER).softmax(1)
        earlier = shares[:, self.past].amax(1).detach()
        over = self.excess(earlier + made.margin - shares[:, self.new].amax(1))
        loss = loss + made.eta * over

        first, first_targets, then = self.buffer.sample(size)
        second, second_targets, _ = self.buffer.sample(size)
        past = torch.cat([first, second])
        past_targets = torch.cat([first_targets, second_targets])
        now = self.model(past * SCALE)
        then = self.implanted(then, now[:size].detach(), first_targets)
        loss = loss + made.alpha * F.mse_loss(now[:size], then)
        replayed = now[size:].masked_fill(~self.past, NEVER)
        loss = loss + made.beta * F.cross_entropy(replayed, second_targets)

        logits = torch.cat([logits, now])
        all_targets = torch.cat([targets, past_targets])
        own = logits.masked_fill(~self.own[all_targets], NEVER).amax(1)
        over = self.excess(logits[:, self.later].amax(1) + made.margin - own)
        loss = loss + made.eta * over
        found = self.contrast([(raw, targets), (past, past_targets)])
        return loss + made.contrast * found


class RepeatedDistillation(Floor):
    """The logits lie beside what is trained on."""

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        then = self.columns["logits"].index_select(0, self.index)
        return 0.5 * F.mse_loss(self.model(raw * SCALE), then - then.mean(1, keepdim=True))


FLOORS: dict[str, type[Floor]] = {
    "pod_er": PODER,
    "super_er": SuperER,
    "x_der": XDER,
    "repeated_distillation": RepeatedDistillation,
}
