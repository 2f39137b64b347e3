"""Two updates on this machine, without tuning."""

from pathlib import Path

from renate.training import run_training_job

configuration = {
    "optimizer": "SGD",
    "momentum": 0.0,
    "weight_decay": 1e-2,
    "learning_rate": 0.05,
    "batch_size": 32,
    "max_epochs": 50,
    "memory_batch_size": 32,
    "memory_size": 500,
}

if __name__ == "__main__":
    for chunk, state in enumerate((None, "./state_dump_first_model")):
        run_training_job(
            config_space=configuration,
            mode="max",
            metric="val_accuracy",
            updater="ER",
            max_epochs=50,
            chunk_id=chunk,
            config_file=str(Path(__file__).parent / "renate_config.py"),
            input_state_url=state,  # None: the model is trained from scratch
            output_state_url=f"./state_dump_{'first' if state is None else 'second'}_model",
            backend="local",
        )
