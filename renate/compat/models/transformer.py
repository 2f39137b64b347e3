"""Renate's text transformer: a pre-trained network of transformers' below a head for each task."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from renate.compat.models.benchmarking_module import RenateBenchmarkingModule
from renate.compat.models.pretrained import network_of
from renate.errors import ConfigError


class FeatureExtractorTextTransformer(nn.Module):
    """Gives one vector for each text.

    Args:
        model: One of transformers'.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._model = model

    @property
    def config(self) -> Any:
        """The network's."""
        return self._model.config

    def forward(self, x: Mapping[str, Tensor]) -> Tensor:
        """Return [B, D] of `input_ids`, `attention_mask` and the like, [B, L] each: what the
        network pools, else its first token's.
        """
        out: Any = self._model(**x, return_dict=True)
        pooled = getattr(out, "pooler_output", None)
        if pooled is None:
            pooled = out.last_hidden_state[:, 0]

        found: Tensor = pooled
        return found


class HuggingFaceSequenceClassificationTransformer(RenateBenchmarkingModule):
    """A text transformer below a linear head for each task.

    Args:
        pretrained_model_name_or_path: A folder that transformers has saved, or a name of the Hub.
        num_outputs: Outputs of each head.
        prediction_strategy: See `RenateBenchmarkingModule`.
        add_icarl_class_means: See `RenateBenchmarkingModule`.
        config: Of the network, as JSON has it: builds it without looking for pre-trained weights,
            as its own weights file does.
    """

    def __init__(
        self,
        pretrained_model_name_or_path: str,
        num_outputs: int = 10,
        prediction_strategy: Any = None,
        add_icarl_class_means: bool = True,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        network = network_of(
            pretrained_model_name_or_path, "AutoModelForTextEncoding", config, options={}
        )
        features = FeatureExtractorTextTransformer(network)
        if not hasattr(features.config, "hidden_size"):
            raise ConfigError(
                f"{pretrained_model_name_or_path}: a {type(network).__name__} says no hidden_size, "
                "expected a text encoder"
            )

        super().__init__(
            embedding_size=features.config.hidden_size,
            num_outputs=num_outputs,
            constructor_arguments={
                "pretrained_model_name_or_path": str(pretrained_model_name_or_path),
                "config": features.config.to_dict(),
            },
            prediction_strategy=prediction_strategy,
            add_icarl_class_means=add_icarl_class_means,
        )
        self._backbone = features

    def get_features(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return what the network gives below the heads, [B, D]."""
        features: Tensor = self._backbone(*args, **kwargs)
        return features
