"""What an update costs besides time."""

from pathlib import Path

import torch

from renate.state.manifest import Manifest

STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")
PEAK = "VmHWM:"
FORGET_PEAK = "5"  # what Linux is told to begin its count of the peak anew


def begin_peak(device: torch.device) -> None:
    """Count the peak of memory from here on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return

    try:
        CLEAR.write_text(FORGET_PEAK)
    except OSError:  # the peak is that of the process then
        return


def peak_memory(device: torch.device) -> dict[str, float]:
    """Return `peak_memory_bytes`: what torch had at most on a GPU, or else what the process had,
    since `begin_peak`; nothing where the system doesn't say.
    """
    if device.type == "cuda":
        return {"peak_memory_bytes": float(torch.cuda.max_memory_allocated(device))}

    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return {}

    for line in lines:
        if line.startswith(PEAK):  # "VmHWM:     1234 kB"
            return {"peak_memory_bytes": float(line.split()[1]) * 1024}
    return {}


def state_size(manifest: Manifest | None) -> dict[str, float]:
    """Return `state_bytes`, the size of all files of a version; nothing where there is none."""
    if manifest is None:
        return {}
    return {"state_bytes": float(sum(blob.size for blob in manifest.files.values()))}
