"""Names that keep a version, or a job's candidate, from gc."""

import re

from renate.errors import GoneError, StateError, nearest
from renate.state.aliases.log import last_moves
from renate.state.manifest import FORMAT, strict_json
from renate.state.versions import JOB, LATEST, State

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def pin(state: State, name: str, version: int) -> None:
    """Keep a version from gc, under a name; moves the name if it is taken.

    Raises:
        NoVersionError, GoneError: There is no such version; the name stays where it was.
    """
    if not NAME.fullmatch(name) or name.isdecimal() or name == LATEST or name.startswith(JOB):
        raise StateError(
            f"'{name}' is no name for a pin: expected letters, digits, '.', '_' and '-', not "
            f"digits alone, not '{LATEST}', not beginning with '{JOB}'"
        )

    if name in ("current", "candidate") or name in last_moves(state):
        raise StateError(
            f"'{name}' is an alias: renate state promote {state.url} {version} --alias {name}"
        )

    state.manifest(version)
    before = state.held(name)
    _write(state, name, version)
    try:
        # Then a gc that hasn't seen the pin in time will bring the version back
        state.manifest(version)
    except GoneError:
        if isinstance(before, int):
            _write(state, name, before)
        else:
            state.store.delete([pin_key(name)])
        raise


def _write(state: State, name: str, version: int) -> None:
    state.store.replace(pin_key(name), strict_json({"format": FORMAT, "version": version}))


def unpin(state: State, name: str) -> None:
    """Take a pin away; the version itself stays until gc."""
    remove(state, name, name, list(pins(state)), "pin")


def pins(state: State) -> dict[str, int]:
    """The version of each pin, by name."""
    return {name: held for name, held in state.pinned().items() if isinstance(held, int)}


def job_key(job: str) -> str:
    """The key of the pin that keeps a job's candidate.

    Raises:
        StateError: It is no name for a job.
    """
    if not NAME.fullmatch(job):
        raise StateError(
            f"'{job}' is no name for a job: expected letters, digits, '.', '_' and '-'"
        )
    return pin_key(f"{JOB}{job}")


def pin_key(name: str) -> str:
    """The key of a pin."""
    return f"pins/{name}.json"


def remove(state: State, pin: str, name: str, names: list[str], what: str) -> None:
    """Take a pin away.

    Args:
        state: Whose.
        pin: Its name in the store.
        name: What it is called in messages.
        names: Those that there are.
        what: What kind of thing it keeps.

    Raises:
        StateError: There is none.
    """
    if name not in names:
        there = f"there is {', '.join(names) or 'none'}{nearest(name, names)}"
        raise StateError(f"{state.url}: no {what} '{name}', {there}")
    state.store.delete([pin_key(pin)])
