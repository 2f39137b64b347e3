"""The log of what was trained on: shared, bounded, read as from a stranger."""

import hashlib
import json
import random
from itertools import pairwise
from pathlib import Path

import pytest

from renate.data.kept.trained import Trained, in_words, key_of
from renate.errors import CorruptError
from renate.state.publish import publish, rollback, stage
from renate.state.versions import State


def keys(*names: object) -> list[str]:
    return [hashlib.sha256(str(name).encode()).hexdigest() for name in names]


def put(state: State, trained: Trained, job: str) -> Trained:
    parent = (state, newest) if (newest := state.newest()) else None
    stage(state, trained.files(), job=job, parent=parent, lineage={})
    return Trained.read(state, publish(state, job))


def test_what_was_extended_is_found_again(workdir: Path) -> None:
    state = State(str(workdir / "state"))
    trained = put(state, Trained().extended(keys("a", "b"), 1), "one")
    trained = put(state, trained.extended(keys("b", "c"), 2), "two")
    versions = [trained.version_of([key]) for key in keys("a", "b", "c", "d")]
    assert versions == [1, 1, 2, None]
    assert trained.version_of(keys("d", "c")) == 2


def test_a_rollback_forgets_what_the_later_version_saw(workdir: Path) -> None:
    state = State(str(workdir / "state"))
    trained = put(state, Trained().extended(keys("a"), 1), "one")
    put(state, trained.extended(keys("b"), 2), "two")
    back = Trained.read(state, rollback(state, 1))
    assert [back.version_of([key]) for key in keys("a", "b")] == [1, None]


def test_a_thousand_updates_of_a_hundred_files_stay_small() -> None:
    """Files: by the logarithm of what they hold. Bytes written: each key some ten times."""
    trained = Trained()
    written = 0
    draw = random.Random(0)
    for version in range(1, 1001):
        new = [f"{draw.getrandbits(256):064x}" for _ in range(100)]
        before = {part.name for part in trained.parts}
        trained = trained.extended(new, version)
        written += sum(len(part.versions) for part in trained.parts if part.name not in before)
        sizes = [len(part.versions) for part in trained.parts]
        assert all(old >= 2 * newer for old, newer in pairwise(sizes))
    assert sum(sizes) == 100_000
    assert len(sizes) <= 11
    assert written <= 12 * 100_000


def test_only_what_is_new_is_written(workdir: Path) -> None:
    state = State(str(workdir / "state"))
    first = put(state, Trained().extended(keys(*range(100)), 1), "one")
    second = first.extended(keys("new"), 2)
    assert [content is None for _, content in second.files()] == [True, False]
    put(state, second, "two")
    shared = {state.manifest(number).files[first.parts[0].name].key for number in (1, 2)}
    assert len(shared) == 1


def test_nothing_new_writes_nothing() -> None:
    trained = Trained().extended(keys("a"), 1)
    assert trained.extended(keys("a"), 2) is trained


def test_a_content_has_one_key_whatever_stands_for_it() -> None:
    sha = keys("content")[0]
    assert key_of(sha) == sha
    assert key_of('"0a1b" 12') != key_of('"0a1b" 13')
    assert len(key_of('"0a1b" 12')) == 64


def test_versions_in_words() -> None:
    assert in_words([3, 3]) == "version 3"
    assert in_words([4, 1, 2]) == "versions 1 to 4"
    assert in_words([0, 2]) == "version 2 and a state that this one was begun from"
    moved = Trained().extended(keys("a"), 7).moved()
    assert moved.version_of(keys("a")) == 0


GOOD = keys("a")[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80", "no JSON"),
        (b"[]", "expected a mapping"),
        (b'{"versions": [], "more": 1}', "unknown key 'more'"),
        (b'{"versions": {}}', "expected a list"),
        (b'{"versions": [[1]]}', r"versions holds \[1\]"),
        (b'{"versions": [[true, []]]}', "a version's number is True"),
        (b'{"versions": [[-1, []]]}', "a version's number is -1"),
        (b'{"versions": [[1, ["A"]]]}', "expected a SHA-256"),
        (b'{"versions": [[1, [1]]]}', "expected a SHA-256"),
        (json.dumps({"versions": [[1, [GOOD]], [2, [GOOD]]]}).encode(), "twice"),
        (b'{"versions": ' + b"[" * 100_000, "recursion"),
    ],
)
def test_a_strangers_log_is_refused(content: bytes, message: str, workdir: Path) -> None:
    state = State(str(workdir / "state"))
    stage(state, [("trained/00000001.json", content)], job="j", parent=None, lineage={})
    with pytest.raises(CorruptError, match=message):
        Trained.read(state, publish(state, "j"))
