"""Any causal language model of transformers, from prompts to answers."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from renate.data.model_inputs import LENGTHS, ModelInputs
from renate.extras import load
from renate.models.encoders import begun, check_tokens
from renate.models.texts import check_sizes, ids_of, mask_of

KEPT_LOGITS = "logits_to_keep"  # how transformers calls the places of which there are to be logits


class CausalLM(nn.Module):
    """A language model that says each token of an answer from the prompt and the tokens before it.

    Where the inputs hold answers, it gives the logits of their tokens, each after the answer's own
    tokens before it; where they hold prompts alone, it generates, each time the likeliest token.

    Args:
        checkpoint: A folder that transformers has saved, or a name of the Hub; None draws random
            weights for `architecture`.
        architecture: `model_type`, as transformers knows it, and what its config takes; a
            checkpoint has its own.
        vocab_size: Tokens. A checkpoint's rows for more than the tokenizer has are dropped.
        max_length: Tokens of a prompt and its answer at most.
        padding_id: Of the tokenizer.
        max_answer: Tokens of an answer at most.
        end_id: Of the token that ends an answer.
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
        max_answer: int,
        end_id: int,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if None in (vocab_size, max_length, padding_id, max_answer, end_id):
            raise ValueError("max_answer is null, and the data has no answers: data=prompts")

        check_sizes(
            {"padding_id": padding_id, "end_id": end_id},
            vocab_size=vocab_size,
            max_length=max_length,
            max_answer=max_answer,
        )
        self.max_answer = max_answer
        self.end_id = end_id
        self.padding_id = padding_id
        self.network, self.kept = begun(
            checkpoint,
            architecture,
            config,
            auto="AutoModelForCausalLM",
            vocab_size=vocab_size,
            max_position_embeddings=max_length,
            pad_token_id=padding_id,
        )
        check_tokens(self.network, checkpoint, vocab_size, max_length)
        if self.network.get_input_embeddings().num_embeddings != vocab_size:
            self.network.resize_token_embeddings(vocab_size)
            self.kept["config"] |= {"vocab_size": vocab_size}
        # A checkpoint's own may ask for samples, or for what isn't repeated
        self.network.generation_config = self._greedy()
        self.keeps_places = KEPT_LOGITS in inspect.signature(self.network.forward).parameters

    def _greedy(self) -> Any:
        transformers = load("transformers", "hf", "model=causal_lm")
        return transformers.GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=self.max_answer,
            eos_token_id=self.end_id,
            pad_token_id=self.padding_id,
        )

    def forward(self, inputs: ModelInputs) -> Tensor:
        """Return logits [B, V, A], 0 behind an answer's end, or generated ids [B, A].

        Args:
            inputs: `ids` [B, L] and `ids_lengths` [B]; and `types` [B, L], 1 for answers' tokens,
                without any of which the answers are generated.
        """
        texts: Any = inputs
        ids = ids_of(texts)
        types = texts.get("types")
        if types is None or not bool(types.any()):
            return self.generated(ids, texts[f"ids{LENGTHS}"])

        answers = types.sum(1)
        if not bool((answers > 0).all()):
            raise ValueError("some of the inputs have answers and some have none")
        return self._logits(ids, mask_of(texts), texts[f"ids{LENGTHS}"] - answers, answers)

    def _logits(self, ids: Tensor, mask: Tensor, begins: Tensor, answers: Tensor) -> Tensor:
        """The logits of answers that begin at these places [B] and have so many tokens [B]."""
        first = int(begins.min()) - 1
        given = {"input_ids": ids, "attention_mask": mask.long(), "use_cache": False}
        if self.keeps_places:
            given[KEPT_LOGITS] = torch.arange(first, ids.shape[1], device=ids.device)
            logits = self.network(**given).logits
        else:
            logits = self.network(**given).logits[:, first:]

        # What says an answer's first token is the output at its prompt's last
        longest = int(answers.max())
        places = (begins - 1 - first)[:, None] + torch.arange(longest, device=ids.device)
        places = places.clamp(max=logits.shape[1] - 1)
        own = logits.gather(1, places[:, :, None].expand(-1, -1, logits.shape[2]))
        behind = torch.arange(longest, device=ids.device) >= answers[:, None]
        own = own.masked_fill(behind[:, :, None], 0.0)
        return F.pad(own.transpose(1, 2), (0, self.max_answer - longest))

    @torch.no_grad()
    def generated(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the tokens that the model generates greedily, int64 [B, A]; behind the one that
        ends an answer stand more of it.

        Args:
            ids: Of prompts, [B, L].
            lengths: Theirs, [B].
        """
        # Padding on the left: what is generated follows each prompt's last token
        width = ids.shape[1]
        shift = width - lengths[:, None]
        places = torch.arange(width, device=ids.device) - shift
        mask = places >= 0
        left = ids.gather(1, places.clamp(min=0)).masked_fill(~mask, self.padding_id)

        was_training = self.network.training
        self.network.eval()
        try:
            whole = self.network.generate(
                input_ids=left,
                attention_mask=mask.long(),
                generation_config=self._greedy(),
            )
        finally:
            self.network.train(was_training)

        answer: Tensor = whole[:, width:]
        answer = F.pad(answer, (0, self.max_answer - answer.shape[1]), value=self.end_id)
        ended = (answer == self.end_id).cumsum(1) > 0
        return answer.masked_fill(ended, self.end_id)
