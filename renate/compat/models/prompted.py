"""Renate's prompted transformers: frozen encoders whose prompts are the updater's."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from renate.compat.models.benchmarking_module import RenateBenchmarkingModule
from renate.compat.models.transformer import HuggingFaceSequenceClassificationTransformer
from renate.compat.models.vision_transformer import VisionTransformer
from renate.compat.names.defaults import TASK_ID
from renate.data.model_inputs import LENGTHS, ModelInputs
from renate.errors import ConfigError
from renate.models.prompting.pooled import PooledEncoder

ARCHITECTURE = (
    "image_size",
    "patch_size",
    "num_layers",
    "num_heads",
    "hidden_dim",
    "mlp_dim",
    "dropout",
    "attention_dropout",
)


class PromptedTransformer(RenateBenchmarkingModule, PooledEncoder):
    """A transformer below a linear head; as in Renate one of images where `vit` is part of its
    name, else one of texts.

    Args:
        pretrained_model_name_or_path: A folder that transformers has saved, or a name of the Hub.
        num_outputs: Outputs of the head.
        prediction_strategy: See `RenateBenchmarkingModule`.
        add_icarl_class_means: See `RenateBenchmarkingModule`.
        config: Of the network, as JSON has it; see `VisionTransformer`.
        **architecture: Of a vision transformer, see there.

    Raises:
        ConfigError: An argument that this transformer hasn't.
    """

    pooling = "first"

    def __init__(
        self,
        pretrained_model_name_or_path: str | None = "google/vit-base-patch16-224",
        num_outputs: int = 10,
        prediction_strategy: Any = None,
        add_icarl_class_means: bool = True,
        config: Mapping[str, Any] | None = None,
        **architecture: Any,
    ) -> None:
        for name in architecture:
            if name not in ARCHITECTURE:
                raise ConfigError(
                    f"{type(self).__name__}: it has no argument '{name}': expected one of "
                    f"{', '.join(ARCHITECTURE)}"
                )

        name = str(pretrained_model_name_or_path or "vit")
        whole: Any
        if "vit" in name:
            whole = VisionTransformer(
                pretrained_model_name_or_path=pretrained_model_name_or_path,
                config=config,
                **architecture,
            )
            network = whole._backbone
        else:
            whole = HuggingFaceSequenceClassificationTransformer(name, config=config)
            network = whole._backbone._model

        super().__init__(
            embedding_size=whole._embedding_size,
            num_outputs=num_outputs,
            constructor_arguments={
                "pretrained_model_name_or_path": name,
                "config": network.config.to_dict(),
            },
            prediction_strategy=prediction_strategy,
            add_icarl_class_means=add_icarl_class_means,
        )
        self.is_of_texts = "vit" not in name
        self._backbone = network
        if isinstance(getattr(network, "pooler", None), nn.Module):
            network.register_module("pooler", None)  # the first token's output is taken as it is

    @property
    def encoder(self) -> Any:
        """The network below the head."""
        return self._backbone

    @property
    def head(self) -> nn.Linear:  # type: ignore[override]
        """The head.

        Raises:
            ConfigError: There are several, for tasks.
        """
        if len(self._tasks_params) != 1:
            raise ConfigError(
                f"{type(self).__name__} has heads for the tasks {', '.join(self._tasks_params)}, "
                "and prompts are for one: leave task_id out"
            )
        head: Any = self._tasks_params[TASK_ID]
        return head  # type: ignore[no-any-return]

    def arguments(self, inputs: ModelInputs) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return what the network takes of images [B, C, H, W], or of a tokenizer's `input_ids`,
        `attention_mask` and the like, [B, L] each.

        Raises:
            ConfigError: They are the other's.
        """
        if self.is_of_texts != isinstance(inputs, Mapping):
            raise ConfigError(
                f"{type(self).__name__}: it takes images where 'vit' is part of its network's "
                "name, else what a tokenizer makes of texts"
            )
        if not isinstance(inputs, Mapping):
            return {"pixel_values": inputs}, None

        given = {name: each for name, each in inputs.items() if not name.endswith(LENGTHS)}
        mask = given.get("attention_mask")
        return given, None if mask is None else mask.bool()

    def forward(self, x: Any, task_id: str | None = None) -> Tensor:
        """Return outputs [B, num_outputs], without any prompts."""
        return PooledEncoder.forward(self, x)


class LearningToPromptTransformer(PromptedTransformer):
    """For `updater=l2p` (Wang et al., 2022, https://arxiv.org/abs/2112.08654), which has the pool.

    Each example picks its own prompts here, whatever `per_batch_prompt` says.

    Args:
        pool_size: Prompts.
        pool_selection_size: How many an example picks.
        prompt_size: Tokens of a prompt.
        prompt_key_dim: Width of a key, which is the network's.
        train_prompt_keys: Without effect, as in Renate.
        similarity_fn: `cosine`.
        per_batch_prompt: See above.
        prompt_embedding_features: `cls`.
        patch_pooler: `prompt_mean`.
        **others: See `PromptedTransformer`.

    Raises:
        ConfigError: A value that only Renate has.
    """

    def __init__(  # noqa: PLR0913 (Renate's signature)
        self,
        pretrained_model_name_or_path: str | None = "google/vit-base-patch16-224",
        *,
        pool_size: int = 10,
        pool_selection_size: int = 5,
        prompt_size: int = 5,
        prompt_key_dim: int | None = None,
        train_prompt_keys: bool = True,
        similarity_fn: Any = "cosine",
        per_batch_prompt: bool = True,
        prompt_embedding_features: str = "cls",
        patch_pooler: str = "prompt_mean",
        **others: Any,
    ) -> None:
        _only("similarity_fn", similarity_fn, "cosine")
        _only("prompt_embedding_features", prompt_embedding_features, "cls")
        _only("patch_pooler", patch_pooler, "prompt_mean")
        super().__init__(pretrained_model_name_or_path, **others)
        if prompt_key_dim is not None:
            _only("prompt_key_dim", prompt_key_dim, self._embedding_size)

        said = {
            "pool_size": pool_size,
            "pool_selection_size": pool_selection_size,
            "prompt_size": prompt_size,
        }
        self._constructor_arguments |= said
        self.prompt_settings = {
            "pool_size": pool_size,
            "selected": pool_selection_size,
            "length": prompt_size,
        }


class SPromptTransformer(PromptedTransformer):
    """For `updater=s_prompts` (Wang et al., 2022, https://arxiv.org/abs/2207.12819), which has the
    prompts of the domains, and a head for each.

    Args:
        prompt_size: Tokens of a prompt.
        task_id: Without effect: the updater counts its updates.
        clusters_per_task: Centres of a domain.
        per_task_classifier: Without effect: each domain has a head of its own.
        **others: See `PromptedTransformer`.
    """

    def __init__(
        self,
        pretrained_model_name_or_path: str | None = "google/vit-base-patch16-224",
        *,
        prompt_size: int = 10,
        task_id: int = 0,
        clusters_per_task: int = 5,
        per_task_classifier: bool = False,
        **others: Any,
    ) -> None:
        super().__init__(pretrained_model_name_or_path, **others)
        self._constructor_arguments |= {
            "prompt_size": prompt_size,
            "clusters_per_task": clusters_per_task,
        }
        self.prompt_settings = {"length": prompt_size, "clusters": clusters_per_task}


def _only(name: str, value: Any, expected: Any) -> None:
    """Raises ConfigError for a value that only Renate has."""
    if value != expected:
        raise ConfigError(f"{name}={value!r}: this package has only {expected!r}")
