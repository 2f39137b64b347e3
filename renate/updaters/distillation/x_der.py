"""Extended dark experience replay."""

import torch
from torch import Tensor, nn

from renate.checks.bounds import above_0, at_least_0, at_least_1, share
from renate.data.batch import Batch, Columns
from renate.losses.masked import check_masking
from renate.updaters.distillation.class_groups import ClassGroups, among, implanted
from renate.updaters.distillation.contrast import contrast_of_views
from renate.updaters.shared.logits import KeepsLogits, logits_of
from renate.updaters.shared.replay import weights_from


class XDER(KeepsLogits):
    """DER++ whose kept logits learn of later classes, and whose outputs for later ones prepare.

    Boschini et al., 2022, https://arxiv.org/abs/2201.00766: new examples compete among new classes,
    past ones among past; earlier classes stay below new examples' by a margin, later ones below
    both, and these learn who is alike. The memory is told past examples' logits of new classes, and
    offered the new data, at the end of the update; till then those may be what they are, as long
    as they stay below an example's own.

    Args:
        alpha: Weight of staying close to the stored logits.
        beta: Weight of still predicting the stored targets.
        gamma: How large other classes' logits may be beside an example's own, 0 to 1.
        eta: Weight of the margins.
        margin: By which the logits of an example's own update are to be the largest.
        contrast: Weight of what later classes' outputs learn, the paper's λ; 0 for nothing.
        temperature: Of that, above 0.
        replay_batch_size: Past examples drawn for each of the two terms.
    """

    weighs = True
    problems = ("classification",)

    def __init__(
        self,
        alpha: float,
        beta: float,
        gamma: float,
        eta: float,
        margin: float,
        contrast: float,
        temperature: float,
        replay_batch_size: int,
    ) -> None:
        super().__init__()
        at_least_0(alpha=alpha, beta=beta, eta=eta, margin=margin, contrast=contrast)
        share(gamma=gamma)
        above_0(temperature=temperature)
        at_least_1(replay_batch_size=replay_batch_size)
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.eta = eta
        self.margin = margin
        self.contrast = contrast
        self.temperature = temperature
        self.replay_batch_size = replay_batch_size

    def setup(self, model: nn.Module) -> None:
        """No class was seen yet."""
        self.groups = ClassGroups(self.problem.outputs)

    def take_over(self, known: Tensor) -> None:
        """Take all classes that the model knows for one update's."""
        self.groups.take_over(known)

    def start(self, model: nn.Module, data: Columns) -> None:
        """Tell earlier, new and later classes apart; the new data is what is trained on."""
        super().start(model, data)
        check_masking(self.criterion, self.problem.outputs, "updater=x_der")
        self.groups.begin(data, self.memory)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """Return the sum of all terms, a scalar."""
        groups = self.groups
        logits = model(batch.inputs)
        loss = self.mean_loss(among(logits, groups.new), batch.targets, batch.weights)
        loss = loss + self.eta * groups.excess_of_past(logits, self.margin)
        batches = [batch]
        if len(self.memory) and bool(groups.seen.any()):
            size = self.replay_batch_size
            past = self.memory.sample(2 * size)
            now = model(past.inputs)
            where = (past.targets[:size], ~groups.seen & ~groups.later, self.gamma)
            then = implanted(past.logits[:size], now[:size].detach(), *where)
            close = self.distance(now[:size], then)
            weights = weights_from(past, size)
            replayed = among(now[size:], groups.seen)
            loss = loss + self.alpha * close
            loss = loss + self.beta * self.mean_loss(replayed, past.targets[size:], weights)
            batches.append(past)
            logits = torch.cat([logits, now])

        targets = torch.cat([each.targets for each in batches])
        loss = loss + self.eta * groups.excess_of_later(logits, targets, self.margin)
        if self.contrast and int(groups.later.sum()) > 1:
            assert self.memory.transform is not None
            found = contrast_of_views(
                model, batches, self.memory.transform, groups.later, self.temperature
            )
            loss = loss + self.contrast * found

        return loss

    def finish(self, model: nn.Module, data: Columns) -> None:
        """Put the new classes' logits into the memory, and offer it the new data with theirs."""
        groups = self.groups
        kept = self.memory.columns()
        if len(self.memory):
            now = logits_of(self, model, kept)
            where = (kept["targets"], ~groups.seen.cpu(), self.gamma)
            self.memory.fill("logits", implanted(kept["logits"], now, *where))

        found = logits_of(self, model, data)
        where = (data["targets"], groups.past.cpu(), self.gamma)
        self.memory.add_columns(data | {"logits": implanted(found, found, *where)})
        groups.end()
