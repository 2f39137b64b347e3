"""Which files `data.train` and `data.test` mean, and which of them are read."""

from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from renate.data.fingerprint import check_named, contents, expand
from renate.data.kept.fresh import unread
from renate.data.kept.reading import key_of, named_tests
from renate.data.kept.trained import Trained
from renate.data.named.once import read_once, without_copies
from renate.data.table import File


class FoundFiles(NamedTuple):
    """Files to read.

    Attributes:
        train: To train on, each once.
        tests: name -> to measure on, each once.
        contents: name -> content of the former, before they are read, see `File`.
        skipped: Training files that aren't read, as the state has trained on them.
        notes: What to say of `train`.
        test_notes: The same of each of `tests`.
    """

    train: list[str]
    tests: dict[str, list[str]]
    contents: dict[str, str]
    skipped: tuple[File, ...]
    notes: list[str]
    test_notes: dict[str, list[str]]

    @property
    def all(self) -> list[str]:
        """Training files and those of the tests, each once."""
        return list(dict.fromkeys([*self.train, *chain(*self.tests.values())]))


def found_files(
    train: Any, test: Any, cache: Path | None, trained: Trained | None, *, copies: bool
) -> FoundFiles:
    """Find the files that patterns mean.

    Args:
        train: What `data.train` names.
        test: What `data.test` names: patterns, name -> patterns, or None: rows of the training
            files are to be held out.
        cache: See `contents`.
        trained: What the state has trained on and needn't be read again, where no row of it is held
            out; None reads all.
        copies: Whether a training file is read that holds what another one holds.

    Raises:
        ConfigError: What should name files is something else.
        DataError: A pattern that matches nothing.
        NothingNewError: The state has trained on all of them.
    """
    check_named(train, "data.train")
    if test is not None and test != {}:
        check_named(test, "data.test")

    found, notes = read_once(expand(train, "data.train"), "data.train")
    content = dict(zip(found, contents(found, cache), strict=True))
    if not copies:
        found, copied = without_copies(found, content)
        notes += copied

    tests = {}
    test_notes = {}
    for name, patterns in named_tests(test).items():
        tests[name], test_notes[name] = read_once(expand(patterns, "data.test"), key_of(name))

    known = {file: content[file] for file in found}
    skipped = unread(known, trained, needed=test is None)
    left = [file for file in found if file not in skipped]
    return FoundFiles(left, tests, known, tuple(skipped.values()), notes, test_notes)
