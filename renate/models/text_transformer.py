"""Any encoder of transformers, pooled, with a head."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from renate.data.model_inputs import ModelInputs
from renate.models.encoders import begun, check_pooling, check_tokens
from renate.models.prompting.pooled import PooledEncoder
from renate.models.texts import check_sizes, ids_of, mask_of


class TextTransformer(PooledEncoder):
    """An encoder of texts, the mean of its outputs or the first one, and a linear head.

    Args:
        checkpoint: A folder that transformers has saved, or a name of the Hub; None draws random
            weights for `architecture`.
        architecture: `model_type`, as transformers knows it, and what its config takes; a
            checkpoint has its own.
        vocab_size: Tokens.
        max_length: Tokens of an example at most.
        padding_id: Of the tokenizer.
        num_classes: Outputs.
        pooling: `first` or `mean`.
        config: The checkpoint's own architecture, by which a version builds it without the
            checkpoint's files.

    Attributes:
        kept: Arguments that a version keeps besides those of its config.
    """

    def __init__(
        self,
        checkpoint: str | None,
        architecture: Mapping[str, Any],
        vocab_size: int,
        max_length: int,
        padding_id: int,
        num_classes: int,
        pooling: str,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if vocab_size is None or max_length is None or padding_id is None:
            raise ValueError("vocab_size is null, and the data has no texts: data=text reads them")
        check_sizes({"padding_id": padding_id}, vocab_size=vocab_size, max_length=max_length)
        self.pooling = check_pooling(pooling)
        self.encoder, self.kept = begun(
            checkpoint,
            architecture,
            config,
            vocab_size=vocab_size,
            # some begin to count behind the id of padding
            max_position_embeddings=max_length + padding_id + 1,
            pad_token_id=padding_id,
        )
        check_tokens(self.encoder, checkpoint, vocab_size, max_length)
        self.takes_types = "token_type_ids" in inspect.signature(self.encoder.forward).parameters
        self.head = nn.Linear(self.encoder.config.hidden_size, num_classes)

    def arguments(self, inputs: ModelInputs) -> tuple[dict[str, Tensor], Tensor]:
        """Return what the encoder takes of `ids` [B, L], `ids_lengths` [B] and, of several texts,
        `types` [B, L], and which tokens count; what is behind a row's length doesn't. Texts beyond
        those that the encoder tells apart are of its last type.
        """
        texts: Any = inputs
        ids = ids_of(texts)
        mask = mask_of(texts)
        given = {"input_ids": ids, "attention_mask": mask.long()}
        if "types" in texts and self.takes_types:
            known = getattr(self.encoder.config, "type_vocab_size", 0)
            given["token_type_ids"] = texts["types"].clamp(max=max(known, 1) - 1)
        return given, mask
