"""Pure functions on the accuracy matrix: R[t][i] is the accuracy on chunk i after update t.

Definitions as in the papers cited; libraries differ in names and signs, so read them before comparing.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

Matrix = Sequence[Sequence[float]]


def average_accuracy(matrix: Matrix) -> float:
    """ACC = mean_i R[T][i] (Lopez-Paz & Ranzato, 2017, https://arxiv.org/abs/1706.08840, eq. 2)."""
    last = matrix[-1]
    return sum(last) / len(last)


def backward_transfer(matrix: Matrix) -> float:
    """BWT = mean_{i<T} (R[T][i] - R[i][i]) (ibid., eq. 3); 0.0 after the first update."""
    past = len(matrix) - 1
    return sum(matrix[past][i] - matrix[i][i] for i in range(past)) / past if past else 0.0


def forward_transfer(matrix: Matrix, untrained: Sequence[float]) -> float:
    """FWT = mean_{i>=2} (R[i-1][i] - b[i]) (ibid., eq. 4); 0.0 after the first update.

    Args:
        matrix: R.
        untrained: b[i], accuracy of a randomly initialised model on chunk i.
    """
    count = len(matrix) - 1
    return sum(matrix[i - 1][i] - untrained[i] for i in range(1, count + 1)) / count if count else 0.0


def forgetting(matrix: Matrix) -> float:
    """F = mean_{j<k} (max_{l<k} R[l][j] - R[k][j]) (Chaudhry et al., 2018, https://arxiv.org/abs/1801.10112, eq. 3).

    Negative where a chunk is now better than ever before; 0.0 after the first update.
    """
    past = len(matrix) - 1
    if not past:
        return 0.0
    return sum(max(matrix[row][j] for row in range(past)) - matrix[past][j] for j in range(past)) / past


def learning_accuracy(matrix: Matrix) -> float:
    """LA = mean_i R[i][i]: how well each chunk was learned when it came (Riemer et al., 2019)."""
    return sum(matrix[i][i] for i in range(len(matrix))) / len(matrix)


def mask_logits(logits: Tensor, classes: Sequence[int]) -> Tensor:
    """Return logits [B, C] with every class but `classes` at -inf: task-incremental prediction."""
    masked = torch.full_like(logits, float("-inf"))
    index = torch.as_tensor(classes, device=logits.device)
    masked[:, index] = logits[:, index]
    return masked
