"""The names of Renate's that config files and scripts refer to: constants, and where files lie.

What a call falls back on stands in conf/compat/job.yaml: `BATCH_SIZE` is its `batch_size`.
"""

from typing import Any

SEED = 0
TASK_ID = "default_task"
CHUNK_ID = None
VALIDATION_SIZE = 0.0
WORKING_DIRECTORY = "renate_working_dir"


def __getattr__(name: str) -> Any:
    """What a call falls back on, by Renate's name for it."""
    from renate.build import shipped

    values = shipped("compat", "job")
    if name.isupper() and name.lower() in values:
        return values[name.lower()]
    raise AttributeError(f"module 'renate.defaults' has no attribute '{name}'")


def data_folder(working_directory: str) -> str:
    """Where data modules of a working directory put their data."""
    return _within(working_directory, "data")


def current_state_folder(state_url: str) -> str:
    """Where a state's files are: where the call was told to put it."""
    return state_url


def input_state_folder(state_url: str) -> str:
    """The same under its later name."""
    return state_url


def output_state_folder(state_url: str) -> str:
    """The same of an outcome."""
    return state_url


def model_file(state_folder: str) -> str:
    """The weights that `model_fn` loads, within a state's folder or URL."""
    return _within(state_folder, "model.ckpt")


def hpo_file(state_folder: str) -> str:
    """The trials, within a state's folder or URL."""
    return _within(state_folder, "hpo.csv")


def metric_summary_file(logs_folder: str, special_str: str = "") -> str:
    """A table of an experiment, within its folder of logs."""
    return _within(logs_folder, f"metrics_summary{special_str}.csv")


def logs_folder(outputs_url: str) -> str:
    """The tables of an experiment, within its outputs."""
    return _within(outputs_url, "logs")


def _within(place: str, name: str) -> str:
    return f"{str(place).rstrip('/')}/{name}"
