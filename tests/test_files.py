"""Files that others read while they are written."""

from pathlib import Path

import pytest

from renate.errors import JobError
from renate.files import Tail, json_lines, replacing


def test_a_reader_finds_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("ne")
        assert path.read_text() == "old"
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert [*tmp_path.iterdir()] == [path]


def test_bytes_are_on_the_disk_before_they_have_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    named: list[bool] = []
    monkeypatch.setattr("os.fsync", lambda handle: named.append(path.exists()))
    with replacing(path, durable=True) as temporary:
        temporary.write_text("new")
    assert named == [False]
    with replacing(path) as temporary:
        temporary.write_text("newer")
    assert named == [False]


def test_what_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def write() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        write()
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_two_writers_are_in_no_other_s_way(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first, and much longer")
        second.write_text("second")
    assert path.read_text() == "first, and much longer", "the last to end"


def test_a_tail_reads_on_by_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    tail = Tail(path)
    assert tail.lines() == [], "it isn't there yet"
    path.write_bytes(b"one\ntw")
    assert tail.lines() == ["one"]
    with path.open("ab") as file:
        file.write("o\nthré".encode()[:-1])  # within a letter
    assert tail.lines() == ["two"]
    with path.open("ab") as file:
        file.write("é".encode()[-1:] + b"e\n")
    assert tail.lines() == ["thrée"]
    assert tail.lines() == []


def test_a_tail_of_a_file_that_was_begun_anew_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("a long line\n")
    tail = Tail(path)
    assert tail.read() == b"a long line\n"
    path.write_text("short\n")
    assert tail.read() == b"short\n"
    assert tail.read() == b""


def test_json_lines_leave_out_what_is_still_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert json_lines(path) == []
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epo')
    assert json_lines(path) == [{"epoch": 1}, {"epoch": 2}]


@pytest.mark.parametrize("line", ["{", "[1, 2]", "7", "\x00\x00", "null", "[" * 100_000])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(f'{{"ask": 0}}\n{line}\n')
    with pytest.raises(JobError, match=r"events\.jsonl, line 2: .*; resume=false begins anew$"):
        json_lines(path)
