"""Syne Tune's bounding box: what was good in earlier updates bounds what is proposed in this
one.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

from renate.tuning.engines.classes import load, make
from renate.tuning.engines.syne_tune import VALUE, SyneTune
from renate.tuning.space import Config

TRANSFER = "syne_tune.optimizer.schedulers.transfer_learning"


class BoundingBox(SyneTune):
    """A scheduler on the box around the best configurations of each earlier update; without any, on
    the whole space.

    Perrone et al., 2019, https://arxiv.org/abs/1909.12552.

    Args:
        scheduler: See `SyneTune`; it gets the box as its space.
        options: The scheduler's.
        best: Configurations of each update that the box must hold.
    """

    def __init__(self, scheduler: str, options: Mapping[str, Any], best: int) -> None:
        if best < 1:
            raise ValueError(f"best={best}: expected 1 or more")
        super().__init__(scheduler, options)
        self.best = best
        self.updates: list[Sequence[tuple[Config, float]]] = []

    def learn(self, updates: Sequence[Sequence[tuple[Config, float]]]) -> None:
        """Keep the earlier updates in which a trial has completed; they bound the space."""
        self.updates = [update for update in updates if update]

    def _make(self, given: Mapping[str, Any]) -> Any:
        if not self.updates:
            return super()._make(given)

        box = load(f"{TRANSFER}.bounding_box.BoundingBox", "syne_tune", "syne-tune")

        def scheduler(space: dict[str, Any], *_: Any) -> Any:
            return make(self._class, {**given, "config_space": space}, self.options)

        with contextlib.redirect_stdout(io.StringIO()):  # it prints the box
            return box(
                scheduler_fun=scheduler,
                config_space=given["config_space"],
                metric=VALUE,
                transfer_learning_evaluations={
                    str(number): self._evaluations(given["config_space"], update)
                    for number, update in enumerate(self.updates)
                },
                do_minimize=True,
                num_hyperparameters_per_task=self.best,
                random_seed=given["random_seed"],
            )

    def _evaluations(self, space: Mapping[str, Any], update: Sequence[tuple[Config, float]]) -> Any:
        """An update's trials as the engine has them: [trials, seeds=1, fidelities=1,
        objectives=1].
        """
        import numpy as np
        import pandas as pd

        evaluations = load(
            f"{TRANSFER}.transfer_learning_task_evaluation.TransferLearningTaskEvaluations",
            "syne_tune",
            "syne-tune",
        )
        return evaluations(
            configuration_space=dict(space),
            hyperparameters=pd.DataFrame([self._flat(config) for config, _ in update]),
            objectives_names=[VALUE],
            objectives_evaluations=np.array([value for _, value in update]).reshape(-1, 1, 1, 1),
        )
