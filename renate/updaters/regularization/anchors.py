"""Weights that were right for earlier data, and how much each of them mattered."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from renate.data.batch import Batch
from renate.updaters.base import Updater
from renate.updaters.shared.trained import trained


class LikeParameters(nn.Module):
    """A tensor for each trained parameter of a model, kept as module state.

    Args:
        model: Whose parameters.
        make: A parameter, detached -> its tensor.
    """

    def __init__(self, model: nn.Module, make: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._shapes = {slot(name): each.shape for name, each in model.named_parameters()}
        for name, parameter in trained(model).items():
            self.register_buffer(slot(name), make(parameter.detach()))

    def tensors(self, names: Iterable[str]) -> list[Tensor]:
        """Return those of parameters, by their names in the model."""
        return [self.get_buffer(slot(name)) for name in names]

    def follow(self, kept: dict[str, Tensor], prefix: str) -> None:
        """Make room for tensors of parameters that were trained before and are frozen now, and let
        those be as they were made that were frozen before and are trained now.

        Args:
            kept: What a state keeps, by name. The latter are added to it.
            prefix: How the names of this module's own begin there.
        """
        before = {name.removeprefix(prefix) for name in kept if name.startswith(prefix)}
        own = {name for name, _ in self.named_buffers()}
        for name in sorted((before - own) & self._shapes.keys()):
            self.register_buffer(
                name, torch.zeros(self._shapes[name], dtype=kept[prefix + name].dtype)
            )
        for name in own - before:
            kept[prefix + name] = self.get_buffer(name).clone()


def slot(name: str) -> str:
    """Return a parameter's name as that of a buffer, which has no dots."""
    return name.replace(".", "/")


class Anchors(nn.Module):
    """What a quadratic penalty Σ importance (weight - anchor)² needs, as EWC, SI and MAS have it.

    An updater makes them in `setup`. Where a head grows, new rows matter nothing yet.

    Args:
        model: Whose weights are held.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.weights = LikeParameters(model, torch.clone)
        self.importance = LikeParameters(model, torch.zeros_like)

    def penalty(self, model: nn.Module) -> Tensor:
        """Return Σ importance (weight - anchor)² over all trained weights, a scalar."""
        terms = [
            (importance * (parameter - anchor).square()).sum()
            for parameter, anchor, importance in self._triples(model)
        ]
        return torch.stack(terms).sum()

    @torch.no_grad()
    def slopes(self, model: nn.Module) -> list[Tensor]:
        """Return the penalty's gradient at the model's weights, parameter by parameter."""
        return [
            2 * importance * (parameter - anchor)
            for parameter, anchor, importance in self._triples(model)
        ]

    @torch.no_grad()
    def move(self, model: nn.Module, importance: Sequence[Tensor], keep: float) -> None:
        """Drop anchor at the model's weights.

        Args:
            model: Trained.
            importance: Of its weights for the data that it was trained on last.
            keep: Share of the importance so far that is kept; the new one is added.
        """
        new = zip(self._triples(model), importance, strict=True)
        for (parameter, anchor, before), found in new:
            before.mul_(keep).add_(found)
            anchor.copy_(parameter)

    def _triples(self, model: nn.Module) -> list[tuple[nn.Parameter, Tensor, Tensor]]:
        found = trained(model)
        anchors = self.weights.tensors(found)
        return [*zip(found.values(), anchors, self.importance.tensors(found), strict=True)]


class HoldsWeights(Updater):
    """An updater whose loss is the criterion plus the penalty of weights that left their anchors.

    A subclass says in `finish` how much each weight matters, and drops anchor there. Where
    `model.freeze` changes from one update to the next, weights that are frozen now keep what is
    known of them, and those that no longer are begin as if they had never mattered.

    Args:
        strength: Of the penalty.
    """

    weighs = True
    multi_head = True

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength

    def setup(self, model: nn.Module) -> None:
        """Make the anchors, which hold nothing yet."""
        self.anchors = Anchors(model)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch plus the penalty, a scalar."""
        loss = self.mean_loss(model(batch.inputs), batch.targets, batch.weights)
        return loss + self.strength * self.anchors.penalty(model)

    def grow(self, model: nn.Module, before: dict[str, Tensor]) -> None:
        """Carry the anchors over, also of weights that are frozen now."""
        self.begin_from(before)
        super().grow(model, before)

    def begin_from(self, kept: dict[str, Tensor]) -> None:
        """Get ready for a state in which other weights may have been trained.

        Args:
            kept: The state's tensors by name; those that it can't have are added.
        """
        for name, part in self.named_modules():
            if isinstance(part, LikeParameters):
                part.follow(kept, f"{name}.")
