"""Prefixes of keys and values in the attention of transformers' encoders."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from renate.errors import ConfigError
from renate.extras import load

NAME = "renate_prefixes"  # of the attention that takes prefixes, in transformers' table of them


class Given:
    """The prefixes of one call of an encoder, which its layers take one after another.

    Args:
        by_layer: Number of a layer, from 0 -> keys and values, [B, 2, L, D].
    """

    def __init__(self, by_layer: Mapping[int, Tensor]) -> None:
        self.by_layer = by_layer
        self.layer = 0
        self.taken = 0

    def next(self) -> Tensor | None:
        """Return the next layer's, if it has any."""
        found = self.by_layer.get(self.layer)
        self.layer += 1
        self.taken += found is not None
        return found


GIVEN: ContextVar[Given | None] = ContextVar("prefixes", default=None)


def make_room(encoder: Any) -> None:
    """Let an encoder's attention take prefixes; without any it computes as before.

    Raises:
        ConfigError: The architecture has an attention of its own.
    """
    transformers = load("transformers", "hf", "prompts")
    usual = transformers.AttentionInterface()["sdpa"]

    def attention(
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **others: Any
    ) -> Any:
        given = GIVEN.get()
        prefix = given.next() if given is not None else None
        if prefix is not None:
            key = torch.cat([_by_heads(prefix[:, 0], key), key], dim=2)
            value = torch.cat([_by_heads(prefix[:, 1], value), value], dim=2)
            mask = _widened(mask, prefix.shape[2])
        return usual(module, query, key, value, mask, **others)

    masks = load("transformers.masking_utils", "hf", "prompts").ALL_MASK_ATTENTION_FUNCTIONS
    transformers.AttentionInterface.register(NAME, attention)
    transformers.AttentionMaskInterface.register(NAME, masks["sdpa"])
    encoder.set_attn_implementation(NAME)
    if encoder.config._attn_implementation != NAME:
        raise ConfigError(
            f"model.architecture.model_type={encoder.config.model_type}: its attention takes no "
            "prefixes; bert, roberta, electra and vit do"
        )


@contextmanager
def prefixed(by_layer: Mapping[int, Tensor]) -> Iterator[None]:
    """Let the one call of an encoder that is made within take prefixes.

    Args:
        by_layer: See `Given`.

    Raises:
        ConfigError: A layer hasn't taken its own.
    """
    given = Given(by_layer)
    token = GIVEN.set(given)
    try:
        yield
    finally:
        GIVEN.reset(token)

    if given.taken != len(by_layer):
        raise ConfigError(
            f"updater: prefixes for the layers {sorted(by_layer)}, and the model's encoder has "
            f"{given.layer} that take any, from 0 on"
        )


def _by_heads(prefix: Tensor, like: Tensor) -> Tensor:
    """[B, L, D] -> [B, H, L, D / H], as keys and values [B, H, N, D / H] are."""
    heads, size = like.shape[1], like.shape[3]
    divided = prefix.view(prefix.shape[0], prefix.shape[1], heads, size)
    return divided.transpose(1, 2).to(like.dtype)


def _widened(mask: Tensor | None, count: int) -> Tensor | None:
    """A mask [B, 1, Q, K] of what may be seen, with that many more in front that all see."""
    if mask is None:
        return None
    seen = mask.new_zeros(*mask.shape[:3], count)
    if mask.dtype == torch.bool:
        seen = ~seen
    return torch.cat([seen, mask], dim=3)
