"""Normalisation that forgets less than that by batches."""

from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class ContinualNorm(_BatchNorm):
    """Group normalisation, then batch normalisation with its weights and running statistics.

    Pham et al., 2022, https://arxiv.org/abs/2203.16102, eq. 5 to 7: what one task's examples are
    is taken out of each by itself before statistics over tasks are gathered.

    Args:
        num_features: Channels C.
        groups: That the channels are divided into; it divides them evenly.
        eps: Added to both variances.
        momentum: Share of a batch in the running statistics; None is their plain mean.
        affine: Whether a weight and a bias for each channel follow.
        track_running_stats: Whether evaluation takes running statistics instead of the batch's.
    """

    def __init__(
        self,
        num_features: int,
        groups: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        if groups < 1 or num_features % groups:
            raise ValueError(f"groups={groups}: expected a divisor of {num_features} channels")

        self.groups = groups

    @classmethod
    def like(cls, norm: _BatchNorm, groups: int) -> Self:
        """Return one with the settings, weights and statistics of a batch normalisation."""
        made = cls(
            norm.num_features,
            groups,
            norm.eps,
            norm.momentum,
            norm.affine,
            norm.track_running_stats,
        )
        made.load_state_dict(norm.state_dict())
        return made.train(norm.training)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"expected inputs [B, C, ...], got {list(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, ...] float -> the same shape."""
        return super().forward(F.group_norm(input, self.groups, eps=self.eps))


def with_continual_norm(model: nn.Module, groups: int) -> nn.Module:
    """Put continual normalisation in the place of each batch normalisation.

    Args:
        model: Changed in place and returned.
        groups: See `ContinualNorm`.

    Raises:
        ValueError: The model has none, or the channels of one can't be divided so.
    """
    places = [
        (part, name, child)
        for part in model.modules()
        for name, child in part.named_children()
        if isinstance(child, _BatchNorm) and not isinstance(child, ContinualNorm)
    ]
    if not places:
        raise ValueError(f"{type(model).__name__} has no batch normalisation to be replaced")

    for part, name, child in places:
        part.add_module(name, ContinualNorm.like(child, groups))

    return model
