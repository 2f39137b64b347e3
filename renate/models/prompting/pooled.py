"""An encoder of transformers, what is pooled of it, and a head."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from renate.data.model_inputs import ModelInputs
from renate.errors import ConfigError
from renate.models.prompting.prefixes import prefixed


@dataclass(frozen=True)
class Prompts:
    """What an encoder is given besides a batch's inputs.

    Attributes:
        tokens: Embeddings in front of the inputs' own, [B, P, D]; None for none.
        prefixes: Number of a layer -> keys and values in front of its own, [B, 2, L, D].
        answer: Whether the features are the mean of what the encoder makes of the tokens, instead
            of what is pooled else.
    """

    tokens: Tensor | None = None
    prefixes: Mapping[int, Tensor] = field(default_factory=dict)
    answer: bool = False


class PooledEncoder(nn.Module):
    """An encoder below a linear head.

    Attributes:
        encoder: One of transformers'.
        pooling: Of its outputs: `first` or `mean`.
        head: What is pooled -> outputs.
        prompt_settings: What the model says of its prompts, which comes before what an updater's
            config does.
    """

    encoder: Any
    pooling: str
    head: nn.Linear
    prompt_settings: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def arguments(self, inputs: ModelInputs) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return what the encoder is called with, and which of its outputs are a row's own, bool
        [B, L]; None where all are.
        """

    def forward(self, inputs: ModelInputs) -> Tensor:
        """Return logits [B, num_classes] of what `arguments` takes."""
        logits: Tensor = self.head(self.features(inputs))
        return logits

    def features(self, inputs: ModelInputs, prompts: Prompts | None = None) -> Tensor:
        """Return what the head takes, [B, D].

        Args:
            inputs: See `forward`.
            prompts: What stands in front of them.
        """
        given, mask = self.arguments(inputs)
        if prompts is None:
            return self._pooled(self.encoder(**given).last_hidden_state, mask)

        outputs = self._prompted(given, prompts)
        count = 0
        if prompts.tokens is not None:
            count = prompts.tokens.shape[1]
        if prompts.answer:
            return outputs[:, :count].mean(1)

        return self._pooled(outputs[:, count:], mask)

    def _prompted(self, given: dict[str, Tensor], prompts: Prompts) -> Tensor:
        """The encoder's outputs [B, P + L, D], those of the prompts' tokens first."""
        if prompts.tokens is None:
            with prefixed(prompts.prefixes):
                return self._encoded(given)

        tokens = prompts.tokens
        if "attention_mask" in given:
            mask = given["attention_mask"]
            seen = mask.new_ones(len(mask), tokens.shape[1])
            given = given | {"attention_mask": torch.cat([seen, mask], dim=1)}

        # Behind the embeddings: prompts have no place in a text, and no part of its length
        handle = self._embeddings().register_forward_hook(
            lambda _, __, embedded: torch.cat([tokens.to(embedded.dtype), embedded], dim=1)
        )
        try:
            with prefixed(prompts.prefixes):
                return self._encoded(given)
        finally:
            handle.remove()

    def _encoded(self, given: dict[str, Tensor]) -> Tensor:
        outputs: Tensor = self.encoder(**given).last_hidden_state
        return outputs

    def _embeddings(self) -> nn.Module:
        """The part that embeds.

        Raises:
            ConfigError: The architecture calls it otherwise, or projects what it gives.
        """
        found = getattr(self.encoder, "embeddings", None)
        projected = getattr(self.encoder, "embeddings_project", None)
        if not isinstance(found, nn.Module) or projected is not None:
            raise ConfigError(
                f"model.architecture.model_type={self.encoder.config.model_type}: no place for "
                "prompts in front of its embeddings; bert, roberta and vit have one"
            )
        return found

    def _pooled(self, outputs: Tensor, mask: Tensor | None) -> Tensor:
        """What the head takes, [B, D], of an encoder's outputs [B, L, D]."""
        if self.pooling != "mean":
            return outputs[:, 0]
        if mask is None:
            return outputs.mean(1)

        weights = mask.to(outputs.dtype)
        summed = torch.einsum("blw,bl->bw", outputs, weights)
        return summed / weights.sum(1, keepdim=True).clamp(min=1)
