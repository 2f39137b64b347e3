"""Texts that are generated, token after token."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from renate.errors import ConfigError, DataError
from renate.problems.base import Label, Problem, Targets

if TYPE_CHECKING:
    from torch import Tensor

    from renate.data.kept.encoders import Encoder
    from renate.problems.base import Array

NO_TOKEN = -100  # what torch's cross-entropy leaves out: it stands behind the end of an answer


class NextToken(Problem):
    """Each example is a prompt and the text that answers it; a causal language model says each
    token of the answer from all before it.

    An encoded target is the ids of the answer's tokens, [A], `NO_TOKEN` behind its end. Outputs are
    logits [B, V, A] of each of them where the inputs hold the answers, and the ids [B, A] that the
    model generates where they hold prompts alone.
    """

    loss = "cross_entropy"
    metrics = "next_token"
    metric = "perplexity"
    mode = "min"
    is_right_or_wrong = True
    generates = True
    refused = (
        "torch.nn.modules.loss.BCE",
        "torch.nn.modules.loss.HuberLoss",
        "torch.nn.modules.loss.L1Loss",
        "torch.nn.modules.loss.MSELoss",
        "torch.nn.modules.loss.Multi",
        "torch.nn.modules.loss.SmoothL1Loss",
        "torch.nn.modules.loss.SoftMargin",
        "renate.losses.focal.",
        "torchmetrics.classification.",
        "torchmetrics.regression.",
    )

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[str, int] = {}
        self._encoder: Any = None

    @property
    def outputs(self) -> int:
        """How many tokens there are."""
        return self.sizes["vocab_size"]

    @property
    def output_shape(self) -> tuple[int, ...]:
        """[V, A]: a logit for each token in each place of an answer."""
        return (self.sizes["vocab_size"], self.sizes["max_answer"])

    @property
    def target_shape(self) -> tuple[int, ...]:
        """[A]: the id of a token in each place of an answer."""
        return (self.sizes["max_answer"],)

    @property
    def facts(self) -> dict[str, Any]:
        """Those of every problem, and `end`, the id of the token that ends an answer."""
        return super().facts | {"end": self.sizes["end_id"]}

    def fit(self, targets: Targets) -> list[Label]:
        """At a first update name the one thing that is predicted; later only check the targets.

        Raises:
            DataError: They aren't texts.
        """
        _texts(targets)
        if self.labels:
            return []

        self.labels = ["answer"]
        return list(self.labels)

    def take_encoder(self, encoder: "Encoder | None") -> None:
        """Encode and decode answers as the inputs' encoder does.

        Raises:
            ConfigError: It has none for answers, or another one than the state's.
        """
        facts = {} if encoder is None else encoder.facts
        if not {"vocab_size", "max_answer", "end_id"} <= facts.keys():
            raise ConfigError(
                "problem=next_token: the data have no prompts and answers: data=prompts reads them"
            )

        sizes = {name: int(facts[name]) for name in ("vocab_size", "max_answer", "end_id")}
        if self.sizes and self.sizes != sizes:
            raise ConfigError(
                f"problem=next_token: the tokenizer has {sizes}, the state {self.sizes}: use the "
                "state's"
            )
        self.sizes = sizes
        self._encoder = encoder

    def encode(self, targets: Targets) -> "Array":
        """Return the ids of each answer's tokens, int64 [N, A], `NO_TOKEN` behind its end."""
        import numpy as np

        answers = self._encoder.answer_ids(_texts(targets))
        found = np.full((len(answers), self.sizes["max_answer"]), NO_TOKEN, np.int64)
        for row, ids in enumerate(answers):
            found[row, : len(ids)] = ids

        return found

    def fitted(self) -> dict[str, Any]:
        """Return `vocab_size`, `max_answer` and `end_id`."""
        return dict(self.sizes)

    def restore(self, labels: Sequence[Label], fitted: dict[str, Any]) -> None:
        """Take back labels and sizes.

        Raises:
            ValueError: Other keys, or what is no size.
        """
        if fitted.keys() != {"vocab_size", "max_answer", "end_id"}:
            raise ValueError(
                f"problem.fitted has the keys {sorted(fitted)}, expected end_id, max_answer and "
                "vocab_size"
            )
        for name, number in fitted.items():
            if type(number) is not int or not 0 <= number < 2**31:
                raise ValueError(f"problem.fitted.{name} is {number!r}, expected a whole number")
        if fitted["end_id"] >= fitted["vocab_size"]:
            raise ValueError("problem.fitted.end_id is no token's")

        self.labels = list(labels)
        self.sizes = dict(fitted)

    def terms(self, targets: "Tensor") -> int:
        """Return how many tokens the answers have together: the criterion is their mean."""
        return int((targets != NO_TOKEN).sum())

    def graded(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return 1 where an answer is matched exactly, else 0: float64 [B]."""
        from renate.metrics import exact_matches

        return exact_matches(outputs, targets, self.sizes["end_id"]).double()

    def compared(self, outputs: "Tensor", targets: "Tensor") -> "Tensor":
        """Return how surprising the model finds each answer, float64 [B, 1]: the mean negative
        log-likelihood of its tokens. Logits of all tokens in all places would be gigabytes.
        """
        from torch.nn.functional import cross_entropy

        each = cross_entropy(
            outputs.double(), targets.long(), ignore_index=NO_TOKEN, reduction="none"
        )
        tokens = (targets != NO_TOKEN).sum(1).clamp(min=1)
        return (each.sum(1) / tokens)[:, None]

    def decode(self, outputs: "Tensor") -> list[Any]:
        """Return the text of each answer: of ids [B, A], or of the largest of logits [B, V, A]."""
        ids = outputs
        if outputs.ndim == 3:
            ids = outputs.argmax(1)
        return [str(text) for text in self._encoder.texts_of(ids.long().tolist())]


def _texts(targets: Targets) -> list[str]:
    values = targets.values
    if not all(isinstance(value, str) for value in values.tolist()):
        odd = next(value for value in values.tolist() if not isinstance(value, str))
        raise DataError(f"{targets.where} holds {odd!r}, problem=next_token generates texts")
    return list(values)
