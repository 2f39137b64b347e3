"""Two updates on this machine, each tuned; the second tries the first one's best values first."""

from pathlib import Path

from syne_tune.config_space import choice, uniform

from renate.tuning.tuning import execute_tuning_job

config_space = {
    "optimizer": "SGD",
    "momentum": 0.0,
    "weight_decay": 1e-2,
    "learning_rate": uniform(0.001, 0.1),
    "batch_size": choice([32, 64, 128]),
    "max_epochs": 50,
    "memory_batch_size": uniform(1, 32),
    "memory_size": 500,
}

if __name__ == "__main__":
    for chunk, state in enumerate((None, "./state_dump_first_model_hpo")):
        execute_tuning_job(
            config_space=config_space,
            mode="max",
            metric="val_accuracy",
            updater="ER",
            max_epochs=50,
            chunk_id=chunk,
            config_file=str(Path(__file__).parent / "renate_config.py"),
            state_url=state,
            next_state_url=f"./state_dump_{'first' if state is None else 'second'}_model_hpo",
            backend="local",
            scheduler="asha",
            n_workers=1,
            max_num_trials_finished=5,  # few, as this is an example
        )
