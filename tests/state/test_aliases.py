"""Which version is in use, whoever moves that when."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from renate.errors import ConflictError, CorruptError, NoVersionError, StateError
from renate.state.aliases.log import all_moves
from renate.state.aliases.move import move_alias, take_away
from renate.state.aliases.standing import current, manifest_of, names_of, resolve, standing
from renate.state.aliases.verdict import Verdict
from renate.state.gc import gc
from renate.state.pins import pin
from renate.state.publish import publish, rollback, stage
from renate.state.versions import State

from .scenes import age, before_each_call, publish_next


class Crash(BaseException):
    """No handler of ours catches it."""


def judged(state: State, outcome: str, *, move: int = 0) -> int:
    """Publish a version of which a gate said `outcome`, starting from the one in use."""
    now = standing(state)
    verdict = Verdict(outcome, now.current.version if now.current else None, move, ("so",))
    job = f"job{now.newest + 1}"
    parent = (state, now.current) if now.current else None
    lineage = {"gate": verdict.to_json()}
    content = [("a", job.encode())]
    stage(state, content, job=job, parent=parent, lineage=lineage, base=now.newest)
    return publish(state, job).version or 0


def used(state: State) -> int | None:
    found = standing(State(state.url)).current
    return found.version if found else None


def test_without_moves_the_newest_version_is_in_use(state: State) -> None:
    assert used(state) is None
    with pytest.raises(NoVersionError, match="holds no version yet"):
        current(state)
    for number in (1, 2):
        publish_next(state, a=b"%d" % number)
        assert used(state) == number
    assert names_of(state) == {}
    assert resolve(state, "current") == 2
    assert manifest_of(state, None).version == 2


def test_what_a_gate_holds_or_rejects_is_not_in_use(state: State) -> None:
    publish_next(state, a=b"1")
    assert judged(state, "reject") == 2
    assert (used(state), names_of(state)) == (1, {"current": 1})
    assert judged(state, "hold") == 3
    assert names_of(state) == {"current": 1, "candidate": 3}
    assert resolve(state, "latest") == 3
    assert resolve(state, "candidate") == 3
    assert judged(state, "promote") == 4
    assert names_of(state) == {}
    with pytest.raises(NoVersionError, match="no candidate: no gate holds a version now"):
        resolve(state, "candidate")
    assert state.manifest(3).parent.version == 1  # type: ignore[union-attr]


def test_nothing_is_in_use_where_the_gate_let_nothing_pass(state: State) -> None:
    judged(state, "hold")
    assert used(state) is None
    with pytest.raises(NoVersionError, match=r"no version is in use.* renate state promote"):
        current(state)
    move_alias(state, "current", 1)
    assert used(state) == 1


def test_a_promotion_does_not_undo_what_somebody_moved_meanwhile(state: State) -> None:
    for i in range(3):
        publish_next(state, a=b"%d" % i)
    move_alias(state, "current", 1, note="3 is slow")
    assert judged(state, "promote", move=0) == 4  # it was compared before the move
    assert names_of(state) == {"current": 1, "candidate": 4}
    assert judged(state, "promote", move=1) == 5
    assert used(state) == 5
    publish_next(state, a=b"6")  # of which no gate was asked
    assert used(state) == 6
    rollback(state, 4)
    assert used(state) == 7
    assert "gate" not in state.manifest(7).lineage


def test_a_move_says_by_whom_and_why(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    publish_next(state, a=b"1")
    publish_next(state, a=b"2")
    move_alias(state, "eu", 1, note="slower there")
    move_alias(state, "eu", 2)
    moves = all_moves(State(state.url))
    told = [(move.alias, move.number, move.version, move.by, move.note) for move in moves]
    assert told == [("eu", 1, 1, "ada", "slower there"), ("eu", 2, 2, "ada", "")]
    assert names_of(state) == {"eu": 2}
    take_away(state, "eu")
    assert names_of(state) == {}
    with pytest.raises(NoVersionError, match="no pin 'eu'"):
        resolve(state, "eu")


def test_names_that_are_none(state: State) -> None:
    publish_next(state, a=b"1")
    for name in ("latest", "candidate", "7", "a/b", "", "intent-x", "doomed-1", "job-x"):
        with pytest.raises(StateError, match="is no name for an alias"):
            move_alias(state, name, 1)
    pin(state, "mine", 1)
    with pytest.raises(StateError, match=r"'mine' is a pin: renate state unpin .* mine first"):
        move_alias(state, "mine", 1)
    move_alias(state, "yours", 1)
    for name in ("yours", "current"):
        with pytest.raises(StateError, match=f"'{name}' is an alias: renate state promote"):
            pin(state, name, 1)
    with pytest.raises(StateError, match="one line of at most 1000"):
        move_alias(state, "yours", 1, note="a\nb")
    with pytest.raises(NoVersionError, match="holds no version 9"):
        move_alias(state, "yours", 9)
    with pytest.raises(StateError, match="can't be taken away"):
        take_away(state, "current")


def test_damaged_moves_and_verdicts_are_told(state: State) -> None:
    publish_next(state, a=b"1")
    move_alias(state, "current", 1)
    key = "aliases/current.00000001.json"
    state.store.replace(
        key, bytes(state.store.get(key)).replace(b'"version": 1', b'"version": "x"')
    )
    with pytest.raises(CorruptError, match=r"current\.00000001\.json: can't be read as a move"):
        current(state)
    state.store.delete([key])
    lineage: dict[str, Any] = {"gate": {"outcome": "fine", "against": 1, "move": 0}}
    stage(state, [("a", b"2")], job="j", parent=(state, state.manifest(1)), lineage=lineage)
    publish(state, "j")
    with pytest.raises(CorruptError, match=r"version 2: lineage\.gate\.outcome is fine"):
        current(state)


def three(state: State) -> None:
    for i in range(3):
        publish_next(state, a=b"%d" % i)
    move_alias(state, "current", 2)


@pytest.mark.slow
def test_of_two_movers_one_is_told(tmp_path: Path) -> None:
    """Another one moves the alias before each call that the first makes to its store."""
    outcomes = set()
    for k in range(100):
        state = State(str(tmp_path / str(k)))
        three(state)
        rival = State(state.url)
        calls = before_each_call(state, {k: lambda rival=rival: move_alias(rival, "current", 3)})
        try:
            move_alias(state, "current", 1)
            told = "moved"
        except ConflictError as error:
            told = str(error).partition(": ")[2].partition(" meanwhile")[0]

        if len(calls) <= k:
            break
        # The last of two that both were told of success counts; who lost changed nothing
        versions = [move.version for move in all_moves(rival)]
        assert versions[0] == 2
        if told == "moved":
            assert sorted(versions[1:]) == [1, 3]
            assert used(rival) == versions[-1]
        else:
            assert used(rival) == 3
        outcomes.add(told.partition(" by ")[0])
    assert outcomes >= {"moved", "'current' was moved to version 3"}


@pytest.mark.slow
@pytest.mark.parametrize("first", ["gc", "mover"])
def test_an_alias_never_names_what_gc_removes(tmp_path: Path, first: str) -> None:
    """One does all of its work before each call that the other makes."""

    def collect(state: State) -> None:
        gc(state, keep=1, grace=0)

    def promote(state: State) -> None:
        with suppress(StateError):  # gc is removing it, or has
            move_alias(state, "current", 1)

    outer, inner = (promote, collect)
    if first == "gc":
        outer, inner = (collect, promote)
    kept = set()
    for k in range(200):
        state = State(str(tmp_path / str(k)))
        three(state)
        other = State(state.url)
        calls = before_each_call(state, {k: lambda other=other: inner(other)})
        outer(state)
        if len(calls) <= k:
            break
        now = used(other)
        assert now in (1, 2)
        other.verify(now)
        kept.add(now)
    assert kept == {1, 2}


@pytest.mark.slow
@pytest.mark.parametrize("act", ["move", "gc", "take away"])
def test_killed_at_every_step(tmp_path: Path, act: str) -> None:
    for k in range(200):
        state = State(str(tmp_path / str(k)))
        three(state)
        move_alias(state, "mine", 1)

        def die() -> None:
            raise Crash

        killed = False
        before_each_call(state, dict.fromkeys(range(k, 300), die))
        try:
            if act == "move":
                move_alias(state, "current", 1)
            elif act == "gc":
                gc(state, keep=1, grace=0)
            else:
                take_away(state, "mine")
        except Crash:
            killed = True
        if not killed:
            break

        after = State(state.url)
        names = names_of(after)
        assert names["current"] in ({1, 2} if act == "move" else {2})
        assert names.get("mine", 1) == 1
        for version in names.values():
            after.verify(version)
        # All goes on, and what was left over is swept
        gc(after, keep=3, grace=0)
        move_alias(after, "current", 3)
        assert used(after) == 3
        age(Path(after.url))
        gc(after, keep=1, grace=0)
        left = [entry.key for entry in after.store.list("aliases")]
        assert not [key for key in left if "intent-" in key or "doomed-" in key]
    assert k > 3
