"""Gradient episodic memory."""

import numpy as np
import torch
from torch import Tensor, nn

from renate.checks.bounds import at_least_0, at_least_1
from renate.data.batch import Batch, Columns, length, select
from renate.updaters.base import Updater
from renate.updaters.replay.gradients import gradient_at_hand, gradient_of, set_gradient
from renate.updaters.shared.passes import check_alone

RIDGE = 1e-6  # on the diagonal of the quadratic programme, as a share of what stands there


class GEM(Updater):
    """Take from each step what would raise the loss of any earlier update's examples.

    Lopez-Paz & Ranzato, 2017, https://arxiv.org/abs/1706.08840, eq. 11. A step costs a pass over
    the examples kept of each earlier update: it takes the longer, the more updates there were. The
    memory is offered the new data once, after the fit.

    Args:
        margin: How far a step must go with past examples' gradients where it would go against
            some, the paper's γ.
        examples: At most so many of each earlier update in each step.
    """

    fields = ("update",)
    replays = True
    weighs = True
    multi_head = True
    updates: Tensor

    def __init__(self, margin: float, examples: int) -> None:
        super().__init__()
        at_least_0(margin=margin)
        at_least_1(examples=examples)

        self.margin = margin
        self.examples = examples
        self.past: list[Tensor] = []
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def backfill(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return `update`, int64 [B]: what another updater kept counts as of one update."""
        return {"update": torch.full((len(batch),), -1)}

    def start(self, model: nn.Module, data: Columns) -> None:
        """Look which past examples are of which update; the new data is what is trained on.

        Raises:
            ConfigError: There are several processes, each with a part of the memory.
        """
        check_alone(self.memory, "updater=gem holds to all of each earlier update's examples")
        kept = self.memory.columns().get("update")
        self.past = []
        if kept is not None and len(kept):
            # Another updater came in between, and left the count behind
            self.updates.clamp_(min=int(kept.max()) + 1)
            for number in kept.unique():
                self.past.append((kept == number).nonzero().flatten()[: self.examples])

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the criterion of the batch, a scalar."""
        return self.mean_loss(model(batch.inputs), batch.targets, batch.weights)

    def after_backward(self, model: nn.Module) -> None:
        """Project the gradient to the nearest that goes with each of the earlier updates'."""
        if not self.past:
            return

        assert self.memory.transform is not None
        references = []
        for rows in self.past:
            past = self.memory.transform(select(self.memory.columns(), rows))
            loss = self.mean_loss(model(past.inputs), past.targets, past.weights)
            references.append(gradient_of(loss, model))

        gradient = gradient_at_hand(model)
        products = torch.stack(references) @ gradient
        # An infinite one is of a step that mixed precision leaves out
        if bool((products < 0).any()) and bool(products.isfinite().all()):
            set_gradient(model, project(gradient, torch.stack(references), self.margin))

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Offer the new data to the memory, once, with the number of the update."""
        numbers = torch.full((length(data),), int(self.updates))
        self.memory.add_columns(data | {"update": numbers})
        self.updates += 1


def project(gradient: Tensor, references: Tensor, margin: float) -> Tensor:
    """Return g + Rᵀv, [P], where v ≥ margin minimises vᵀRRᵀv / 2 + (Rg)ᵀv.

    Args:
        gradient: g, [P].
        references: R, [T, P].
        margin: The least of each v.
    """
    from scipy.optimize import nnls

    gram = (references @ references.T).double().cpu().numpy()
    gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    linear = (references @ gradient).double().cpu().numpy() + gram.sum(1) * margin

    # With v = u + margin and the gram matrix LLᵀ it is min ‖Lᵀu + L⁻¹ linear‖, u ≥ 0
    factor = np.linalg.cholesky(gram)
    over, _ = nnls(factor.T, -np.linalg.solve(factor, linear))
    weights = torch.from_numpy(over + margin).to(references)

    return gradient + references.T @ weights
