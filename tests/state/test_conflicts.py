"""Who wins, who is told, and what isn't a conflict though the store says so."""

import time

import pytest

from renate.errors import ConflictError, StateError
from renate.state.gc import gc
from renate.state.publish import candidates, publish, stage
from renate.state.versions import State

from .scenes import publish_next, read_all, stage_next


def test_the_loser_is_told_and_keeps_its_candidate(state: State) -> None:
    publish_next(state, a=b"1")
    loser = stage_next(state, "slow", a=b"2")
    stage_next(state, "fast", a=b"3")
    publish(state, "fast")
    stage_next(state, "next", a=b"4")
    publish(state, "next")
    message = (
        rf"^{state.url}: version 2 was published by job 'fast' meanwhile; "
        r"the candidate of job 'slow' stays: update again from version 3$"
    )
    for _ in range(2):
        with pytest.raises(ConflictError, match=message):
            publish(state, "slow")
    gc(state, keep=1, grace=0)
    with pytest.raises(ConflictError, match=message):  # version 2 is a tombstone now
        publish(state, "slow")
    assert candidates(state) == [loser]
    assert read_all(state, loser) == {"a": b"2"}


def test_an_update_that_began_before_another_was_published_loses(state: State) -> None:
    publish_next(state, a=b"1")
    began = state.newest()
    assert began
    publish_next(state, a=b"2")
    stage(state, [("a", b"3")], job="late", parent=(state, began), lineage={})
    with pytest.raises(ConflictError, match="version 2 was published by job 'job2' meanwhile"):
        publish(state, "late")


def test_of_two_first_updates_one_wins(state: State) -> None:
    publish_next(state, a=b"1")
    stage(state, [("a", b"2")], job="late", parent=None, lineage={})
    with pytest.raises(ConflictError, match="version 1 was published by job 'job1'"):
        publish(state, "late")


def test_a_lost_acknowledgement_is_a_success(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    stage_next(state, "j", a=b"1")
    create = state.store.create

    def twice(key: str, data: bytes) -> None:  # as a client that retries after a lost reply
        create(key, data)
        create(key, data)

    monkeypatch.setattr(state.store, "create", twice)
    assert publish(state, "j").version == 1
    assert candidates(state) == []


@pytest.mark.parametrize("lies", [1, 3])
def test_taken_though_nothing_is_there(
    state: State, monkeypatch: pytest.MonkeyPatch, lies: int
) -> None:
    """S3's 409 looks like a lost race."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    stage_next(state, "j", a=b"1")
    create = state.store.create
    calls = []

    def lying(key: str, data: bytes) -> None:
        calls.append(key)
        if len(calls) <= lies:
            raise FileExistsError(key)
        create(key, data)

    monkeypatch.setattr(state.store, "create", lying)
    assert publish(state, "j").version == 1
    assert len(calls) == lies + 1


def test_taken_for_ever_though_nothing_is_there(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    candidate = stage_next(state, "j", a=b"1")

    def lying(key: str, data: bytes) -> None:
        raise FileExistsError(key)

    monkeypatch.setattr(state.store, "create", lying)
    with pytest.raises(
        StateError, match=r"can't create version 1 though there is none; publish 'j' later"
    ):
        publish(state, "j")
    assert candidates(state) == [candidate]
