"""An update as a training job of Amazon SageMaker, tuned there by several workers."""

import sys
from pathlib import Path

from syne_tune.config_space import choice, loguniform

from renate import get_execution_role
from renate.training import run_training_job

config_space = {
    "optimizer": "SGD",
    "momentum": 0.9,
    "weight_decay": 0.0,
    "learning_rate": loguniform(1e-4, 1e-1),
    "batch_size": choice([32, 64, 128]),
    "max_epochs": 50,
    "memory_batch_size": 32,
    "memory_size": 500,
}

if __name__ == "__main__":
    bucket = sys.argv[1]  # s3://bucket/prefix
    role = sys.argv[2] if len(sys.argv) > 2 else get_execution_role()
    seconds = float(sys.argv[3]) if len(sys.argv) > 3 else 3600
    run_training_job(
        config_space=config_space,
        mode="max",
        metric="val_accuracy",
        updater="ER",
        chunk_id=1,
        config_file=str(Path(__file__).parents[1] / "train_mlp_locally" / "renate_config.py"),
        input_state_url=f"{bucket}/first_model",
        output_state_url=f"{bucket}/second_model",
        backend="sagemaker",
        role=role,
        instance_type="ml.m5.4xlarge",
        job_name="renate-example",
        scheduler="asha",
        n_workers=4,
        max_time=seconds,
    )
