import pytest

from renate.errors import GoneError, NoVersionError, StateError
from renate.state.manifest import Manifest
from renate.state.pins import pin, pins, unpin
from renate.state.versions import State

from .scenes import publish_next, stage_next


def test_pins(state: State) -> None:
    assert pins(state) == {}
    for i in range(3):
        publish_next(state, a=b"%d" % i)
    stage_next(state, "j", a=b"9")
    pin(state, "production", 1)
    pin(state, "study-2", 1)
    pin(state, "production", 2)
    assert pins(state) == {"production": 2, "study-2": 1}
    unpin(state, "study-2")
    assert pins(State(state.url)) == {"production": 2}
    with pytest.raises(
        StateError, match=r"no pin 'prodction', there is production, did you mean 'production'"
    ):
        unpin(state, "prodction")
    with pytest.raises(NoVersionError, match=r"holds no version 7; it has versions 1-3$"):
        pin(state, "x", 7)
    assert pins(state) == {"production": 2}


def test_a_pin_that_cant_be_moved_stays_where_it_was(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where gc removes the version that it was to move to at that very moment."""
    for i in range(3):
        publish_next(state, a=b"%d" % i)
    pin(state, "production", 1)
    known = [state.manifest(2)]

    def removed_meanwhile(version: int) -> Manifest:
        if not known:
            raise GoneError(f"version {version} was removed by gc")
        return known.pop()

    monkeypatch.setattr(state, "manifest", removed_meanwhile)
    with pytest.raises(GoneError, match="version 2 was removed"):
        pin(state, "production", 2)
    assert pins(state) == {"production": 1}


@pytest.mark.parametrize("name", ["job-x", "latest", "12", "", "a/b", "../x", "a b"])
def test_a_pin_has_a_plain_name(state: State, name: str) -> None:
    publish_next(state, a=b"1")
    with pytest.raises(
        StateError, match=r"is no name for a pin: expected letters, .* not beginning with 'job-'"
    ):
        pin(state, name, 1)
