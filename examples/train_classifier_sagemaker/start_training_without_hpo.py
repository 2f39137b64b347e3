"""An update as a training job of Amazon SageMaker, without tuning."""

import sys
from pathlib import Path

from renate import get_execution_role
from renate.training import run_training_job

configuration = {
    "optimizer": "SGD",
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "learning_rate": 0.05,
    "batch_size": 32,
    "max_epochs": 50,
    "memory_batch_size": 32,
    "memory_size": 500,
}

if __name__ == "__main__":
    bucket = sys.argv[1]  # s3://bucket/prefix
    role = sys.argv[2] if len(sys.argv) > 2 else get_execution_role()
    run_training_job(
        config_space=configuration,
        mode="max",
        metric="val_accuracy",
        updater="ER",
        chunk_id=0,
        config_file=str(Path(__file__).parents[1] / "train_mlp_locally" / "renate_config.py"),
        output_state_url=f"{bucket}/first_model",
        backend="sagemaker",
        role=role,
        instance_type="ml.m5.xlarge",
        job_name="renate-example",
    )
