"""What a command and its processes take of memory that can't be dropped: no pages of files."""

import subprocess
import sys
import time
from pathlib import Path

KINDS = ("RssAnon:", "RssShmem:")


def peak_of(arguments: list[str], cwd: Path) -> tuple[int, str]:
    """Run `renate` in a process of its own; return the most bytes that it and its children have
    held together, and what it printed.
    """
    command = [sys.executable, "-m", "renate", *arguments]
    log = cwd / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(command, cwd=cwd, stdout=stream, stderr=stream)
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(_held(pid) for pid in _below(process.pid)))
            time.sleep(0.02)

    said = log.read_text()
    assert process.returncode == 0, said
    return peak, said


def _below(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _below(int(child))
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        pass

    return found


def _held(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0

    found = [line.split() for line in lines if line.startswith(KINDS)]
    return sum(int(words[1]) for words in found) * 1024
