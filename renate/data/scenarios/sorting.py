"""Chunks that follow a score of the examples: early ones have low scores, later ones high ones."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from renate.data.batch import Columns
from renate.data.mapped.rows import select_rows
from renate.data.model_inputs import PREFIX, names_of
from renate.data.scenarios.base import Scenario, check_enough, tensor_of
from renate.errors import ConfigError, DataError, nearest
from renate.libraries.numpy import legacy_generator
from renate.seeds import derive

BINS = 100  # of a hue's histogram

Scores = np.ndarray[Any, np.dtype[np.float64]]


class Sorting(Scenario):
    """A part's examples in the order of a score, cut into chunks of (nearly) equal size; test data
    too, so that each chunk is measured on examples as its own.

    Args:
        chunks: Number of chunks.
        randomness: From 0 to 1: `randomness / 2` times as many random pairs as there are examples
            change places after sorting.
    """

    def __init__(self, chunks: int, randomness: float) -> None:
        super().__init__(chunks)
        if not 0 <= randomness <= 1:
            raise ConfigError(f"scenario.randomness={randomness}: expected 0 to 1")
        self.randomness = randomness

    @abstractmethod
    def scores(self, columns: Columns) -> Scores:
        """Return each example's score, [N].

        Raises:
            DataError: The inputs have none.
        """

    def take(self, columns: Columns, index: int, part: str, seed: int, num_classes: int) -> Columns:
        """Return a chunk's rows, in the order of their scores.

        Raises:
            DataError: See `scores`, or there are fewer examples to train or be measured on than
                chunks.
        """
        if part != "val":  # a chunk may lack validation data
            check_enough(columns, self.chunks, part)
        swaps = derive(seed, f"swaps of {part}") % 2**32
        order = softly_sorted(self.scores(columns), self.randomness, swaps)
        return select_rows(columns, torch.tensor_split(order, self.chunks)[index])


def softly_sorted(scores: Scores, randomness: float, seed: int) -> Tensor:
    """Return rows in the order of their scores, ties by row, then with random pairs swapped.

    As Renate did it, draw for draw.

    Args:
        scores: [N].
        randomness: See `Sorting`.
        seed: Below 2**32.

    Returns:
        int64 [N].
    """
    order = np.argsort(scores, kind="stable")
    generator = legacy_generator(seed)
    for _ in range(int(randomness * len(order) / 2)):
        one, other = generator.randint(len(order), size=2)
        order[one], order[other] = order[other], order[one]

    return torch.from_numpy(order)


class FeatureSorting(Sorting):
    """Each chunk has examples of a range of one feature.

    Args:
        chunks: Number of chunks.
        feature: Position in an example's first dimension, whose other dimensions are averaged: the
            column of a table, the channel of an image; of several inputs the name of one. null
            is the first.
        randomness: See `Sorting`.
    """

    def __init__(self, chunks: int, feature: int | str | None, randomness: float) -> None:
        super().__init__(chunks, randomness)
        if isinstance(feature, float) or feature == "":
            raise ConfigError(
                f"scenario.feature={feature!r}: expected a position or the name of an input, or "
                "null"
            )
        self.feature: int | str = 0
        if feature is not None:
            self.feature = feature

    def scores(self, columns: Columns) -> Scores:
        """Return the mean of each example's feature, [N].

        Raises:
            DataError: There is no such feature.
        """
        values = self._values(columns)
        flat = values.reshape(len(values), -1).double().mean(1)
        found: Scores = flat.numpy()
        return found

    def _values(self, columns: Columns) -> Tensor:
        where = f"scenario.feature={self.feature}"
        if isinstance(self.feature, str):
            known = [name.removeprefix(PREFIX) for name in names_of(columns)]
            found = columns.get(f"{PREFIX}{self.feature}")
            if not isinstance(found, Tensor):
                raise DataError(
                    f"{where}: no input of that name that is one tensor"
                    f"{nearest(self.feature, known)}; of a table or an image give its position"
                )
            return found

        inputs = tensor_of(columns, "feature_sorting")
        size = inputs.shape[1] if inputs.ndim > 1 else 0
        if not -size <= self.feature < size:
            raise DataError(f"{where}: an example has {size} features, expected 0 to {size - 1}")
        return inputs[:, self.feature]


class HueShift(Sorting):
    """Each chunk has images of a range of hues: the hue that most of an image's pixels have.

    Args:
        chunks: Number of chunks.
        randomness: See `Sorting`.
    """

    def scores(self, columns: Columns) -> Scores:
        """Return the left edge of the fullest of 100 bins between each image's least and largest
        hue, [N].

        Raises:
            DataError: The inputs aren't images of three channels, in bytes or from 0 to 1.
        """
        images = tensor_of(columns, "hue_shift")
        if images.ndim != 4 or images.shape[1] != 3:
            raise DataError(
                "scenario=hue_shift needs images [3, H, W], the inputs are "
                f"{list(images.shape[1:])}"
            )
        if not _are_colours(images):
            low, high = (float(end) for end in images.aminmax())
            raise DataError(
                "scenario=hue_shift needs images in bytes, or from 0 to 1; the inputs are "
                f"{str(images.dtype).removeprefix('torch.')} from {low:g} to {high:g}"
            )

        return np.array([_hue(image) for image in images])


def _are_colours(images: Tensor) -> bool:
    if not images.is_floating_point():
        return images.dtype == torch.uint8

    low, high = images.aminmax()
    return bool(low >= 0 and high <= 1)


def _hue(image: Tensor) -> float:
    pixels = image
    if image.is_floating_point():
        pixels = image.mul(255).byte()

    hues = np.array(Image.fromarray(pixels.permute(1, 2, 0).numpy()).convert("HSV"))[:, :, 0]
    counts, edges = np.histogram(hues.reshape(-1), bins=BINS)
    return float(edges[np.argmax(counts)])
