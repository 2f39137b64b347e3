"""Tuning: search space, proposers and stoppers, the event loop and its log, history across
updates.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from renate.tuning.on_disk.trial_history import history

if TYPE_CHECKING:
    import optuna

__all__ = ["history", "study"]


def study(sweep: str | Path) -> "optuna.Study":
    """The trials of a sweep as an Optuna study, for its plots and importances; whatever tuner made
    them.

    Args:
        sweep: The sweep's folder, as `runs/sweep-…` or `runs/latest`.

    Raises:
        JobError: The folder is no sweep's.
        ConfigError: Optuna isn't installed.
    """
    from renate.tuning.engines.classes import load
    from renate.tuning.on_disk.sweep_folder import trials_of
    from renate.tuning.on_disk.sweep_record import SweepRecord
    from renate.tuning.trial import RUNNING

    record = SweepRecord.read(Path(sweep))
    load("optuna.Study", "optuna", "optuna")
    from renate.tuning.engines.optuna_study import study_of

    ended = [vars(trial) for trial in trials_of(Path(sweep)) if trial.status != RUNNING]

    return study_of(record.space, ended, record.mode)
