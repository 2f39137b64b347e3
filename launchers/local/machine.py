"""What this machine has: cores and GPUs, found without torch."""

import os
import shutil
import subprocess
from typing import Any

from renate.errors import ConfigError


def cores() -> int:
    """Cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Ids of the GPUs that this process may use."""
    named: Any = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu for gpu in named.split(",") if gpu]
    if shutil.which("nvidia-smi") is None:
        return []

    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)

    return [str(i) for i, line in enumerate(listed.stdout.splitlines()) if line.startswith("GPU")]


def deal_gpus(workers: int, per_job: int | None) -> list[dict[str, str]]:
    """Return the environment that gives each worker its share of the GPUs.

    Raises:
        ConfigError: There are fewer than `workers × per_job`.
    """
    if per_job is None and workers == 1:
        return [{}]

    found = visible_gpus()
    if per_job is not None and per_job * workers > len(found):
        raise ConfigError(
            f"backend.gpus_per_job={per_job} with backend.workers={workers} needs "
            f"{per_job * workers} GPUs, this machine has {len(found)}"
        )

    if not found:
        return [{}] * workers

    share = per_job if per_job is not None else max(1, len(found) // workers)
    dealt: list[dict[str, str]] = []
    for slot in range(workers):
        mine = [found[(slot * share + k) % len(found)] for k in range(share)]
        dealt.append({"CUDA_VISIBLE_DEVICES": ",".join(mine)})

    return dealt
