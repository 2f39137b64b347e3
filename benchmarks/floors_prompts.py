"""Prompts for a frozen vision transformer as one would write them by hand, see `floors.py`.

The encoder's layers are put together here, of plain linear layers and norms that hold its weights:
none of transformers' code runs either, and what that takes is in ours alone.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from floors import SCALE, Floor
from torch import Tensor, nn


def embedded(encoder: Any, inputs: Tensor) -> Tensor:
    """Patches and the class token at their places, [B, L, D]."""
    parts = encoder.embeddings
    patches = parts.patch_embeddings.projection(inputs).flatten(2).transpose(1, 2)
    first = parts.cls_token.expand(len(inputs), -1, -1)
    return torch.cat([first, patches], 1) + parts.position_embeddings


def encoded(encoder: Any, hidden: Tensor, prefixes: Mapping[int, Tensor]) -> Tensor:
    """What the encoder makes of embeddings [B, L, D], with prefixes [B, 2, P, D] in some layers."""
    rows, _, width = hidden.shape
    heads = encoder.config.num_attention_heads

    def by_heads(values: Tensor) -> Tensor:
        return values.view(rows, values.shape[1], heads, width // heads).transpose(1, 2)

    for number, layer in enumerate(encoder.layers):
        normed = layer.layernorm_before(hidden)
        attention = layer.attention
        query = by_heads(attention.q_proj(normed))
        key = by_heads(attention.k_proj(normed))
        value = by_heads(attention.v_proj(normed))
        if number in prefixes:
            prefix = prefixes[number]
            key = torch.cat([by_heads(prefix[:, 0]), key], 2)
            value = torch.cat([by_heads(prefix[:, 1]), value], 2)

        attended = F.scaled_dot_product_attention(query, key, value).transpose(1, 2)
        hidden = hidden + attention.o_proj(attended.reshape(rows, -1, width))
        normed = layer.layernorm_after(hidden)
        hidden = hidden + layer.mlp.fc2(F.gelu(layer.mlp.fc1(normed)))

    found: Tensor = encoder.layernorm(hidden)
    return found


class Prompted(Floor):
    """The encoder without prompts says which an example gets; patches are embedded once for both
    passes.
    """

    def __init__(self, model: nn.Module, buffer: Any, size: int, made: Any) -> None:
        super().__init__(model, buffer, size, made)
        self.net: Any = model
        self.own = {name: each for name, each in made.named_parameters() if each.requires_grad}
        self.trained += [*self.own.values()]

    def queried(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The embeddings of inputs, and the features that they have without prompts [B, D]."""
        with torch.no_grad():
            tokens = embedded(self.net.encoder, inputs)
            return tokens, encoded(self.net.encoder, tokens, {})[:, 0]

    def ended(self) -> dict[str, Tensor]:
        return dict(self.own)


class L2P(Prompted):
    """Also with replay, where there is a size for it."""

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        inputs = raw * SCALE
        all_targets = targets
        if self.made.replay_batch_size and self.buffer.seen:
            past, past_targets = self.buffer.sample(self.size)
            inputs = torch.cat([inputs, past * SCALE])
            all_targets = torch.cat([targets, past_targets])

        tokens, query = self.queried(inputs)
        alike = F.cosine_similarity(query[:, None], self.own["keys"][None], dim=2)
        best, chosen = alike.topk(self.made.selected, dim=1)
        prompts = self.own["pool"][chosen].flatten(1, 2)
        outputs = encoded(self.net.encoder, torch.cat([prompts, tokens], 1), {})
        logits = self.net.head(outputs[:, : prompts.shape[1]].mean(1))
        loss = F.cross_entropy(logits, all_targets)
        if self.made.replay_batch_size:
            self.buffer.add(raw, targets)
        return loss + self.made.match_weight * (1 - best).sum(1).mean()


class SPrompts(Prompted):
    """Training has the newest domain's prompt: no query is needed to tell it, and none is made."""

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        tokens = embedded(self.net.encoder, raw * SCALE)
        prompt = self.own["prompt.now"].expand(len(raw), -1, -1)
        outputs = encoded(self.net.encoder, torch.cat([prompt, tokens], 1), {})
        logits = self.net.head(outputs[:, prompt.shape[1]])
        return F.cross_entropy(logits, targets)


class DualPrompt(Prompted):
    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        tokens, query = self.queried(raw * SCALE)
        near = F.cosine_similarity(query, self.own["keys.now"], dim=1)
        expert = self.own["experts.now"][0]
        prefixes = dict(zip(self.made.general_layers, self.own["general"], strict=True))
        prefixes |= dict(zip(self.made.expert_layers, expert, strict=True))
        wide = {number: each.expand(len(raw), -1, -1, -1) for number, each in prefixes.items()}
        logits = self.net.head(encoded(self.net.encoder, tokens, wide)[:, 0])
        loss = F.cross_entropy(logits, targets)
        return loss + self.made.match_weight * (1 - near).mean()


class CODAPrompt(Prompted):
    """Components of a first update: there are none of before."""

    def loss(self, raw: Tensor, targets: Tensor) -> Tensor:
        tokens, query = self.queried(raw * SCALE)
        parts = [self.own[f"{name}.now"] for name in ("prompt", "keys", "attention")]
        prompt, keys, attention = parts
        weights = F.cosine_similarity(query[:, None, None] * attention, keys[None], dim=3)
        sums = torch.einsum("bml,mld->lbd", weights, prompt)
        shaped = sums.view(*sums.shape[:2], 2, self.made.length // 2, query.shape[1])
        prefixes = dict(zip(self.made.layers, shaped, strict=True))
        logits = self.net.head(encoded(self.net.encoder, tokens, prefixes)[:, 0])
        loss = F.cross_entropy(logits, targets)

        apart: Any = 0.0
        for rows in parts:
            products = torch.einsum("mld,nld->lmn", rows, rows)
            identity = torch.eye(len(rows), device=rows.device)
            apart = apart + (products - identity).square().mean((1, 2)).sum()
        return loss + self.made.orthogonality * apart


FLOORS: dict[str, type[Floor]] = {
    "l2p": L2P,
    "l2p_replay": L2P,
    "s_prompts": SPrompts,
    "dualprompt": DualPrompt,
    "coda_prompt": CODAPrompt,
}
