"""An experiment: an update for each chunk of a scenario, all chunks measured after each."""

from pathlib import Path

from renate.benchmark.experimentation import execute_experiment_job

config_space = {
    "updater": "DER",
    "optimizer": "SGD",
    "learning_rate": 0.05,
    "alpha": 0.2,
    "beta": 0.5,
    "batch_size": 32,
    "memory_size": 200,
    "max_epochs": 10,
    "loss_normalization": 0,
}

if __name__ == "__main__":
    for seed in range(2):
        execute_experiment_job(
            backend="local",
            config_file=str(Path(__file__).parent / "renate_config.py"),
            config_space=config_space,
            experiment_outputs_url=f"results/{seed}/",
            mode="max",
            metric="val_accuracy",
            num_updates=2,
            seed=seed,
        )
