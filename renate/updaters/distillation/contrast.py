"""Examples of one class close to each other, and far from the others."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.batch import Batch, Columns


def supervised_contrast(features: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Return the mean over examples i of -1/|P| Σ_{p in P} log softmax_{a != i}(z_i z_a / t)_p, P
    being the others of i's class (Khosla et al., 2020, https://arxiv.org/abs/2004.11362, eq. 2), a
    scalar; examples without any other of their class have no part.

    Args:
        features: z, of length 1, [N, D].
        targets: Classes [N].
        temperature: t.
    """
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
    alike = (features @ features.T / temperature).masked_fill(itself, float("-inf"))
    same = (targets[:, None] == targets) & ~itself

    counts = same.sum(1)
    log_shares = alike.log_softmax(1).masked_fill(~same, 0.0)
    losses = -log_shares.sum(1) / counts.clamp(min=1)
    return losses.sum() / (counts > 0).sum().clamp(min=1)


def directions(outputs: Tensor) -> Tensor:
    """Return outputs [N, K] of length 1 each; those that are all 0, which have no direction, as
    they are and without gradients, which would be 1e12 times too large.

    A network whose units are all off gives its biases, and these begin at 0.
    """
    has_one = outputs.any(1, keepdim=True)
    return F.normalize(torch.where(has_one, outputs, outputs.detach()), dim=1)


def contrast_of_views(
    model: nn.Module,
    batches: Sequence[Batch],
    transform: Callable[[Columns], Batch],
    classes: Tensor,
    temperature: float,
) -> Tensor:
    """Return the supervised contrast, a scalar, of some of a model's outputs for two views of each
    example.

    Args:
        model: Called once for each view of each batch.
        batches: Of examples.
        transform: Makes the views, each time anew.
        classes: Whose outputs are compared, bool [K].
        temperature: See `supervised_contrast`.
    """
    views = [transform(batch.raw) for batch in batches for _ in range(2)]
    features = torch.cat([directions(model(view.inputs)[:, classes]) for view in views])
    targets = torch.cat([view.targets for view in views])
    return supervised_contrast(features, targets, temperature)
