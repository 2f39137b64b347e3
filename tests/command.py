"""Run the command as a user would."""

import os
import subprocess
import sys
from pathlib import Path

RENATE = [sys.executable, "-m", "renate"]


def renate(
    *arguments: str, cwd: Path, code: int | None = 0, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `renate …` in a folder; `code` is the exit status to expect."""
    done = subprocess.run(
        [*RENATE, *arguments], cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=timeout
    )
    assert code is None or done.returncode == code, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done


def workers(folder: Path) -> list[int]:
    """Processes whose working directory is below a folder and that serve jobs."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            if b"renate.jobs" in command and (entry / "cwd").resolve().is_relative_to(folder):
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found
