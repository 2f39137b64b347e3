"""What is asked of SLURM, by its own commands: they are on every cluster, whatever its version.

Without accounting SLURM forgets a job minutes after its end (`MinJobAge`), so what a job came to is
read from its folder, and SLURM is asked only whether it may still do something.
"""

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from renate.errors import ConfigError, JobError

OURS = "renate"  # how the comment of each job of ours begins
ARRAY = "renate-array"  # how that of several begins which are tasks of one array
UNKNOWN = ("Invalid job id", "not found")  # of a job, of an array's task
ANSWER_WITHIN = 60.0  # seconds; slurmctld itself gives up sooner
# A job that may yet do something; all other states are ends.
ALIVE = {
    "PENDING",
    "CONFIGURING",
    "RUNNING",
    "COMPLETING",
    "SUSPENDED",
    "STOPPED",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "SPECIAL_EXIT",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
}
LISTED = "%i|%j|%T|%V|%r|%k"  # id, name, state, when it was submitted, reason, comment


class SlurmError(JobError):
    """SLURM refuses, or doesn't answer."""


@dataclass(frozen=True)
class SlurmJob:
    """A job as SLURM has it.

    Attributes:
        id: SLURM's number; `<array>_<index>` of an array's task.
        name: Ours; of an array's task its array's, until its folder says which job it is.
        state: As `squeue` spells it, RUNNING.
        reason: Why it isn't running yet, or has ended; may be empty.
        restarts: How often it was queued again.
        submitted: When, as SLURM writes it; empty where that wasn't asked for.
        place: Our id of the job and the URL that its folder lies below; empty of others' jobs. Of
            an array's task the id is empty, until its folder says it.
        exit_code: Of its script, where it has ended and that was asked for.
    """

    id: str
    name: str
    state: str
    reason: str = ""
    restarts: int = 0
    submitted: str = ""
    place: tuple[str, str] = ("", "")
    exit_code: int = 0

    @property
    def alive(self) -> bool:
        """Whether it may still do something."""
        return self.state in ALIVE

    @property
    def index(self) -> str:
        """An array's task: which one; else empty."""
        return self.id.partition("_")[2]


def check_commands() -> None:
    """Raises ConfigError where this machine can't submit."""
    lacking = [name for name in ("sbatch", "scontrol", "scancel", "squeue") if not _found(name)]
    if lacking:
        raise ConfigError(
            f"backend=slurm: {', '.join(lacking)} not found on this machine's PATH: give the "
            "command on a login node of the cluster"
        )


def submit(options: Sequence[str], script: str, environment: Mapping[str, str]) -> str:
    """Queue a batch script; return SLURM's number.

    Raises:
        SlurmError: It refuses.
    """
    said = _asked("sbatch", "--parsable", *options, script=script, environment=environment)
    number = said.strip().partition(";")[0]  # the cluster's name may follow
    if not number.isdecimal():
        raise SlurmError(f"sbatch says {said.strip()[:200]!r}: expected the number of a job")
    return number


def job(number: str) -> SlurmJob | None:
    """A job; None once SLURM knows of none of that number.

    Raises:
        SlurmError: It doesn't answer.
    """
    try:
        said = _asked("scontrol", "show", "job", number, "--oneliner")
    except SlurmError as error:
        if any(text in str(error) for text in UNKNOWN):
            return None
        raise

    fields = dict(part.partition("=")[::2] for part in said.split())
    return SlurmJob(
        number,
        fields["JobName"],
        fields["JobState"],
        fields.get("Reason", "").replace("None", ""),
        int(fields.get("Restarts", 0)),
        exit_code=int(fields.get("ExitCode", "0").partition(":")[0]),
    )


def jobs() -> Iterator[SlurmJob]:
    """This user's jobs that are ours and that SLURM still knows, the newest first.

    Raises:
        SlurmError: It doesn't answer.
    """
    which = ("--me", "--array", "--states=all", "--sort=-i")
    said = _asked("squeue", *which, "--noheader", f"--format={LISTED}")
    for line in said.splitlines():
        fields = line.split("|", 5)
        if len(fields) < 6:  # another job's comment may have several lines
            continue

        number, name, state, submitted, reason, comment = fields
        kind, _, rest = comment.partition(" ")
        place = ("", rest)
        if kind == OURS:
            own_id, _, base = rest.partition(" ")
            place = (own_id, base)
        if kind in (OURS, ARRAY) and place[1]:
            reason = reason.replace("None", "")
            yield SlurmJob(number, name, state, reason, submitted=submitted, place=place)


def end(found: SlurmJob) -> None:
    """Ask a job to end: one that runs keeps a checkpoint, one that waits is taken off the queue.

    Raises:
        SlurmError: SLURM refuses.
    """
    how: Sequence[str] = ()
    if found.state == "RUNNING":
        how = ("--batch", "--signal=TERM")  # to the script alone, which passes it on once
    _asked("scancel", *how, found.id)


def _asked(
    command: str,
    *words: str,
    script: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    try:
        done = subprocess.run(
            [command, *words],
            input=script,
            env=environment,
            capture_output=True,
            text=True,
            timeout=ANSWER_WITHIN,
        )
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command}: no answer within {ANSWER_WITHIN:g} s") from None

    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise SlurmError(f"{command}: {said[0].removeprefix(f'{command}: error: ')[:300]}")
    return done.stdout


def _found(name: str) -> bool:
    return shutil.which(name) is not None
