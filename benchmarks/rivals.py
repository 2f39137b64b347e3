"""The tools that ours is compared with, each run by its own interface on a replay."""

from typing import Any

import numpy as np
from curves import SPACE, Replay

from renate.tuning.trial import End, Report


def optuna_itself(replay: Replay, seed: int) -> None:
    """TPE with Hyperband, by Optuna's own ask, report, prune and tell."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        study_name="it",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.HyperbandPruner(
            min_resource=1, max_resource=replay.curves.epochs, reduction_factor=3
        ),
    )
    study.enqueue_trial(
        {"optimizer.lr": 0.05, "data.batch_size": "32", "updater.replay_batch_size": "32"}
    )
    running: dict[int, Any] = {}

    while not replay.over:
        while len(running) < replay.slots:
            trial = study.ask()
            config = {
                "optimizer.lr": repr(trial.suggest_float("optimizer.lr", 1e-3, 0.5, log=True))
            }
            for key in ("data.batch_size", "updater.replay_batch_size"):
                config[key] = trial.suggest_categorical(key, SPACE.domains[key].choices)

            running[trial.number] = trial
            replay.begin(trial.number, config)

        event = replay.next(None)
        if isinstance(event, Report):
            running[event.trial].report(event.value, event.step)
            if event.step < replay.curves.epochs and running[event.trial].should_prune():
                replay.gone.add(event.trial)
                study.tell(running.pop(event.trial), state=optuna.trial.TrialState.PRUNED)
        elif isinstance(event, End):
            study.tell(running.pop(event.trial), event.value)


def syne_tune_itself(replay: Replay, seed: int) -> None:
    """ASHA, by Syne Tune's own suggest, on_trial_result and on_trial_complete."""
    from datetime import datetime

    from syne_tune.backend.trial_status import Trial as Theirs
    from syne_tune.config_space import choice, loguniform
    from syne_tune.optimizer.baselines import ASHA

    np.random.seed(seed)  # noqa: NPY002 (its domains draw from it)
    start = {"optimizer.lr": 0.05, "data.batch_size": "32", "updater.replay_batch_size": "32"}
    keys = ("data.batch_size", "updater.replay_batch_size")
    space = {"optimizer.lr": loguniform(1e-3, 0.5)} | {
        k: choice(list(SPACE.domains[k].choices)) for k in keys
    }
    asha = ASHA(
        space,
        metric="value",
        time_attr="epoch",
        max_t=replay.curves.epochs,
        do_minimize=False,
        random_seed=seed,
        points_to_evaluate=[start],
        reduction_factor=3,
    )
    running: dict[int, Any] = {}
    number = 0

    while not replay.over:
        while len(running) < replay.slots:
            trial = Theirs(number, asha.suggest().config, datetime.now())
            asha.on_trial_add(trial)
            running[number] = trial
            replay.begin(number, {key: str(value) for key, value in trial.config.items()})
            number += 1

        event = replay.next(None)
        if isinstance(event, Report):
            decision = asha.on_trial_result(
                running[event.trial], {"epoch": event.step, "value": event.value}
            )
            if event.step < replay.curves.epochs and str(decision) != "CONTINUE":
                replay.gone.add(event.trial)
                running.pop(event.trial)
        elif isinstance(event, End):
            done = running.pop(event.trial)
            asha.on_trial_complete(done, {"epoch": replay.curves.epochs, "value": event.value})
