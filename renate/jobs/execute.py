"""Run a job directory: config in, result out, whatever happens in between."""

import importlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from renate.errors import ConfigError, JobError, RenateError, nearest
from renate.jobs.directory import JobDirectory, Json, Stopped
from renate.jobs.parts import Job
from renate.jobs.text import load

JOBS = ("update", "stream", "evaluate")


def execute(path: Path, emit: Callable[[Json], None] = lambda event: None) -> Json:
    """Run the job in a directory and write its result.json; never raises for what the job does.

    Returns:
        status (completed, failed, stopped), value (the objective as a float), metrics, before, url, version, error,
        seconds.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)  # its greetings say nothing about the job
    directory, began = JobDirectory(path), time.monotonic()
    empty: Json = {"value": None, "metrics": {}, "version": None}
    try:
        with directory.alone():
            try:
                result = empty | {"status": "completed"} | _run(directory, emit)
            except Stopped:
                result = empty | {"status": "stopped"}
            except RenateError as error:
                result = empty | {"status": "failed", "error": str(error)}
                (path / "traceback.txt").write_text(traceback.format_exc())
            except Exception as error:  # the job's own code may raise anything; its result says so
                where = path / "traceback.txt"
                where.write_text(traceback.format_exc())
                result = empty | {"status": "failed", "error": f"{_own_line(error)} (traceback: {where})"}
            result["seconds"] = round(time.monotonic() - began, 3)
            directory.finish(result)
    except JobError as error:
        return empty | {"status": "failed", "error": str(error)}
    return result


def _run(directory: JobDirectory, emit: Callable[[Json], None]) -> Json:
    saved = (directory.path / "config.yaml").read_text()
    plain: Any = load(saved)
    if "${" in saved:  # what comes from the environment, which no saved config holds
        plain = OmegaConf.to_container(OmegaConf.create(plain), resolve=True)
    name = plain["job"]["name"]
    if name not in JOBS:
        raise ConfigError(f"job.name={name}: no such job{nearest(name, JOBS)} ({', '.join(JOBS)})")
    job = Job(plain, saved, directory, directory.record, emit)
    outcome: Json = importlib.import_module(f"renate.jobs.{name}").run(job)
    return outcome


def _own_line(error: Exception) -> str:
    """The error, and the last line of the user's code (not of an installed package) that led to it."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "site-packages" not in f.filename]
    ours = str(Path(__file__).parents[1])
    installed = (ours, sys.prefix, str(Path(os.__file__).parent), "<frozen")
    users = [f for f in frames if not f.filename.startswith(installed)]
    where = f" ({Path(users[-1].filename).name}:{users[-1].lineno}: {users[-1].line})" if users else ""
    return f"{type(error).__name__}: {str(error).strip() or 'no message'}{where}"
