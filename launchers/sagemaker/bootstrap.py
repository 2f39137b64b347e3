"""The container's process number one; nothing but the standard library, since nothing is installed yet.

Unpacks the code, installs what the image lacks of what it needs, runs the job in a group of its own, passes SIGTERM on
to it, and leaves the last words of a failure where the service looks for them.
"""

import collections
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

ML = "/opt/ml"
CHANNEL, SOURCE = f"{ML}/input/data/job", f"{ML}/input/data/source/source.tar.gz"
CODE, CHECKPOINTS, FAILURE = f"{ML}/code", f"{ML}/checkpoints", f"{ML}/output/failure"
WORDS = 960  # characters; the service shows 1024, of which it takes some for itself
TORCH = ("torch", "torchvision", "torchaudio", "torchtext", "torchdata", "triton")  # the image's own builds, for its GPU
PORT = 7777


class SetupError(Exception):
    """The job could not begin."""


def say(text):
    print(f"renate: {text}", flush=True)


def unpack():
    os.makedirs(CODE, exist_ok=True)
    with tarfile.open(SOURCE) as archive:
        archive.extractall(CODE, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(CODE)
    sys.path.insert(0, CODE)


def version_of(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def lacking():
    """What the package needs and this image lacks, as pip takes it.

    Raises:
        SetupError: Its torch is too old; that is the one package that must be the image's.
    """
    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement
    found = []
    for line in metadata.requires("renate-cl") or []:
        need = Requirement(line)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        there = version_of(need.name)
        if there is not None and need.specifier.contains(there.split("+")[0], prereleases=True):
            continue
        if need.name in TORCH:
            raise SetupError(f"the image has {need.name} {there}, renate needs {need}: backend.image=… names another")
        found.append(str(need).split(";")[0])
    return found


def install(wanted, files):
    """pip, kept away from the image's torch."""
    if not wanted and not files:
        return
    keep = f"{CODE}/.constraints.txt"
    with open(keep, "w") as file:  # by metadata: pip freeze may print `torch @ file:…`
        file.writelines(f"{name}=={version_of(name).split('+')[0]}\n" for name in TORCH if version_of(name))
    say("installing " + " ".join([*wanted, *(f"-r {os.path.basename(path)}" for path in files)]))
    options = [word for path in files for word in ("-r", path)]
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--root-user-action=ignore"]
    done = subprocess.run([*command, "-c", keep, *options, *wanted], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    words = done.stdout.decode("utf-8", "replace")
    print(words, end="", flush=True)
    if done.returncode:
        raise SetupError(f"installing packages failed, pip's exit code {done.returncode}: {words[-700:]}")


def hosts():
    """(this machine's name, all names in the order of their ranks)."""
    with open(f"{ML}/input/config/resourceconfig.json") as file:
        found = json.load(file)
    return found["current_host"], sorted(found["hosts"], key=lambda name: [int(n) for n in re.findall(r"\d+", name)])


def command():
    me, every = hosts()
    run = os.environ.get("TRAINING_JOB_NAME", "run")
    return [sys.executable, "-m", "renate.jobs.remote", CHANNEL, f"{CHECKPOINTS}/{me}", run]


def supervise(words):
    """Run the job; returns its exit code as a shell would say it, and whether this process was told to end."""
    path = os.pathsep.join([CODE, *filter(None, [os.environ.get("PYTHONPATH")])])
    child = subprocess.Popen(
        command(),
        cwd=CODE,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    told = []

    def pass_on(number, frame):
        told.append(number)
        try:
            os.killpg(child.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass

    signal.signal(signal.SIGTERM, pass_on)

    def pump():
        for line in child.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            words.append(line.decode("utf-8", "replace"))

    reader = threading.Thread(target=pump, daemon=True)
    reader.start()
    while True:  # process number one also buries what others leave
        pid, status = os.waitpid(-1, 0)
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            break
    reader.join(5)
    return (code if code >= 0 else 128 - code), bool(told)


def explain(words):
    """The last words: an error in one line where there is one, else the end of the output."""
    text = "".join(words)
    lines = [line for line in text.splitlines() if line.startswith("renate: ")]
    return lines[-1] if lines else text


def main():
    words = collections.deque(maxlen=60)
    told = False
    try:
        unpack()
        install(lacking(), [path for path in [f"{CHANNEL}/requirements.txt"] if os.path.exists(path)])
        code, told = supervise(words)
        why = explain(words)
    except SetupError as error:
        code, why = 1, str(error)
        say(why)
    except Exception:
        code, why = 1, traceback.format_exc()
        print(why, flush=True)
    if code and not told:
        os.makedirs(os.path.dirname(FAILURE), exist_ok=True)
        with open(FAILURE, "w") as file:
            file.write(why.strip()[-WORDS:])
    return code


if __name__ == "__main__":
    sys.exit(main())
