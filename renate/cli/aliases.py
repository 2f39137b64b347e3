"""`renate state promote`, and what `renate state show` tells of aliases and of the gate."""

import argparse
from collections.abc import Iterator

from renate.errors import StateError
from renate.state.aliases.log import all_moves
from renate.state.aliases.move import move_alias
from renate.state.aliases.standing import CURRENT, names_of, resolve, standing
from renate.state.aliases.verdict import REJECT, verdict_of
from renate.state.manifest import Manifest
from renate.state.versions import State


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `renate state promote` to its parser."""
    parser.add_argument("--alias", default=CURRENT, help="which one to move; default: current")
    parser.add_argument("--note", default="", help="why, a line that is kept")


def promote(asked: argparse.Namespace) -> None:
    """Let an alias name a version: by default `current`, and the candidate, else the newest.

    Raises:
        StateError: There is no such version, or nothing to promote, or somebody else was first.
    """
    state = State(asked.url)
    now = standing(state)
    number = resolve(state, asked.version) if asked.version else _default(state)
    was = now.current.version if now.current is not None else None
    if asked.alias != CURRENT:
        was = names_of(state).get(asked.alias)
    if was == number and not asked.note:
        raise StateError(f"{state.url}: '{asked.alias}' is version {number} already")

    move_alias(state, asked.alias, number, note=asked.note)
    before = f", it was version {was}" if was is not None else ""
    print(f"{asked.alias} is version {number}{before}")


def _default(state: State) -> int:
    now = standing(state)
    if now.candidate is not None:
        return now.candidate.base + 1

    newest = state.manifest()
    verdict = verdict_of(newest, state.url)
    if verdict is not None and verdict.outcome == REJECT:
        raise StateError(
            f"{state.url}: {newest} was rejected by its gate: name it to promote it all the same, "
            f"renate state promote {state.url} {newest.version}"
        )

    return newest.base + 1


def standing_of(state: State, manifest: Manifest) -> str:
    """Behind a version that was just published: that it isn't in use; nothing where it is."""
    used = standing(state).current
    if used is not None and used.version == manifest.version:
        return ""
    verdict = verdict_of(manifest, state.url)
    said = f", its gate said {verdict.outcome}" if verdict is not None else ""
    return f", not in use{said}: renate state promote {state.url} {manifest.version}"


def lines_of(state: State, manifest: Manifest) -> Iterator[str]:
    """What is to be told of a version: its aliases, who moved them here and why, and the gate's
    verdict.
    """
    names = sorted(name for name, version in names_of(state).items() if version == manifest.version)
    if names:
        yield f"{'aliases':10s} {', '.join(names)}"

    for move in all_moves(state):
        if move.version == manifest.version:
            why = f": {move.note}" if move.note else ""
            yield f"{'moved':10s} {move.alias} here by {move.by}, {move.created}{why}"

    verdict = verdict_of(manifest, state.url)
    if verdict is not None:
        compared = ""
        if verdict.against is not None:
            compared = f", compared with version {verdict.against}"
        yield f"{'gate':10s} {verdict.outcome}{compared}"
        for reason in verdict.reasons:
            yield f"{'':10s} {reason}"
