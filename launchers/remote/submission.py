"""A job is submitted once, whoever gives its command, wherever, and however often."""

import time
from collections.abc import Callable

from renate.errors import JobError, RenateError
from renate.jobs.identity.already import is_gone

from .backend import PreparedJob, RemoteBackend
from .job_folder import Attempt

KNOWN_WITHIN = 30.0  # seconds from writing a submission down to the backend's knowing it, at most
NAMES = 2  # names to try; each is unique by itself


def submit_once(
    backend: RemoteBackend, prepared: PreparedJob, say: Callable[[str], None]
) -> tuple[str, bool]:
    """Submit a job, unless that was done.

    Args:
        backend: Where it runs.
        prepared: The job.
        say: Is told what was found or done.

    Returns:
        The name of the submission that does this job, and whether it has done so already.

    Raises:
        RenateError: The backend or the object store refuses.
    """
    folder = prepared.upload.folder
    last = folder.last()

    if last is not None and not last.withdrawn:
        found = _known(backend, prepared, last, say)
        if found is not None:
            return found

    if not prepared.job.config.resume:
        folder.forget_checkpoints()

    backend.send(prepared)

    try:
        name = _submit(backend, prepared, last.number + 1 if last else 1)
    except FileExistsError:  # the same command, elsewhere, at this moment
        return submit_once(backend, prepared, say)

    say(f"submitted as {name}")

    return name, False


def _submit(backend: RemoteBackend, prepared: PreparedJob, first: int) -> str:
    """Submit a job under a name of its own, which its folder keeps; return the name.

    Args:
        backend: Where it runs.
        prepared: The job.
        first: The submission's number.

    Raises:
        FileExistsError: Another command took that number.
        RenateError: The backend or the object store refuses.
    """
    folder = prepared.upload.folder
    name = ""

    for number in range(first, first + NAMES):
        name = backend.new_name()
        folder.claim(number, name)

        try:
            created = backend.create(name, prepared)
        except RenateError:
            folder.withdraw(number, name)
            raise

        if created:
            return name

        folder.withdraw(number, name)

    raise JobError(f"{backend.named_by}{name} is taken, as another name was")


def _known(
    backend: RemoteBackend, prepared: PreparedJob, last: Attempt, say: Callable[[str], None]
) -> tuple[str, bool] | None:
    """An earlier submission that still runs, or that has completed."""
    resume = prepared.job.config.resume
    result = prepared.upload.folder.result(last.name)

    if result is not None:  # the backend may still be tidying up after it
        if not resume or not result.completed:
            return None
        if "://" in str(result.url) and is_gone(result, prepared.job.id):
            say(
                f"finished earlier, as {last.name}, but version {result.version} is no longer in "
                f"{result.url}: it runs again"
            )
            return None
        say(f"finished earlier, as {last.name} (resume=false runs it again)")
        return last.name, True

    began = time.monotonic()
    found = backend.look(last.name, prepared.upload)
    while found is None and last.seconds + time.monotonic() - began < KNOWN_WITHIN:
        time.sleep(1)
        found = backend.look(last.name, prepared.upload)

    if found is None or not found.running:
        return None
    if not resume:
        raise JobError(f"this very job is running already, as {last.name}: resume=true follows it")

    say(f"running already, as {last.name}")

    return last.name, False
