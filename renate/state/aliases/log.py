"""The log of an alias: each move is an object that is created if absent.

    aliases/<name>.<number>.json        the moves, from 1; the last one says where the alias is
    aliases/intent-<nonce>.json         somebody is about to move an alias to a version
    aliases/doomed-<version>-<nonce>    gc is about to remove a version

Whoever moves an alias writes its intent, then looks for doomed versions; gc marks what it dooms,
then looks for intents. Whichever comes second sees the other, so that an alias never names a
version that is gone, whatever is killed when. A killed mover leaves an intent, a killed gc a mark:
both are swept by the next gc once they are older than its grace.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from renate.errors import CorruptError
from renate.state.blobs import parallel
from renate.state.manifest import FORMAT, parse, strict_json
from renate.state.strict import mapping, text, whole
from renate.state.versions import State

FOLDER = "aliases"
MOVE = re.compile(rf"{FOLDER}/([A-Za-z0-9][A-Za-z0-9._-]*)\.([0-9]{{8,18}})\.json")
INTENT = re.compile(rf"{FOLDER}/intent-[0-9a-f]{{32}}\.json")
DOOMED = re.compile(rf"{FOLDER}/doomed-([0-9]{{8,18}})-[0-9a-f]{{32}}\.json")
LONGEST_NOTE = 1000
TRIES = 5


@dataclass(frozen=True)
class Move:
    """A move of an alias.

    Attributes:
        alias: Its name.
        number: The move's, from 1.
        version: Where the alias is since then; None: it was taken away.
        at: The newest version there was.
        by: Who moved it.
        note: Why; "" where nobody said.
        created: When, in ISO 8601, UTC.
        writer: Unique for each move: tells a lost answer of the store from a lost race.
    """

    alias: str
    number: int
    version: int | None
    at: int
    by: str
    note: str
    created: str
    writer: str

    def encode(self) -> bytes:
        """Return its object's bytes: JSON."""
        return strict_json({"format": FORMAT, **asdict(self)})


def move_key(alias: str, number: int) -> str:
    """Return where a move lies."""
    return f"{FOLDER}/{alias}.{number:08d}.json"


def last_moves(state: State) -> dict[str, Move]:
    """The last move of every alias, by its name; those that were taken away too."""
    numbers: dict[str, int] = {}
    for key in _keys(state):
        if match := MOVE.fullmatch(key):
            numbers[match[1]] = max(int(match[2]), numbers.get(match[1], 0))

    found = parallel(lambda each: _read(state, *each), numbers.items())
    return {move.alias: move for move in found}


def last_move(state: State, alias: str) -> Move | None:
    """The last move of one alias; None where there is none. One listing, one read."""
    numbers = _numbers(state, alias)
    if numbers:
        return _read(state, alias, numbers[-1])
    return None


def all_moves(state: State) -> list[Move]:
    """Every move of every alias, by alias and number."""
    found = [match for key in _keys(state) if (match := MOVE.fullmatch(key))]
    return parallel(lambda match: _read(state, match[1], int(match[2])), found)


def find_move(state: State, alias: str, number: int) -> Move | None:
    """A move; None where it can't be seen yet."""
    try:
        return _read(state, alias, number)
    except FileNotFoundError:
        return None


def named_versions(state: State) -> set[int]:
    """The versions that aliases name, and those that somebody is about to move one to."""
    for _ in range(TRIES):
        intents = [key for key in _keys(state) if INTENT.fullmatch(key)]
        try:
            # In this order: an intent is taken away when its move is there
            meant = parallel(lambda key: _version_in(state, key), intents)
        except FileNotFoundError:
            continue

        moves = last_moves(state).values()
        return {*meant, *(move.version for move in moves if move.version is not None)}

    raise CorruptError(f"{state.url}: {FOLDER}/ changes all the time: try again")


def note_intent(state: State, version: int) -> str:
    """Say that an alias is about to move to a version; returns the key to delete afterwards."""
    key = f"{FOLDER}/intent-{uuid4().hex}.json"
    state.store.create(key, strict_json({"format": FORMAT, "version": version}))
    return key


def note_doomed(state: State, versions: Iterable[int]) -> list[str]:
    """Say that versions are about to be removed; returns the keys to delete afterwards."""
    nonce = uuid4().hex
    keys = [f"{FOLDER}/doomed-{version:08d}-{nonce}.json" for version in versions]
    for key in keys:
        state.store.create(key, strict_json({"format": FORMAT}))

    return keys


def doomed_versions(state: State) -> set[int]:
    """The versions that are about to be removed."""
    return {int(match[1]) for key in _keys(state) if (match := DOOMED.fullmatch(key))}


def sweep(state: State, before: float) -> None:
    """Remove what killed movers and killed gcs left before a time, seconds since the epoch."""
    state.store.delete(
        [
            entry.key
            for entry in state.store.list(FOLDER)
            if entry.modified < before and (INTENT.fullmatch(entry.key) or DOOMED.match(entry.key))
        ]
    )


def _keys(state: State) -> list[str]:
    return [entry.key for entry in state.store.list(FOLDER)]


def _numbers(state: State, alias: str) -> list[int]:
    found = (MOVE.fullmatch(key) for key in _keys(state))
    return sorted(int(match[2]) for match in found if match and match[1] == alias)


def _version_in(state: State, key: str) -> int:
    content = parse(state.store.get(key), f"{state.url}: {key}")
    try:
        return whole(content.get("version"), "version", 1)
    except ValueError as error:
        raise CorruptError(f"{state.url}: {key}: {error}; remove it") from error


def _read(state: State, alias: str, number: int) -> Move:
    key = move_key(alias, number)
    where = f"{state.url}: {key}"
    content: dict[str, Any] = parse(state.store.get(key), where)
    try:
        mapping(content, "it", tuple(Move.__dataclass_fields__))
        version = content["version"]
        if version is not None:
            version = whole(version, "version", 1)
        if (content["alias"], content["number"]) != (alias, number):
            raise ValueError(f"it is move {content['number']} of '{content['alias']}'")

        return Move(
            alias,
            number,
            version,
            whole(content["at"], "at"),
            text(content["by"], "by", 200),
            text(content["note"], "note", LONGEST_NOTE),
            text(content["created"], "created", 100),
            text(content["writer"], "writer", 100),
        )
    except ValueError as error:
        raise CorruptError(
            f"{where}: can't be read as a move of an alias ({error}); bring it back from a copy"
        ) from error
