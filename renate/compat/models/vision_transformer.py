"""Renate's vision transformers, with its signatures."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from renate.compat.models.benchmarking_module import RenateBenchmarkingModule
from renate.compat.models.pretrained import network_of
from renate.compat.names.defaults import TASK_ID
from renate.errors import ConfigError

MODEL = "AutoModel"
WITHOUT_POOLING = {"add_pooling_layer": False}


class VisionTransformer(RenateBenchmarkingModule):
    """A vision transformer below a linear head for each task (Dosovitskiy et al., 2021,
    https://arxiv.org/abs/2010.11929).

    Args:
        pretrained_model_name_or_path: A folder that transformers has saved, or a name of the Hub;
            then the arguments about the architecture don't matter.
        image_size: Height and width of an image.
        patch_size: Height and width of a patch.
        num_layers: Layers of the encoder.
        num_heads: Heads of each attention.
        hidden_dim: Size of a patch's vector.
        mlp_dim: Width of a layer's perceptron.
        dropout: Of all but attention.
        attention_dropout: Of attention.
        num_outputs: Outputs of each head.
        prediction_strategy: See `RenateBenchmarkingModule`.
        add_icarl_class_means: See `RenateBenchmarkingModule`.
        config: Of the network, as JSON has it: builds it without looking for pre-trained weights,
            as its own weights file does.

    Raises:
        ConfigError: No such network, weights that lack, or sizes that don't divide.
    """

    def __init__(  # noqa: PLR0913 (Renate's signature)
        self,
        pretrained_model_name_or_path: str | None = None,
        image_size: int = 32,
        patch_size: int = 4,
        num_layers: int = 12,
        num_heads: int = 12,
        hidden_dim: int = 768,
        mlp_dim: int = 3072,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        num_outputs: int = 10,
        prediction_strategy: Any = None,
        add_icarl_class_means: bool = True,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        made = config
        if config is None and not pretrained_model_name_or_path:
            if image_size % patch_size:
                raise ConfigError(
                    f"patch_size={patch_size}: image_size={image_size} is no multiple of it"
                )

            made = {
                "model_type": "vit",
                "hidden_size": hidden_dim,
                "num_hidden_layers": num_layers,
                "num_attention_heads": num_heads,
                "intermediate_size": mlp_dim,
                "hidden_act": "gelu",
                "hidden_dropout_prob": dropout,
                "attention_probs_dropout_prob": attention_dropout,
                "layer_norm_eps": 1e-6,
                "image_size": image_size,
                "patch_size": patch_size,
                "num_channels": 3,
                "qkv_bias": True,
            }

        name = pretrained_model_name_or_path or type(self).__name__
        network: Any = network_of(name, MODEL, made, WITHOUT_POOLING)
        super().__init__(
            embedding_size=network.config.hidden_size,
            num_outputs=num_outputs,
            constructor_arguments={"config": network.config.to_dict()},
            prediction_strategy=prediction_strategy,
            add_icarl_class_means=add_icarl_class_means,
        )
        self._backbone = network

    def get_features(self, x: Tensor) -> Tensor:
        """[B, C, H, W] float -> [B, D], the class token's."""
        features: Tensor = self._backbone(pixel_values=x).last_hidden_state[:, 0]
        return features

    def forward(self, x: Tensor, task_id: str | None = None) -> Tensor:
        """[B, C, H, W] float -> logits [B, num_outputs] of a task's head."""
        logits: Tensor = self.get_predictor(task_id or TASK_ID)(self.get_features(x))
        return logits


class VisionTransformerCIFAR(VisionTransformer):
    """A small one for images of 32 × 32, of random weights."""

    def __init__(self, **arguments: Any) -> None:
        sizes = {
            "image_size": 32,
            "patch_size": 4,
            "num_layers": 3,
            "num_heads": 3,
            "hidden_dim": 192,
            "mlp_dim": 768,
        }
        super().__init__(**(sizes | arguments))


class Pretrained(VisionTransformer):
    """One whose weights are the Hub's.

    Attributes:
        name: Of the Hub; `pretrained_model_name_or_path` may name a folder with the same instead.
    """

    name: str

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**({"pretrained_model_name_or_path": self.name} | arguments))


class VisionTransformerB16(Pretrained):
    """Base size, for images of 224 × 224, patches of 16 × 16."""

    name = "google/vit-base-patch16-224"


class VisionTransformerB32(Pretrained):
    """Base size, for images of 224 × 224, patches of 32 × 32."""

    name = "google/vit-base-patch32-224-in21k"


class VisionTransformerL16(Pretrained):
    """Large, for images of 224 × 224, patches of 16 × 16."""

    name = "google/vit-large-patch16-224-in21k"


class VisionTransformerL32(Pretrained):
    """Large, for images of 224 × 224, patches of 32 × 32."""

    name = "google/vit-large-patch32-224-in21k"


class VisionTransformerH14(Pretrained):
    """Huge, for images of 224 × 224, patches of 14 × 14."""

    name = "google/vit-huge-patch14-224-in21k"
