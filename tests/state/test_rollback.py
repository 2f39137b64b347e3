import pytest

from renate.errors import ConflictError, GoneError, NoVersionError, StateError
from renate.state.gc import gc
from renate.state.publish import candidates, rollback
from renate.state.versions import State

from .scenes import publish_next, read_all, uploaded


def test_rollback_is_a_new_version(state: State) -> None:
    publish_next(state, model=b"good", shared=b"s", gone=b"g")
    publish_next(state, model=b"bad", shared=b"s")
    sizes = uploaded(state)
    back = rollback(state, 1)
    assert back.version == 3
    assert back.lineage == {"seed": 1, "rollback_to": 1}
    assert read_all(state, back) == {"model": b"good", "shared": b"s", "gone": b"g"}
    # What the newest version doesn't name goes up anew: gc may be about to take the old ones.
    assert sorted(sizes.values()) == [1, 4]
    assert back.files["shared"] == state.manifest(2).files["shared"]
    assert candidates(state) == []
    gc(state, keep=1, grace=0)
    assert read_all(state, State(state.url).verify()) == read_all(state, back)
    assert publish_next(state, model=b"next", shared=None).version == 4


def test_rollback_to_what_is_not_there(state: State) -> None:
    with pytest.raises(NoVersionError, match="holds no version 1; it has none yet"):
        rollback(state, 1)
    for i in range(4):
        publish_next(state, a=b"%d" % i)
    with pytest.raises(
        StateError, match="version 4 is the newest already; roll back to an older one"
    ):
        rollback(state, 4)
    gc(state, keep=2, grace=0)
    with pytest.raises(GoneError, match=r"version 1 was removed by gc on .*; it has versions 3-4$"):
        rollback(state, 1)


def test_a_rollback_that_lost_leaves_nothing(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_next(state, a=b"1")
    publish_next(state, a=b"2")
    create = state.store.create
    other = State(state.url)

    def late(key: str, data: bytes) -> None:
        publish_next(other, a=b"3")
        create(key, data)

    monkeypatch.setattr(state.store, "create", late)
    message = "version 3 was published by job 'job3' meanwhile; nothing was rolled back"
    with pytest.raises(ConflictError, match=message):
        rollback(state, 1)
    assert candidates(state) == []
    assert read_all(state, other.verify()) == {"a": b"3"}
