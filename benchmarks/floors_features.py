"""Heads that are computed from frozen features as one would write them by hand, see `floors.py`.

No gradient is taken and no optimizer steps: in ours both come with the loop, for a number that
nothing depends on. By hand nobody looks whether an example was counted before: an epoch has each
once.
"""

import copy
from typing import Any

import torch
from floors import SCALE, Floor
from torch import Tensor, nn


def body_of(model: nn.Module) -> nn.Module:
    """Return a copy that gives what the last linear layer is given."""
    body = copy.deepcopy(model).requires_grad_(False).eval()
    names = [name for name, part in body.named_modules() if isinstance(part, nn.Linear)]
    parent, _, last = names[-1].rpartition(".")
    setattr(body.get_submodule(parent), last, nn.Identity())
    return body


class Head(Floor):
    """Sums in float64, as ours has them."""

    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        assert not self.trained, "the features are frozen"
        self.body = body_of(model)
        self.counts = torch.zeros_like(made.counts)

    @torch.no_grad()
    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        features = self.body(raw * SCALE).double()
        added = torch.bincount(targets, minlength=len(self.counts))
        self.counts += added
        self.collect(features, targets, added)
        return features

    def collect(self, features: Tensor, targets: Tensor, added: Tensor) -> None:
        raise NotImplementedError


class NCM(Head):
    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        self.sums = torch.zeros_like(made.sums)

    def collect(self, features: Tensor, targets: Tensor, added: Tensor) -> None:
        self.sums.index_add_(0, targets, features)

    def ended(self) -> dict[str, Tensor]:
        return {"counts": self.counts, "sums": self.sums}


class SLDA(Head):
    """Two groups' scatter follows from that of each and of their means."""

    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        self.means = torch.zeros_like(made.means)
        self.scatter = torch.zeros_like(made.scatter)

    def collect(self, features: Tensor, targets: Tensor, added: Tensor) -> None:
        here = torch.zeros_like(self.means).index_add_(0, targets, features)
        here /= added.clamp(min=1)[:, None]
        around = features - here[targets]

        share = added / self.counts.clamp(min=1)
        apart = here - self.means
        weights = (self.counts - added) * share
        self.scatter.addmm_(around.T, around)
        self.scatter.addmm_((apart * weights[:, None]).T, apart)
        self.means += apart * share[:, None]

    def ended(self) -> dict[str, Tensor]:
        return {"counts": self.counts, "means": self.means, "scatter": self.scatter}


class RanPAC(Head):
    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        self.projection = made.projection.double()
        self.gram = torch.zeros_like(made.gram)
        self.sums = torch.zeros_like(made.sums)

    def collect(self, features: Tensor, targets: Tensor, added: Tensor) -> None:
        hidden = (features @ self.projection).relu_()
        self.gram.addmm_(hidden.T, hidden)
        self.sums.index_add_(0, targets, hidden)

    def ended(self) -> dict[str, Tensor]:
        return {"counts": self.counts, "gram": self.gram, "sums": self.sums}


FLOORS: dict[str, type[Floor]] = {"ncm": NCM, "slda": SLDA, "ranpac": RanPAC}
