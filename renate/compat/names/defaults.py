"""The constants of Renate's that config files and scripts refer to.

What a call falls back on stands in conf/compat/job.yaml; these are names alone.
"""

SEED = 0
TASK_ID = "default_task"
CHUNK_ID = None
WORKING_DIRECTORY = "renate_working_dir"
