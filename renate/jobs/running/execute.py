"""Run a job directory: config in, result out, whatever happens in between."""

import importlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from renate.errors import ConfigError, JobError, RenateError, nearest
from renate.fitting.trainer import device_of
from renate.jobs.config_yaml import load
from renate.jobs.context import Job
from renate.jobs.directory import JobDirectory, Json, Stopped, describe
from renate.jobs.passed_objects.loaded import reading_from
from renate.jobs.records import COMPLETED, STOPPED, JobResult
from renate.jobs.running.torchrun import failed
from renate.ranks import ALONE, Ranks, is_lost

JOBS = {
    "update": "renate.jobs.update",
    "stream": "renate.jobs.stream",
    "evaluate": "renate.jobs.evaluate",
    "predict": "renate.jobs.predict",
    "detect": "renate.jobs.detecting.detect",
    "simulate": "renate.jobs.simulating.simulate",
}


def execute(
    path: Path, emit: Callable[[Json], None] = lambda event: None, ranks: Ranks = ALONE
) -> JobResult:
    """Run the job in a directory and write its result.json; never raises for what the job does.

    Of several processes the first one writes the result. Each that fails leaves word of why
    (`renate.jobs.running.torchrun`), and the result is left to whoever started them where the first
    was but the victim of another's end.

    Returns:
        The result; `lost` where another process's end is the cause, and none was written.
    """
    # Its greetings say nothing about the job
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    directory = JobDirectory(path)
    began = time.monotonic()

    try:
        with directory.alone() if ranks.first else nullcontext():
            lost = False
            try:
                result = JobResult(COMPLETED, **_run(directory, emit, ranks))
            except Stopped:
                result = JobResult(STOPPED)
            except RenateError as error:
                result = JobResult.failure(describe(error))
                _leave_traceback(path / "traceback.txt")
            except Exception as error:  # the job's own code may raise anything; its result says so
                where = path / "traceback.txt"
                lost = not ranks.alone and is_lost(error)
                if not lost:
                    _leave_traceback(where)
                result = JobResult.failure(f"{_own_line(error)} (traceback: {where})")

            result = replace(result, lost=lost, seconds=round(time.monotonic() - began, 3))
            if not ranks.alone and result.failed:
                failed(directory, ranks.rank, result.reason, lost=lost)
            if ranks.first and not lost:
                result = directory.finish(result)
    except JobError as error:
        return JobResult.failure(str(error))

    return result


def _run(directory: JobDirectory, emit: Callable[[Json], None], ranks: Ranks) -> Json:
    saved = (directory.path / "config.yaml").read_text()
    plain: Any = load(saved)
    if "${" in saved:  # what comes from the environment, which no saved config holds
        plain = OmegaConf.to_container(OmegaConf.create(plain), resolve=True)

    name = plain["job"]["name"]
    if name not in JOBS:
        raise ConfigError(f"job.name={name}: no such job{nearest(name, JOBS)} ({', '.join(JOBS)})")

    ranks.connect(device_of(plain["trainer"]).type)
    job = Job(plain, saved, directory, directory.record, emit, ranks=ranks)
    with reading_from(plain["run_dir"]):
        outcome: Json = importlib.import_module(JOBS[name]).run(job)

    return outcome


def _leave_traceback(path: Path) -> None:
    """Write the traceback if that can be; what the job died of is said in any case."""
    with suppress(OSError):
        path.write_text(traceback.format_exc(), errors="backslashreplace")


def _own_line(error: Exception) -> str:
    """The error, and the last line of the user's code (not of an installed package) that led to
    it.
    """
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename
    ]
    ours = str(Path(__file__).parents[2])
    installed = (ours, sys.prefix, str(Path(os.__file__).parent), "<frozen")
    users = [f for f in frames if not f.filename.startswith(installed)]
    where = ""
    if users:
        where = f" ({Path(users[-1].filename).name}:{users[-1].lineno}: {users[-1].line})"

    text = describe(error)
    if text == type(error).__name__:
        text = "no message"

    return f"{type(error).__name__}: {text}{where}"
