"""Which version is in use: where the alias `current` is.

Whoever moves it by hand leaves a move. An update moves it by publishing: what no gate was asked
about is in use as soon as it is there, and so is what the gate promoted, unless somebody has moved
the alias since the gate compared. So a promotion is the publication itself, and nothing can come
between. In a state without moves and gates `current` is the newest version.
"""

from dataclasses import dataclass

from renate.errors import GoneError, NoVersionError, nearest
from renate.state.aliases.log import Move, last_move, last_moves
from renate.state.aliases.verdict import HOLD, PROMOTE, verdict_of
from renate.state.manifest import Manifest
from renate.state.versions import LATEST, State

CURRENT = "current"
CANDIDATE = "candidate"
LOOKS = 3


@dataclass(frozen=True)
class Standing:
    """Which versions of a state count.

    Attributes:
        current: The version in use; None where there is none.
        candidate: The newest one after it that a gate holds; None where there is none.
        newest: The newest version's number; 0 where there is none.
        move: The number of the last move of `current`, 0 where it was never moved.
    """

    current: Manifest | None
    candidate: Manifest | None
    newest: int
    move: int

    @property
    def differs(self) -> bool:
        """Whether the newest version isn't the one in use."""
        return self.newest != 0 and (self.current is None or self.current.version != self.newest)


def standing(state: State) -> Standing:
    """Find out which versions count; a state that no gate has judged costs two listings and one
    manifest.

    Raises:
        GoneError: The version in use is gone.
        CorruptError: A manifest or a move can't be read.
    """
    for _ in range(LOOKS):
        last = last_move(state, CURRENT)
        numbers = state.numbers()
        found = _from_newest(state, numbers, last)
        if found.current is not None or not numbers:
            return found
        if last is None and _is_there(state, numbers[-1]):
            return found  # all that there is was held or rejected

    raise GoneError(f"{state.url}: the version in use is gone; bring it back from a copy")


def _from_newest(state: State, numbers: list[int], last: Move | None) -> Standing:
    candidate: Manifest | None = None
    move = last.number if last else 0
    newest = numbers[-1] if numbers else 0
    known = last.at if last else 0
    for number in reversed(numbers):
        if number <= known:
            break
        manifest = state.find(number)
        if not isinstance(manifest, Manifest):
            continue

        verdict = verdict_of(manifest, state.url)
        if verdict is None or (verdict.outcome == PROMOTE and verdict.move == move):
            return Standing(manifest, candidate, newest, move)
        if verdict.outcome != HOLD and verdict.outcome != PROMOTE:
            continue
        candidate = candidate or manifest

    current = None
    if last is not None and last.version is not None:
        current = state.manifest(last.version)

    return Standing(current, candidate, newest, move)


def _is_there(state: State, number: int) -> bool:
    return isinstance(state.find(number), Manifest)


def current(state: State) -> Manifest:
    """Return the manifest of the version in use.

    Raises:
        NoVersionError: There is none.
    """
    found = standing(state)
    if found.current is not None:
        return found.current
    if not found.newest:
        return state.manifest()  # which says so

    raise NoVersionError(
        f"{state.url}: no version is in use, its gate has promoted none of {found.newest}: "
        f"renate state promote {state.url} {found.newest}"
    )


def resolve(state: State, name: str) -> int:
    """Turn a number, `latest`, an alias or a pin's name into a version's number; that it still
    exists is not checked.

    Raises:
        NoVersionError: There is no such name, or no version yet.
    """
    if name.isdecimal():
        return int(name)
    if name == LATEST:
        return state.manifest().base + 1

    moves = last_moves(state)
    pins = {pin: version for pin, version in state.pinned().items() if isinstance(version, int)}
    if name == CURRENT and (name in moves or name not in pins):
        return current(state).base + 1
    if name == CANDIDATE and name not in moves and name not in pins:
        return _candidate(state)

    aliases = {alias: move.version for alias, move in moves.items() if move.version is not None}
    known = pins | aliases
    if name not in known:
        names = sorted([LATEST, *known])
        close = nearest(name, {*names, CURRENT, CANDIDATE})
        raise NoVersionError(
            f"{state.url}: no pin '{name}', expected a number, {' or '.join(names)}{close}"
        )

    return known[name]


def manifest_of(state: State, name: object) -> Manifest:
    """Return the manifest of the version that a user names; None names the one in use.

    Raises:
        NoVersionError, GoneError: There is no such version.
    """
    if name is None:
        return current(state)
    return state.manifest(resolve(state, str(name)))


def names_of(state: State) -> dict[str, int]:
    """The version of each alias, by name: moved ones, and those that gates have told apart."""
    found = {
        alias: move.version for alias, move in last_moves(state).items() if move.version is not None
    }
    now = standing(state)
    if now.current is not None and (CURRENT in found or now.differs or now.candidate):
        found[CURRENT] = now.current.base + 1
    if now.candidate is not None:
        found[CANDIDATE] = now.candidate.base + 1

    return found


def _candidate(state: State) -> int:
    found = standing(state).candidate
    if found is None:
        raise NoVersionError(f"{state.url}: no candidate: no gate holds a version now")
    return found.base + 1
