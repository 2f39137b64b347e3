"""Moving an alias to a version by hand."""

import getpass
import time
from contextlib import suppress
from uuid import uuid4

from renate.errors import ConflictError, StateError, nearest
from renate.state.aliases.log import (
    LONGEST_NOTE,
    Move,
    doomed_versions,
    find_move,
    last_move,
    last_moves,
    move_key,
    note_intent,
)
from renate.state.aliases.standing import CANDIDATE, CURRENT, standing
from renate.state.manifest import now
from renate.state.pins import NAME, pins
from renate.state.versions import JOB, LATEST, State

ATTEMPTS = 20
RESERVED = ("intent-", "doomed-", JOB)


def move_alias(state: State, alias: str, version: int, *, note: str = "") -> Move:
    """Let an alias name a version, by one create-if-absent; who does so, and why, is kept.

    Raises:
        StateError: It is no name for an alias, or a note of several lines.
        NoVersionError, GoneError: There is no such version, or gc is about to remove it.
        ConflictError: Somebody else has moved the alias meanwhile; nothing was changed.
    """
    _check_name(state, alias)
    _check_note(note)
    before = last_move(state, alias)
    state.manifest(version)
    intent = note_intent(state, version)
    try:
        if version in doomed_versions(state):
            raise StateError(
                f"{state.url}: gc is removing version {version}; if it isn't running any more, "
                "renate state gc clears up within a day: promote another version"
            )

        state.manifest(version)
        made = _made(state, before, alias, version, note)
    finally:
        with suppress(StateError):
            state.store.delete([intent])

    if alias == CURRENT:
        _check_in_use(state, version)

    return made


def take_away(state: State, alias: str, *, note: str = "") -> Move:
    """Take an alias of the user's own away; the version stays.

    Raises:
        StateError: There is no such alias, or a state can't be without it.
        ConflictError: Somebody else has moved it meanwhile; nothing was changed.
    """
    found = last_moves(state)
    names = [name for name, move in found.items() if move.version is not None]
    if alias in (CURRENT, CANDIDATE):
        raise StateError(f"'{alias}' can't be taken away: renate state promote moves it")
    if alias not in names:
        there = f"there is {', '.join(names) or 'none'}{nearest(alias, names)}"
        raise StateError(f"{state.url}: no alias '{alias}', {there}")

    _check_note(note)
    return _made(state, found[alias], alias, None, note)


def _made(state: State, before: Move | None, alias: str, version: int | None, note: str) -> Move:
    number = before.number + 1 if before else 1
    newest = (state.numbers() or [0])[-1]
    move = Move(alias, number, version, newest, _user(), note, now(), uuid4().hex)
    for attempt in range(ATTEMPTS):
        try:
            state.store.create(move_key(alias, number), move.encode())
        except FileExistsError:
            winner = find_move(state, alias, number)
            if winner is None:  # S3 says so while another attempt, which may fail, is under way
                time.sleep(0.05 * attempt)
                continue
            if winner.writer != move.writer:  # else an earlier try of ours got through
                where = f"moved to version {winner.version}"
                if winner.version is None:
                    where = "taken away"
                raise ConflictError(
                    f"{state.url}: '{alias}' was {where} by {winner.by} meanwhile: look at it, "
                    "then move it again"
                ) from None
            state.store.sync("aliases")
        return move

    raise StateError(
        f"{state.url}: can't create move {number} of '{alias}' though there is none; try again"
    )


def _check_in_use(state: State, version: int) -> None:
    """An update that was published at this very moment may have come after the move."""
    used = standing(state).current
    if used is None or used.version != version:
        raise ConflictError(
            f"{state.url}: {used} was published, or promoted, meanwhile and is in use: look at it, "
            "then promote again"
        )


def _check_name(state: State, alias: str) -> None:
    fits = NAME.fullmatch(alias) is not None and not alias.isdecimal()
    if not fits or alias in (LATEST, CANDIDATE) or alias.startswith(RESERVED):
        raise StateError(
            f"'{alias}' is no name for an alias: expected letters, digits, '.', '_' and '-', not "
            f"digits alone, not '{LATEST}' nor '{CANDIDATE}', not beginning with "
            f"{' or '.join(RESERVED)}"
        )
    if alias in pins(state):
        raise StateError(
            f"{state.url}: '{alias}' is a pin: renate state unpin {state.url} {alias} first"
        )


def _check_note(note: str) -> None:
    if not note.isprintable() or len(note) > LONGEST_NOTE:
        raise StateError(
            f"--note={note!r}: expected one line of at most {LONGEST_NOTE} printable characters"
        )


def _user() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may have no user of this number
        return "unknown"
    return name if name.isprintable() and len(name) <= 200 else "unknown"
