"""Prompts that are weighted sums of components."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from renate.checks.bounds import at_least_0, at_least_1
from renate.models.prompting.pooled import Prompts
from renate.updaters.prompts.growing import Growing
from renate.updaters.prompts.prompted import Prompted


class CODAPrompt(Prompted):
    """Prefixes are sums of components, weighted by how an example's features attend to each.

    Smith et al., 2023, https://arxiv.org/abs/2211.13218, eq. 4 to 8. Each update adds components,
    orthogonal at first to all before, which stay.

    Args:
        components: That each update adds.
        length: Tokens of a component, half of them for keys and half for values.
        layers: Where prefixes stand, from 0 on.
        orthogonality: Weight of staying orthogonal, of components, keys and attentions; the paper's
            λ.
    """

    prefixes = True

    def __init__(
        self, components: int, length: int, layers: Sequence[int], orthogonality: float
    ) -> None:
        super().__init__()
        at_least_1(components=components)
        at_least_0(orthogonality=orthogonality)
        if length < 2 or length % 2:
            raise ValueError(f"length={length}: expected an even number of 2 or more")
        if not layers or min(layers) < 0 or len(set(layers)) != len(layers):
            raise ValueError(f"layers={list(layers)}: expected different numbers of 0 or more")

        self.components = components
        self.length = length
        self.layers = tuple(layers)
        self.orthogonality = orthogonality

    def draw(self, width: int) -> None:
        """Make components [M, layers, L D], keys and attentions [M, layers, D]."""
        depth = len(self.layers)
        self.prompt = Growing(self._fresh(torch.empty(0, depth, self.length * width)))
        self.keys = Growing(self._fresh(torch.empty(0, depth, width)))
        self.attention = Growing(self._fresh(torch.empty(0, depth, width)))

    def _fresh(self, past: Tensor) -> Tensor:
        """The next rows [R, layers, D] beside earlier ones [N, layers, D]."""
        count = self.components
        return torch.stack([orthonormal(each, count) for each in past.unbind(1)], dim=1)

    def begin(self) -> None:
        """Add the next components."""
        for rows in (self.prompt, self.keys, self.attention):
            rows.begin(self._fresh(rows.all().detach()))

    def prompts(self, query: Tensor, *, training: bool) -> tuple[Prompts, Tensor | float]:
        """Return the weighted sums of all components, and how far these are from orthogonal."""
        prompt = self.prompt.all()
        keys = self.keys.all()
        attention = self.attention.all()

        attended = query[:, None, None] * attention
        weights = F.cosine_similarity(attended, keys[None], dim=3)
        sums = torch.einsum("bml,mld->lbd", weights, prompt)
        prefixes = sums.view(*sums.shape[:2], 2, self.length // 2, query.shape[1])

        added: Tensor | float = 0.0
        if training and self.orthogonality:
            added = self.orthogonality * sum(map(apart, (prompt, keys, attention)))
        return Prompts(prefixes=dict(zip(self.layers, prefixes, strict=True))), added


def apart(rows: Tensor) -> Tensor:
    """Return how far rows [M, layers, D] are from orthonormal, a scalar: of each layer the mean
    square of B Bᵀ - I, as the paper's code has its eq. 8.
    """
    products = torch.einsum("mld,nld->lmn", rows, rows)
    identity = torch.eye(len(rows)).to(rows)
    return (products - identity).square().mean((1, 2)).sum()


def orthonormal(past: Tensor, count: int) -> Tensor:
    """Return rows [count, D] of norm 1 that are orthogonal to each other and to earlier ones
    [N, D], as far as there is room for such.
    """
    fresh = torch.randn(count, past.shape[1]).to(past)
    if len(past) + count > past.shape[1]:
        return F.normalize(fresh, dim=1)
    basis, _ = torch.linalg.qr(torch.cat([past, fresh]).T)
    rows: Tensor = basis.T[len(past) :].contiguous()
    return rows
