"""Objects of the calling process on their way into a job: `renate.run(model=…, data=…)`.

They travel as pickles inside the user's own run directory and never enter a state. What names them
stands here, and loads no torch: configs, states and launchers tell such an object by its
`_target_`.
"""

import re
from pathlib import Path

FOLDER = "live"  # within the run directory, whose layout outlives releases
ELSEWHERE = "RENATE_PASSED_OBJECTS"  # an environment variable: where they lie on another machine
FILE = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.pkl")  # what it is, its bytes

MODEL = "renate.jobs.passed_objects.loaded.PassedModel"
DATASET = "renate.jobs.passed_objects.loaded.PassedDataset"
# As states and configs of earlier releases name them
EARLIER = {"renate.jobs.live.LiveModel": MODEL, "renate.jobs.live.LiveDataset": DATASET}


def is_model(target: str) -> bool:
    """Whether a `_target_` stands for a network that was passed."""
    return EARLIER.get(target, target) == MODEL


def is_passed(target: str) -> bool:
    """Whether a `_target_` stands for any object that was passed."""
    return EARLIER.get(target, target) in (MODEL, DATASET)


def folder_of(run_dir: Path) -> Path:
    """Where the objects of a run directory's jobs lie."""
    return run_dir / FOLDER
