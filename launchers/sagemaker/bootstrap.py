"""The container's process number one.

Nothing but the standard library, since nothing is installed yet.

Unpacks the code, installs what the image lacks of what it needs, runs the job in a group of its
own, passes SIGTERM on to it, and leaves the last words of a failure where the service looks for
them.
"""

import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import traceback
from importlib import metadata
from pathlib import Path
from typing import Any

ML = Path("/opt/ml")
CHANNEL = ML / "input/data/job"
SOURCE = ML / "input/data/source/source.tar.gz"
JOB = "renate.launchers.remote.inside.run_job"
SWEEP = "renate.launchers.remote.inside.run_sweep"
ORDER = "argv.json"  # in the channel of a job that is a whole sweep (remote/sweep.py)
CODE = ML / "code"
CHECKPOINTS = ML / "checkpoints"
FAILURE = ML / "output/failure"
WORDS = 960  # characters; the service shows 1024, of which it takes some for itself
# The image's builds, for its GPU.
TORCH = ("torch", "torchvision", "torchaudio", "torchtext", "torchdata", "triton")


class SetupError(Exception):
    """The job could not begin."""


def say(text: str) -> None:
    """Print a line of ours."""
    print(f"renate: {text}", flush=True)


def unpack() -> None:
    """Put the code where it can be imported."""
    CODE.mkdir(parents=True, exist_ok=True)
    with tarfile.open(SOURCE) as archive:
        archive.extractall(CODE, filter="data")
    sys.path.insert(0, str(CODE))


def version_of(name: str) -> str | None:
    """The version that the image has of a package; None where it has none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def requirement(line: str) -> Any:
    """A line of the package's metadata, parsed."""
    try:
        from packaging.requirements import Requirement
    except ImportError:  # pip brings its own
        from pip._vendor.packaging.requirements import Requirement  # type: ignore[assignment]
    return Requirement(line)


def lacking() -> list[str]:
    """What the package needs and this image lacks, as pip takes it.

    Raises:
        SetupError: Its torch is too old; that is the one package that must be the image's.
    """
    found = []
    for need in map(requirement, metadata.requires("renate-cl") or []):
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue

        there = version_of(need.name)
        if there is not None and need.specifier.contains(there.split("+")[0], prereleases=True):
            continue
        if need.name in TORCH:
            raise SetupError(
                f"the image has {need.name} {there}, renate needs {need}: backend.image=… names "
                "another"
            )

        found.append(str(need).split(";")[0])

    return found


def constraints() -> list[str]:
    """The image's own torch family; by metadata, since `pip freeze` may print `torch @ file:…`."""
    kept = {name: version_of(name) for name in TORCH}
    return [f"{name}=={version.split('+')[0]}" for name, version in kept.items() if version]


def install(wanted: list[str], requirements: Path) -> None:
    """Install what is lacking, and what the user asks for, by pip."""
    options = []
    if requirements.exists():
        options = ["-r", str(requirements)]

    if not wanted and not options:
        return

    keep = CODE / ".constraints.txt"
    keep.write_text("".join(f"{line}\n" for line in constraints()))
    say("installing " + " ".join([*wanted, *options[1:]]))
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
    ]
    done = subprocess.run(
        [*pip, "-c", str(keep), *options, *wanted], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    words = done.stdout.decode("utf-8", "replace")
    print(words, end="", flush=True)

    if done.returncode:
        raise SetupError(
            f"installing packages failed, pip's exit code {done.returncode}: {words[-700:]}"
        )


def command() -> list[str]:
    """The job, and what it must know of its machines: all of them in the order of their ranks,
    and which is this.
    """
    found = json.loads((ML / "input/config/resourceconfig.json").read_text())
    names = sorted(found["hosts"], key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
    me = found["current_host"]
    run = os.environ.get("TRAINING_JOB_NAME", "run")
    program = JOB
    if (CHANNEL / ORDER).exists():
        program = SWEEP

    # The checkpoints of all machines go to one place.
    words = [sys.executable, "-m", program, str(CHANNEL), str(CHECKPOINTS / me), "--run", run]
    if program == SWEEP:
        return words

    words += ["--hosts", ",".join(names), "--host", str(names.index(me))]

    return words + (["--interface", found["network_interface_name"]] if len(names) > 1 else [])


def supervise(words: "collections.deque[str]") -> tuple[int, bool]:
    """Run the job.

    Returns its exit code as a shell would say it, and whether this process was told to end.
    """
    path = os.pathsep.join([str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])])
    child = subprocess.Popen(
        command(),
        cwd=CODE,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    told: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        told.append(number)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, pass_on)

    def pump() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            words.append(line.decode("utf-8", "replace"))

    reader = threading.Thread(target=pump, daemon=True)
    reader.start()

    while True:  # process number one also buries what others leave
        pid, status = os.waitpid(-1, 0)
        if pid == child.pid:
            break

    reader.join(5)
    code = os.waitstatus_to_exitcode(status)

    return (code if code >= 0 else 128 - code), bool(told)


def last_words(words: "collections.deque[str]") -> str:
    """An error in one line where there is one, else the end of the output."""
    text = "".join(words)
    lines = [line for line in text.splitlines() if line.startswith("renate: ")]
    if lines:
        return lines[-1]
    return text


def main() -> int:
    """The program; returns its exit status."""
    words: collections.deque[str] = collections.deque(maxlen=60)
    told = False

    try:
        unpack()
        install(lacking(), CHANNEL / "requirements.txt")
        code, told = supervise(words)
        why = last_words(words)
    except SetupError as error:
        code = 1
        why = str(error)
        say(why)
    except Exception:
        code = 1
        why = traceback.format_exc()
        print(why, flush=True)

    if code and not told:
        FAILURE.parent.mkdir(parents=True, exist_ok=True)
        FAILURE.write_text(why.strip()[-WORDS:])

    return code


if __name__ == "__main__":
    sys.exit(main())
