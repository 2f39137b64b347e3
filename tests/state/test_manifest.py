import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renate.errors import CorruptError, StateError
from renate.state.manifest import Blob, Manifest, Parent, Tombstone, decode

SHA = "ab" * 32
names = st.from_regex(r"[a-z0-9._]{1,8}(/[a-z0-9-]{1,8}){0,2}", fullmatch=True).filter(
    lambda n: not {".", ".."} & set(n.split("/"))
)
blobs = st.builds(
    lambda sha, nonce, size: Blob(f"blobs/{sha}-{nonce}", sha, size),
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.text("0123456789abcdef", min_size=8, max_size=8),
    st.integers(0, 2**50),
)
words = st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=50)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
manifests = st.builds(
    lambda base, candidate, **rest: Manifest(
        version=None if candidate else base + 1, base=base, **rest
    ),
    base=st.integers(0, 10**8),
    candidate=st.booleans(),
    parent=st.none() | st.builds(Parent, st.none() | words, st.integers(1, 2**62), st.just(SHA)),
    writer=words,
    created=words,
    job=st.none() | words,
    lineage=st.dictionaries(st.text(), plain, max_size=3),
    files=st.dictionaries(names, blobs, max_size=3),
)


@given(manifests)
def test_a_manifest_comes_back(manifest: Manifest) -> None:
    raw = manifest.encode()
    back = decode(raw, "here")
    assert back == manifest
    assert isinstance(back, Manifest)
    assert len(back.sha256) == 64
    assert back.encode() == raw


def test_a_tombstone_comes_back() -> None:
    tombstone = Tombstone(3, SHA, "w", "j", "2026-01-01T00:00:00+00:00")
    assert decode(tombstone.encode(), "here") == tombstone


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"x", {1, 2}])
def test_lineage_is_strict_json(value: Any) -> None:
    manifest = Manifest(None, 0, None, "w", "c", "j", {"x": value}, {})
    with pytest.raises(
        StateError, match=r"^a manifest holds plain JSON only: .*; convert it to numbers, text"
    ):
        manifest.encode()


def changed(**changes: Any) -> bytes:
    blob = {"key": f"blobs/{SHA}-01234567", "sha256": SHA, "size": 3}
    content = {
        "format": 1,
        "version": 2,
        "base": 1,
        "parent": {"url": None, "version": 1, "sha256": SHA},
        "writer": "w",
        "created": "c",
        "job": "j",
        "lineage": {},
        "files": {"a": blob},
    }
    for path, value in changes.items():
        inner: Any = content
        *folders, last = path.split("__")
        for folder in folders:
            inner = inner[folder]
        inner[last] = value
    return json.dumps(content).encode()


def test_the_template_is_sound() -> None:
    assert decode(changed(), "here").version == 2


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"{}",
        changed()[:-1],
        changed(format="1"),
        changed(version="2"),
        changed(version=True),
        changed(version=3),
        changed(base=-1),
        changed(parent={"url": None}),
        changed(parent__version=0),
        changed(parent__url=3),
        changed(writer=None),
        changed(job=3),
        changed(lineage=[]),
        changed(lineage={"x": float("nan")}),
        changed(extra=1),
        changed(files=[]),
        changed(files={"a": 3}),
        changed(files__a__size=-1),
        changed(files__a__size=1.5),
        changed(files__a__key="versions/00000001.json"),
        changed(files__a__key=f"blobs/../{SHA}-01234567"),
        changed(files__a__key=None),
        changed(files__a__sha256="cd" * 32),
    ],
)
def test_what_is_no_manifest(raw: bytes) -> None:
    with pytest.raises(
        CorruptError, match=r"^here: can't be read as a manifest \(.+\); bring the file back"
    ):
        decode(raw, "here")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "", "a\\..\\x"]
)
def test_a_file_name_leads_nowhere_else(name: str) -> None:
    files = {name: {"key": f"blobs/{SHA}-01234567", "sha256": SHA, "size": 3}}
    with pytest.raises(CorruptError, match="is no plain file name"):
        decode(changed(files=files), "here")


def test_a_newer_format() -> None:
    with pytest.raises(
        StateError,
        match=r"^here: format 3, this renate reads up to 2: made by a newer renate, upgrade",
    ):
        decode(changed(format=3, anything="else"), "here")


def test_an_encoder_makes_it_format_2() -> None:
    blob = Blob(f"blobs/{SHA}-00000000", SHA, 3)
    usual = Manifest(1, 0, None, "w", "now", None, {}, {"model.json": blob})
    assert json.loads(usual.encode())["format"] == 1
    encoded = replace(usual, files={**usual.files, "encoder.json": blob})
    assert json.loads(encoded.encode())["format"] == 2
    assert decode(encoded.encode(), "here") == encoded
