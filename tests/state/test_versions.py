from collections.abc import Callable
from pathlib import Path

import pytest

from renate.errors import CorruptError, GoneError, NoVersionError, StateError
from renate.state.aliases.standing import resolve
from renate.state.gc import gc
from renate.state.pins import pin
from renate.state.publish import rollback
from renate.state.versions import State, spans

from .scenes import publish_next, snapshot, stage_next


def test_an_empty_url(state: State, root: Path) -> None:
    assert state.numbers() == state.versions() == []
    assert state.newest() is None
    with pytest.raises(
        NoVersionError, match=r"holds no version yet: check the URL, or .* state.first=true$"
    ):
        state.manifest()
    with pytest.raises(NoVersionError, match=r"holds no version 2; it has none yet$"):
        state.manifest(2)
    with pytest.raises(NoVersionError, match="holds no version yet"):
        state.verify()
    with pytest.raises(NoVersionError, match=r"no pin 'x', expected a number, latest$"):
        resolve(state, "x")
    assert not root.exists()


def test_versions_and_their_tombstones(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(6):
        publish_next(state, a=b"%d" % i)
    pin(state, "keep", 2)
    gc(state, keep=2, grace=0)
    assert state.numbers() == [1, 2, 3, 4, 5, 6]
    assert state.versions() == [2, 5, 6]

    read: list[int] = []
    real = state.find
    monkeypatch.setattr(state, "find", lambda number: read.append(number) or real(number))
    assert state.versions(last=2) == [5, 6]
    assert read == [6, 5], "no more than it takes"
    assert state.versions(last=3) == state.versions(last=9) == [2, 5, 6]
    monkeypatch.undo()

    with pytest.raises(
        GoneError, match=r"/state: version 3 was removed by gc on 2.*; it has versions 2, 5-6$"
    ):
        state.manifest(3)
    with pytest.raises(
        NoVersionError, match=r"/state: holds no version 9; it has versions 2, 5-6$"
    ):
        state.manifest(9)


def test_names_of_versions(state: State) -> None:
    publish_next(state, a=b"1")
    publish_next(state, a=b"2")
    pin(state, "production", 1)
    assert [resolve(state, name) for name in ("1", "latest", "production", "77")] == [1, 2, 1, 77]
    message = (
        r"no pin 'prodution', expected a number, latest or production, did you mean 'production'\?$"
    )
    with pytest.raises(NoVersionError, match=message):
        resolve(state, "prodution")
    with pytest.raises(NoVersionError, match=r"no pin '\.\./versions/1'"):
        resolve(state, "../versions/1")


def test_stray_files_are_no_versions(state: State, root: Path) -> None:
    publish_next(state, a=b"1")
    for name in ("notes.txt", "00000009.json.bak", "9.json", ".DS_Store"):
        (root / "versions" / name).write_text("x")
    (root / "pins").mkdir(exist_ok=True)
    (root / "pins" / ".DS_Store").write_text("x")
    assert state.versions() == [1]
    assert state.pinned() == {}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(data)


DAMAGES = [
    (flip, r"has other bytes than were published \(SHA-256 differs\)"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has 4 bytes instead of 5"),
    (lambda path: path.write_bytes(path.read_bytes() + b"!"), "has 6 bytes instead of 5"),
    (lambda path: path.unlink(), "is missing"),
]


@pytest.mark.parametrize(
    ("damage", "what"), DAMAGES, ids=["flipped", "truncated", "extended", "missing"]
)
def test_damage_is_named(
    state: State, root: Path, damage: Callable[[Path], None], what: str
) -> None:
    publish_next(state, shared=b"other")
    publish_next(state, shared=b"12345", own=b"2")
    publish_next(state, shared=None, own=b"3")
    publish_next(state, renamed=b"12345", own=b"4")
    third = state.manifest(3)
    key = third.files["shared"].key
    damage(root / key)
    with pytest.raises(
        CorruptError, match=rf"/state: blob {key}, file 'shared' of version 3, {what}; renate st"
    ):
        state.read(third, "shared")
    assert bytes(state.read(third, "own")) == b"3"
    message = (
        rf"blob {key}, file 'shared' of version 3, {what}; spoils versions 2-4: roll back to "
        r"version 1$"
    )
    with pytest.raises(CorruptError, match=message):
        state.verify(3)
    with pytest.raises(CorruptError, match="file 'renamed' of version 4"):
        state.verify()
    rollback(state, 1)
    assert state.verify().version == 5


def test_several_damages_and_no_way_back(state: State, root: Path) -> None:
    publish_next(state, a=b"1", b=b"2", c=b"3")
    for path in sorted((root / "blobs").iterdir())[:2]:
        path.unlink()
    with pytest.raises(
        CorruptError, match=r"is missing and 1 more; spoils version 1: bring it back from a copy$"
    ):
        state.verify()


def test_a_damaged_candidate(state: State, root: Path) -> None:
    publish_next(state, a=b"1")
    candidate = stage_next(state, "j", a=b"2")
    assert state.check(candidate) is candidate
    (root / candidate.files["a"].key).unlink()
    message = (
        "file 'a' of the candidate of job 'j', is missing; spoils no version: roll back to version "
        "1"
    )
    with pytest.raises(CorruptError, match=message):
        state.check(candidate)


def test_a_reader_of_a_removed_version(state: State) -> None:
    first = publish_next(state, a=b"1")
    publish_next(state, a=b"2")
    gc(state, keep=1, grace=0)
    with pytest.raises(GoneError, match="version 1 was removed by gc"):
        state.read(first, "a")
    with pytest.raises(GoneError, match="version 1 was removed by gc"):
        state.check(first)


def test_a_file_that_is_not_there(state: State) -> None:
    first = publish_next(state, model=b"1", updater=b"2")
    message = r"version 1 has no file 'modle', it has model, updater, did you mean 'model'\?"
    with pytest.raises(StateError, match=message):
        state.read(first, "modle")


@pytest.mark.parametrize("raw", [b"", b"{", b"null"])
def test_a_damaged_manifest(state: State, root: Path, raw: bytes) -> None:
    for i in range(3):
        publish_next(state, a=b"%d" % i)
    (root / "versions" / "00000002.json").write_bytes(raw)
    assert state.versions() == [1, 2, 3]
    with pytest.raises(
        CorruptError, match=r"versions/00000002.json: can't be read as a manifest \("
    ):
        state.manifest(2)
    assert state.manifest(1).version == 1
    with pytest.raises(CorruptError, match=r"00000002.json: can't be read"):
        state.verify(3)  # its parent


def test_a_manifest_of_another_number(state: State, root: Path) -> None:
    publish_next(state, a=b"1")
    publish_next(state, a=b"2")
    (root / "versions" / "00000002.json").write_bytes(
        (root / "versions" / "00000001.json").read_bytes()
    )
    with pytest.raises(
        CorruptError, match=r"00000002.json is that of version 1; bring it back from a copy"
    ):
        state.manifest(2)


def test_the_chain_of_manifests(state: State, root: Path) -> None:
    publish_next(state, a=b"1")
    publish_next(state, a=b"2")
    path = root / "versions" / "00000001.json"
    path.write_bytes(path.read_bytes().replace(b'"seed": 1', b'"seed": 2'))
    assert state.verify(1).lineage == {"seed": 2}
    message = "the manifest of version 1 isn't the one that version 2 came from; bring it back"
    with pytest.raises(CorruptError, match=message):
        state.verify(2)


def test_reading_changes_nothing(state: State, root: Path) -> None:
    publish_next(state, a=b"1")
    pin(state, "p", 1)
    before = snapshot(root)
    reader = State(state.url)
    reader.verify()
    reader.pinned()
    resolve(reader, "p")
    reader.versions()
    assert snapshot(root) == before


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([], ""),
        ([3], "version 3"),
        ([1, 2], "versions 1-2"),
        ([1, 3], "versions 1, 3"),
        ([1, 2, 4, 7, 8, 9], "versions 1-2, 4, 7-9"),
    ],
)
def test_spans(numbers: list[int], text: str) -> None:
    assert spans(numbers) == text
