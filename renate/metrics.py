"""Pure functions on the accuracy matrix: R[t][i] is the accuracy on chunk i after update t.

R is a list of lists, an array or a tensor, a row per update so far and a column per chunk; columns
of chunks that are still to come count in none of the averages. Definitions as in the papers cited;
libraries differ in names and signs, so read them before comparing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # names and directions are looked up without torch
    from torch import Tensor

Matrix = Sequence[Sequence[float]] | Any
GAIN = {"max": 1.0, "min": -1.0}  # what makes more of a metric a gain, by its direction
COST = {"max": -1.0, "min": 1.0}  # and what makes it a cost


def is_of_fit(metric: str) -> bool:
    """Whether a metric is measured while a model is trained, by its name; others are a stream's."""
    return metric.startswith(("val_", "train_"))


def rows_of(matrix: Matrix) -> list[list[float]]:
    """Return R as plain numbers, square: the chunks seen so far.

    Raises:
        ValueError: R has no row, or fewer columns than rows.
    """
    rows = [[float(value) for value in row] for row in matrix]
    if not rows or any(len(row) < len(rows) for row in rows):
        raise ValueError(
            f"R has {len(rows)} rows of {[len(row) for row in rows]} values: expected a column per "
            "row"
        )

    return [row[: len(rows)] for row in rows]


def average_accuracy(matrix: Matrix) -> float:
    """ACC = mean_i R[T][i] (Lopez-Paz & Ranzato, 2017, https://arxiv.org/abs/1706.08840, eq. 2)."""
    last = rows_of(matrix)[-1]
    return sum(last) / len(last)


def backward_transfer(matrix: Matrix) -> float:
    """BWT = mean_{i<T} (R[T][i] - R[i][i]) (ibid., eq. 3); 0.0 after the first update."""
    rows = rows_of(matrix)
    past = len(rows) - 1
    if past:
        return sum(rows[past][i] - rows[i][i] for i in range(past)) / past
    return 0.0


def forward_transfer(matrix: Matrix, untrained: Sequence[float]) -> float:
    """FWT = mean_{i>=2} (R[i-1][i] - b[i]) (ibid., eq. 4); 0.0 after the first update.

    Args:
        matrix: R.
        untrained: b[i], accuracy of a randomly initialised model on chunk i.
    """
    rows = rows_of(matrix)
    gains = [rows[i - 1][i] - float(untrained[i]) for i in range(1, len(rows))]
    if gains:
        return sum(gains) / len(gains)
    return 0.0


def forgetting(matrix: Matrix) -> float:
    """F = mean_{j<k} (max_{l<k} R[l][j] - R[k][j]) (Chaudhry et al., 2018,
    https://arxiv.org/abs/1801.10112, eq. 3).

    Negative where a chunk is now better than ever before; 0.0 after the first update.
    """
    rows = rows_of(matrix)
    past = len(rows) - 1
    if not past:
        return 0.0

    return sum(max(row[j] for row in rows[:past]) - rows[past][j] for j in range(past)) / past


def learning_accuracy(matrix: Matrix) -> float:
    """LA = mean_i R[i][i]: how well each chunk was learned when it came (Riemer et al., 2019)."""
    rows = rows_of(matrix)
    return sum(rows[i][i] for i in range(len(rows))) / len(rows)


@dataclass(frozen=True)
class StreamMetric:
    """A metric of a stream.

    Attributes:
        compute: (R, the untrained model's scores on each chunk) -> value.
        mode: `max` or `min`, which way it is better; None where it has direction and unit of the
            metric that R holds, as averages do.
    """

    compute: Callable[[Matrix, Sequence[float]], float]
    mode: str | None


# Name -> metric, all that a stream ends with; `{metric}` stands for what R holds. What has a
# direction of its own is computed on R with its sign turned where less is better.
OF_STREAMS = {
    "average_{metric}": StreamMetric(lambda rows, _: average_accuracy(rows), None),
    "forgetting": StreamMetric(lambda rows, _: forgetting(rows), "min"),
    "backward_transfer": StreamMetric(lambda rows, _: backward_transfer(rows), "max"),
    "forward_transfer": StreamMetric(forward_transfer, "max"),
    "learning_{metric}": StreamMetric(lambda rows, _: learning_accuracy(rows), None),
}


def of_stream(
    matrix: Matrix, untrained: Sequence[float], metric: str, mode: str
) -> dict[str, float]:
    """Return every metric of a stream: name -> value.

    Forgetting above 0 is always a loss, transfer above 0 a gain.

    Args:
        matrix: R, of any metric.
        untrained: That metric of a randomly initialised model on each chunk.
        metric: Its name, which the averages carry.
        mode: `max` where more of it is better, `min` where less is.
    """
    rows = rows_of(matrix)
    sign = GAIN[mode]
    gains = [[sign * value for value in row] for row in rows]
    before = [sign * float(value) for value in untrained]

    found: dict[str, float] = {}
    for name, each in OF_STREAMS.items():
        seen = rows if each.mode is None else gains
        found[name.format(metric=metric)] = each.compute(seen, before)
    return found


def micro_average(matrix: Matrix, sizes: Sequence[int]) -> float:
    """Return Σ n_i R[T][i] / Σ n_i: each example counts alike, where chunks differ in size.

    Args:
        matrix: R.
        sizes: n_i, test examples of chunk i.

    Raises:
        ValueError: Fewer sizes than chunks seen, or one below 1.
    """
    last = rows_of(matrix)[-1]
    counted = [int(size) for size in sizes[: len(last)]]
    if len(counted) < len(last) or min(counted) < 1:
        raise ValueError(f"sizes={list(sizes)}: expected {len(last)} of 1 or more")

    return sum(n * value for n, value in zip(counted, last, strict=True)) / sum(counted)


def flips(old: "Tensor", new: "Tensor") -> dict[str, float]:
    """Return how answers changed from one version to the next (Yan et al., 2021,
    https://arxiv.org/abs/2011.09161, section 3).

    Args:
        old: Whether the old version answers right, bool [N], N of 1 or more.
        new: The same of the new one.

    Returns:
        `negative_flip_rate`, the share of all examples that were right and are wrong;
        `negative_flip_impact`, their share of all that is wrong now; `positive_flip_rate`, the
        share of all examples that were wrong and are right; `positive_flip_impact`, their share of
        all that is right now. An impact is 0 where nothing is wrong, or right.
    """
    negative = int((old & ~new).sum())
    positive = int((~old & new).sum())
    right = int(new.sum())
    wrong = len(new) - right

    return {
        "negative_flip_rate": negative / len(new),
        "negative_flip_impact": negative / max(wrong, 1),
        "positive_flip_rate": positive / len(new),
        "positive_flip_impact": positive / max(right, 1),
    }


def negative_flip_rate(old: "Tensor", new: "Tensor", targets: "Tensor") -> float:
    """Share of examples that the old model had right and the new one has wrong, see `flips`.

    Args:
        old: Classes that the old model predicts, int64 [N], N of 1 or more.
        new: Those that the new one does.
        targets: The right ones.
    """
    return flips(old == targets, new == targets)["negative_flip_rate"]


def exact_matches(outputs: "Tensor", targets: "Tensor", end: int) -> "Tensor":
    """Return which answers a causal language model generates greedily, token by token, bool [B].

    As long as all tokens so far are the answer's, the next one generated is the largest logit after
    the answer's own tokens; so the whole is the answer if each of these is, its end included. No
    answer that was cut before its end is matched.

    Args:
        outputs: Logits [B, V, A] of each place of the answers, after the answers' own tokens.
        targets: Ids of the answers' tokens [B, A]; below 0 behind their ends.
        end: The id of the token that ends an answer.
    """
    counted = targets >= 0
    right = (outputs.argmax(1) == targets) | ~counted
    return right.all(1) & ((targets == end) & counted).any(1)


def mask_logits(logits: "Tensor", classes: Sequence[int]) -> "Tensor":
    """Return logits [B, C] with every class but `classes` at -inf: task-incremental prediction."""
    import torch

    masked = torch.full_like(logits, float("-inf"))
    index = torch.as_tensor(classes, device=logits.device)
    masked[:, index] = logits[:, index]
    return masked
