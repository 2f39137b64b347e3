"""A fingerprint changes when, and only when, names or contents do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from renate.data.fingerprint import Hashes, expand, fingerprint
from renate.errors import DataError


@pytest.fixture
def here(workdir: Path) -> Path:
    for name in ("new/b.csv", "new/a.csv", "new/[ab].csv"):
        (workdir / name).parent.mkdir(exist_ok=True)
        (workdir / name).write_text(name)
    return workdir


def test_it_follows_the_contents(here: Path) -> None:
    cache = here / "cache"
    first = fingerprint(["new/*.csv"], cache)
    assert (
        fingerprint(["new/*.csv"], cache)
        == fingerprint(["new/*.csv"], here / "other cache")
        == first
    )
    os.utime(here / "new" / "a.csv", (1, 1))
    assert fingerprint(["new/*.csv"], cache) == first, "touching a file changes nothing"
    (here / "new" / "a.csv").write_text("other")
    second = fingerprint(["new/*.csv"], cache)
    assert second != first
    (here / "new" / "c.csv").write_text("")
    assert fingerprint(["new/*.csv"], cache) not in (first, second)


def test_a_content_of_the_same_size_and_time_is_another(here: Path) -> None:
    """As `cp -p` and `rsync -t` leave it."""
    path = here / "new" / "a.csv"
    os.utime(path, ns=(1, 1))
    first = fingerprint(["new/a.csv"], here / "cache")
    path.write_text("new/A.csv")
    os.utime(path, ns=(1, 1))
    assert fingerprint(["new/a.csv"], here / "cache") != first


def test_an_unchanged_file_is_not_read_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fingerprint(["new/*.csv"], here / "cache")
    monkeypatch.setattr("hashlib.file_digest", lambda *_: pytest.fail("read again"))
    assert fingerprint(["new/*.csv"], here / "cache") == first


def test_what_another_process_learned_counts_at_once(here: Path) -> None:
    cache = here / "cache"
    hashes = [Hashes(cache / "hashes.json") for _ in range(2)]
    for known, name in zip(hashes, ("new/a.csv", "new/b.csv"), strict=True):
        known.of(Path(name))
        known.save()

    known = Hashes(cache / "hashes.json").known
    assert sorted(Path(name).name for name in known) == ["a.csv", "b.csv"]


def test_hashes_of_files_that_are_gone_are_forgotten(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("renate.data.fingerprint.MANY", 2)
    fingerprint(["new/*.csv"], here / "cache")
    (here / "new" / "b.csv").unlink()
    (here / "new" / "c.csv").write_text("c")
    fingerprint(["new/c.csv"], here / "cache")
    known = json.loads((here / "cache" / "hashes.json").read_text())
    assert sorted(Path(name).name for name in known) == ["[ab].csv", "a.csv", "c.csv"]


@pytest.mark.parametrize("damage", ["{", "3", '{"/a": 1}', '{"%s/new/a.csv": "old form"}'])
def test_a_damaged_cache_is_made_anew(here: Path, damage: str) -> None:
    first = fingerprint(["new/*.csv"], here / "cache")
    (here / "cache" / "hashes.json").write_text(damage.replace("%s", str(here)))
    assert fingerprint(["new/*.csv"], here / "cache") == first


def test_the_message_names_the_key_where_it_is_known(here: Path) -> None:
    patterns = {"data.train": "new/a.csv", "data.test": {"old": "nix.csv"}}
    with pytest.raises(DataError, match="^data.test=nix.csv: no such file"):
        fingerprint(patterns, here / "cache")
    assert fingerprint({"data.train": "new/a.csv"}, here / "c") == fingerprint(
        ["new/a.csv"], here / "c"
    )


def test_expand(here: Path) -> None:
    assert expand("new/*.csv", "data.train") == ["new/[ab].csv", "new/a.csv", "new/b.csv"]
    assert expand("new/[ab].csv", "data.train") == ["new/[ab].csv"], (
        "a file that is there is meant, pattern or not"
    )
    assert expand({"x": "new/a.csv", "y": ["new/b.csv"]}, "data.test") == ["new/a.csv", "new/b.csv"]
    with pytest.raises(
        DataError, match=r"data.train=new/\*.parquet: no such file, and no file matches"
    ):
        expand("new/*.parquet", "data.train")


def test_it_loads_neither_torch_nor_pyarrow(here: Path) -> None:
    code = (
        "import sys; from renate.data.fingerprint import fingerprint; from pathlib import Path; "
        "fingerprint(['new/a.csv'], Path('cache')); print([m for m in ('torch', 'pyarrow') if m in "
        "sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )
