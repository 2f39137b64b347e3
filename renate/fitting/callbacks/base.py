"""A callback that has something to report of its own."""

from abc import abstractmethod

import pytorch_lightning as pl


class MeasuringCallback(pl.Callback):
    """Adds values to those that are measured on validation data, reported and logged."""

    @abstractmethod
    def measured(self, trainer: pl.Trainer) -> dict[str, float]:
        """Return name -> value, each time the weights are measured."""
