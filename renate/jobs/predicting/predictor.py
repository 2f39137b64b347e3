"""A version, ready for inference, with no config at hand."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from renate.data.batch import BatchTransform
from renate.data.contract.document import Contract
from renate.data.contract.inspection import Inspection
from renate.data.contract.rules import CHOICES, WARN, Rules
from renate.data.kept.raw import rows_in
from renate.data.model_inputs import beside_task
from renate.errors import ConfigError
from renate.jobs.predicting.answer_table import check_outputs
from renate.jobs.predicting.feed import Columns, Feed, moved
from renate.jobs.predicting.heads import beside_ids, ids_for, without_ids
from renate.jobs.predicting.raw_input import RawInput, raw_input
from renate.problems.base import Problem
from renate.updaters.base import Updater

BATCH = 1000  # examples at a time, where nothing else is said


class Predictor(nn.Module):
    """Test transform + model (+ the updater's own way to predict, where it has one), in eval mode.

    Attributes:
        model: The bare network.
        labels: What each output stands for, in order.
        version: The version's number.
        encoder: What turns raw inputs into tensors, as it was fitted; None where there is none.
        input: What a raw row is: names, kinds, dtypes, shapes, and the ranges seen in training.
        contract: What its data are held against; None where it keeps nothing of that.
        dtype: Of what has floats in it, once it is transformed; None leaves them as they are.
        heads: Of how many tasks the model has heads, whose numbers come beside the inputs; 0 where
            it has one for all.
    """

    def __init__(
        self,
        model: nn.Module,
        updater: Updater | None,
        transform: BatchTransform,
        problem: Problem,
        version: int,
        feed: Feed,
    ) -> None:
        super().__init__()
        self.model = model
        self.updater = updater
        self.problem = problem
        self.version = version
        self.labels = list(problem.labels)
        self.transforms = nn.ModuleList(transform.inputs)
        self.feed = feed
        self.encoder = feed.encoder
        self.input: RawInput = raw_input(feed.inputs, feed.encoder)
        self.contract: Contract | None = None
        self.dtype: torch.dtype | None = None
        self.heads = 0
        self.eval()

    def forward(self, inputs: Any, task_id: Any = None) -> Tensor:
        """Return outputs [B, C] of raw inputs, as the data had them before any transform: what the
        encoder takes, where there is one, else [B, ...], or a mapping of tensors and `Ragged`s.

        Of classes and labels these are logits; of numbers, what the model was trained on, see
        `answers`. Of a model with heads, `task_id` says which counts, see `predict`.
        """
        found = self.feed(inputs, self.device)
        if not self.heads:
            self._check_one_head(task_id)
            return self._computed(found)

        rows = len(found) if isinstance(found, Tensor) else len(next(iter(found.values())))
        return self._computed(found, ids_for(task_id, rows, self.heads).to(self.device))

    def _computed(self, inputs: Any, ids: Tensor | None = None) -> Tensor:
        transform = BatchTransform([*self.transforms], dtype=self.dtype)
        inputs = transform.transformed(inputs)
        if ids is not None:
            inputs = beside_task(inputs, ids)

        logits: Tensor = (
            self.updater.predict(self.model, inputs) if self.updater else self.model(inputs)
        )
        return logits

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        first = next(chain(self.parameters(), self.buffers()), None)
        return first.device if first is not None else torch.device("cpu")

    def of_columns(self, columns: Columns) -> Tensor:
        """Return outputs [B, C] of one batch of columns as `Feed.encoded` gives them, or
        `beside_ids`.
        """
        if not self.heads:
            return self._computed(moved(columns, self.device))

        inputs, ids = without_ids(columns)
        return self._computed(moved(inputs, self.device), ids.to(self.device))

    def _check_one_head(self, task_id: Any) -> None:
        if task_id is not None:
            raise ConfigError(
                f"task_id={task_id}: version {self.version} has one head for all: leave it out"
            )

    def batches(self, columns: Columns, batch_size: int) -> Iterator[Tensor]:
        """Yield the outputs of columns, `batch_size` rows at a time."""
        for begin in range(0, rows_in(columns, "inputs"), batch_size):
            rows = slice(begin, begin + batch_size)
            if isinstance(columns, Tensor):
                yield self.of_columns(columns[rows])
            else:
                yield self.of_columns({name: column[rows] for name, column in columns.items()})

    @torch.inference_mode()
    def outputs(self, raw: Any, batch_size: int = BATCH, task_id: Any = None) -> Tensor:
        """Return outputs [N, C] of raw inputs, as `forward` does, in batches.

        The same batches give the same bits; a batch of another size may round otherwise in the
        last digits, as linear algebra chooses other kernels.

        Args:
            raw: See `predict`.
            batch_size: How many examples the model is given at a time.
            task_id: See `predict`.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size={batch_size}: expected 1 or more")

        columns = self.feed.encoded(raw)
        if self.heads:
            columns = beside_ids(columns, task_id, self.heads)
        else:
            self._check_one_head(task_id)

        if not rows_in(columns, "inputs"):
            return torch.zeros(0, self.problem.outputs)
        found = torch.cat([*self.batches(columns, batch_size)])
        check_outputs(found)
        return found

    def predict(
        self,
        raw: Any,
        *,
        batch_size: int = BATCH,
        probabilities: bool = False,
        task_id: Any = None,
    ) -> Any:
        """Return the answer for each raw input: a label, the labels that it has, a number, or
        several. Of a single example (a row by name, a text, an image, an array of one example's
        shape) the one answer.

        Args:
            raw: Rows as `input` describes them. By name: a frame of pandas or polars, an Arrow
                table, name -> values, a list of rows, one row. Without names: an array or a tensor
                [N, ...], images of Pillow, texts, or what an encoder of your own takes.
            batch_size: How many examples the model is given at a time.
            probabilities: Whether each answer is a mapping instead: `prediction`, `probability` (of
                several labels one each), and `probabilities`, label -> probability.
            task_id: Of a model with a head for each task, whose head counts: a number for all, or
                one for each example.

        Raises:
            DataError: They are others than the version was trained on: a column that is missing or
                of another kind, another shape or dtype, values that aren't numbers.
            ConfigError: The problem has no probabilities, or nothing says whose head counts.
        """
        outputs = self.outputs(raw, batch_size, task_id)
        answers: list[Any] = self.problem.decode(outputs) if len(outputs) else []
        if probabilities:
            answers = self._with_probabilities(answers, outputs)
        return answers[0] if self.feed.is_single(raw) else answers

    def _with_probabilities(self, answers: list[Any], outputs: Tensor) -> list[Any]:
        found = self.problem.probabilities(outputs)
        if found is None:
            raise ConfigError(
                f"probabilities=True: problem={self.problem.name} predicts numbers, which have none"
            )

        rows = []
        for answer, row in zip(answers, found.tolist(), strict=True):
            each = dict(zip(self.labels, row, strict=True))
            one = [each[label] for label in answer] if isinstance(answer, list) else each[answer]
            rows.append({"prediction": answer, "probability": one, "probabilities": each})

        return rows

    def outside_contract(self, raw: Any) -> list[str]:
        """Say, a line for each column and check, what of raw inputs the version's contract hasn't;
        nothing where all is well, or it keeps none. `predict` itself doesn't look.

        Args:
            raw: See `predict`.

        Raises:
            DataError: See there.
        """
        if self.contract is None:
            return []

        inspection = Inspection(self.contract, Rules(dict.fromkeys(CHOICES, WARN)), "inputs")
        columns = tuple(self.feed.reader.columns.items())
        inspection.look(self.feed.read(raw), columns, self.encoder, "row {}".format)
        return inspection.conclude()

    @torch.inference_mode()
    def answers(self, inputs: Any, task_id: Any = None) -> Tensor:
        """Return logits of classes [B, C], probabilities of labels [B, C], or values in their
        own units, float64.
        """
        return self.problem.answers(self(inputs, task_id))
