"""An experiment on Amazon SageMaker: a training job for each chunk of a scenario."""

import sys
from pathlib import Path

from renate import get_execution_role
from renate.benchmark.experimentation import execute_experiment_job

config_space = {
    "updater": "ER",
    "optimizer": "SGD",
    "learning_rate": 0.05,
    "batch_size": 32,
    "memory_size": 200,
    "max_epochs": 3,
}

if __name__ == "__main__":
    bucket = sys.argv[1]  # s3://bucket/prefix
    role = sys.argv[2] if len(sys.argv) > 2 else get_execution_role()
    execute_experiment_job(
        backend="sagemaker",
        config_file=str(Path(__file__).parents[1] / "train_mlp_locally" / "renate_config.py"),
        config_space=config_space,
        experiment_outputs_url=f"{bucket}/experiment/",
        mode="max",
        metric="val_accuracy",
        num_updates=2,
        role=role,
        instance_type="ml.m5.xlarge",
        job_name="renate-experiment",
    )
