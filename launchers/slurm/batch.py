"""A job's batch script, and the options that it is submitted with."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renate.errors import ConfigError
from renate.jobs.identity.data_files import is_local

from ..composing.checks.backend import check_entries, check_list
from ..composing.checks.kinds import (
    AMOUNT,
    COUNT,
    COUNT_OR_NONE,
    Flag,
    Number,
    Setting,
    Text,
    check_kinds,
)
from ..remote.machine import WORKING_COPY

# The job's own program gets one SIGTERM, whoever sends it: then it keeps a checkpoint and ends.
# `wait` is interrupted by a signal, so it is asked until there is nothing to wait for.
SCRIPT = """#!/bin/bash
# {title}
cd {folder} || exit 1
again=
child=
waits=
# A signal may come before it is known which process to tell
tell() {{ waits=1; if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null; waits=; fi; }}
trap 'again=1; tell' USR1
trap tell TERM

{command} &
child=$!
if [ -n "$waits" ]; then tell; fi
while kill -0 "$child" 2>/dev/null; do wait "$child"; done
wait "$child"
code=$?

if [ -n "$again" ] && [ "$code" -ne 0 ]; then
  echo "renate: its time is up, the job is queued again"
  own=$SLURM_JOB_ID
  # One task of an array has the array's own number: by that all of them would be queued again
  if [ -n "$SLURM_ARRAY_JOB_ID" ]; then own=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID; fi
  scontrol requeue "$own" && sleep 60
fi
exit "$code"
"""
# Of the job's nodes, in the order of their tasks: as SLURM itself reaches them, whatever their
# names mean on the network
ADDRESSES = (
    'scontrol show node "$SLURM_JOB_NODELIST" --oneliner '
    "| sed -n 's/.* NodeAddr=\\([^ ]*\\).*/\\1/p' | paste -sd,"
)
# Minutes, minutes:seconds, hours:minutes:seconds, and days-hours with either; or no limit at all
TIME = r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}|(?i:infinite|unlimited)"
FIRST_PORT = 20_000  # of those by which the nodes of a job find each other
PORTS = 20_000
# Options that the launcher gives itself, and the key that says them
GIVEN = {
    "partition": "backend.partition",
    "time": "backend.time",
    "nodes": "backend.nodes",
    "ntasks-per-node": "backend.nodes",
    "cpus-per-task": "backend.cpus_per_node",
    "gpus-per-node": "backend.gpus_per_node",
    "mem": "backend.memory_gb",
    "requeue": "backend.requeue",
    "no-requeue": "backend.requeue",
    "signal": "backend.grace",
    "job-name": "",
    "comment": "",
    "output": "",
    "open-mode": "",
    "parsable": "",
    "array": "backend.arrays",
    "wait": "backend.wait",
}

# What a bare 30:00 is to YAML: a number of seconds, 1800, which sbatch would take for minutes
LIKE_A_CLOCK = 60


@dataclass(frozen=True)
class Time(Setting):
    """A limit of time as sbatch has it."""

    def fits(self, value: Any) -> bool:
        """See the base."""
        if isinstance(value, int) and not isinstance(value, bool):
            return 0 < value < LIKE_A_CLOCK
        return isinstance(value, str) and re.fullmatch(TIME, value) is not None

    def expected(self) -> str:
        """See the base."""
        return (
            'minutes below 60, or in quotes what sbatch takes ("90" minutes, "12:00:00", "2-12" '
            "days and hours), which without them may be to YAML a number of seconds"
        )

    def hint(self, value: Any) -> str:
        """See the base: how a shell leaves the quotes where they are."""
        if isinstance(value, bool) or not isinstance(value, int) or value < LIKE_A_CLOCK:
            return ""
        return f"; for {value} minutes on the command line: 'backend.time=\"{value}\"'"


SETTINGS: dict[str, Setting] = {
    "partition": Text(optional=True),
    "time": Time(optional=True),
    "nodes": COUNT,
    "cpus_per_node": Number(1, whole=True, optional=True),
    "gpus_per_node": COUNT_OR_NONE,
    "memory_gb": Number(above=True, optional=True),
    "requeue": Flag(),
    "arrays": Flag(),
    "grace": COUNT_OR_NONE,
    "working_copy": WORKING_COPY,
    "staging": Text(optional=True),
    "python": Text(optional=True),
    "max_code_mb": AMOUNT,
}


def script_of(
    *,
    title: str,
    folder: Path,
    python: str,
    program: str,
    channel: Path,
    directory: Path,
    name: str,
    nodes: int,
) -> str:
    """The script.

    Args:
        title: What the job is, for whoever reads the script.
        folder: Where it runs.
        python: The interpreter.
        program: `run_job` or `run_sweep`.
        channel: What the job is given.
        directory: Where its files go; it goes on from what an interrupted run left there.
        name: The submission's.
        nodes: How many train together.
    """
    module = f"renate.launchers.remote.inside.{program}"
    words = [python, "-u", "-m", module, str(channel)]
    command = shlex.join([*words, str(directory), "--run", name])

    if nodes > 1:
        each = shlex.join(words)
        own = f'{shlex.quote(str(directory))}/"$SLURM_PROCID"'
        hosts = '--hosts "$hosts" --host "$SLURM_PROCID" --port "$port"'
        run = f"exec {each} {own} --run {shlex.quote(name)} {hosts}"
        command = (
            f"export hosts=$({ADDRESSES})\n"
            f"export port=$(({FIRST_PORT} + SLURM_JOB_ID % {PORTS}))\n"
            f"srun --kill-on-bad-exit=1 bash -c {shlex.quote(run)}"
        )

    shown = " ".join(title.split())
    return SCRIPT.format(title=shown, folder=shlex.quote(str(folder)), command=command)


def options_of(
    settings: Any, *, name: str, place: Path, comment: str, tasks: bool = False
) -> list[str]:
    """The options of sbatch's for one job, or for an array.

    Args:
        settings: The group backend.
        name: The submission's, or the array's.
        place: Its own folder.
        comment: By which it is known to be ours, and where its folder lies.
        tasks: Whether it is an array, whose tasks' folders lie in its own.
    """
    output = str(place).replace("%", "%%")  # to sbatch, what follows a % stands for something
    if tasks:
        output += "/%a"

    found = {
        "job-name": name,
        "comment": comment,
        "output": f"{output}/output.txt",
        "open-mode": "append",  # a job that was queued again goes on with its log
        "nodes": settings.nodes,
        "ntasks-per-node": 1,
        "partition": settings.partition,
        "time": settings.time,
        "cpus-per-task": settings.cpus_per_node,
        "gpus-per-node": settings.gpus_per_node or None,
        "mem": None if settings.memory_gb is None else f"{round(settings.memory_gb * 1024)}M",
        "signal": f"B:USR1@{settings.grace}" if settings.requeue and settings.grace else None,
    }
    words = [f"--{key}={value}" for key, value in found.items() if value is not None]
    words.append("--requeue" if settings.requeue else "--no-requeue")
    for key, value in settings.sbatch.items():
        words.append(f"--{key}" if value is True else f"--{key}={value}")

    return words


def check_options(settings: Any) -> None:
    """Raises ConfigError for settings that can't be right, whatever the cluster."""
    check_kinds(settings, SETTINGS)
    check_entries(settings, "sbatch", flags=True)
    check_list(settings, "source_dirs")
    if not is_local(str(settings.staging)):
        raise ConfigError(
            f"backend.staging={settings.staging}: expected a folder that nodes see, not an object "
            "store"
        )

    for option in settings.sbatch:
        plain = str(option).lstrip("-").replace("_", "-")
        if plain != option:
            raise ConfigError(
                f"backend.sbatch.{option}: expected an option as sbatch spells it: {plain}"
            )
        if option in GIVEN:
            instead = GIVEN[option] or "it is set by the launcher"
            raise ConfigError(f"backend.sbatch.{option}: {instead}")
