"""Every error that a user can cause. The message is one line: what was found, what was expected,
what to do.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class RenateError(Exception):
    """Root of the tree; the command line prints these without a traceback."""

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(RenateError):
    """A key, a value or an option that can't be right."""


class DataError(RenateError):
    """The data can't be read, or isn't what the config says."""


class NothingNewError(DataError):
    """Earlier versions of the state have trained on all of the training data."""


class TooFewError(DataError):
    """A side of the hold-out would be empty: with more examples it wouldn't."""


class JobError(RenateError):
    """A job failed, or a job directory isn't what it should be."""


class StateError(RenateError):
    """A state can't be opened, read or written."""


class NoVersionError(StateError):
    """The URL holds no such version."""


class ConflictError(StateError):
    """Somebody else published the version that we wanted to publish."""


class CorruptError(StateError):
    """Stored bytes don't match their manifest, or aren't what a file of that name holds."""


class GoneError(StateError):
    """The version was removed by gc."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return `, did you mean 'x'?` for the closest of `choices`, or an empty string where none
    is close, or it is the word itself.
    """
    close = get_close_matches(str(word), list(choices), n=1, cutoff=0.6)
    if close and close[0] != str(word):
        return f", did you mean '{close[0]}'?"
    return ""


def within(key: str, name: object) -> str:
    """Return the full key of what stands below a key; below the root its own name."""
    if not key:
        return str(name)
    return f"{key}.{name}"


def shortened(text: str, longest: int) -> str:
    """Return text, or as much of it as may be shown and a mark that there is more."""
    if len(text) <= longest:
        return text
    return f"{text[:longest]}…"


def listed(words: Iterable[object], most: int) -> str:
    """Return the first of some words in a row, and a mark where there are more."""
    found = [str(word) for word in words]
    if len(found) > most:
        found = [*found[:most], "…"]
    return ", ".join(found)


def and_more(left: int, of: str = "") -> str:
    """Return ` and 3 more`, the end of a list; nothing where none is left."""
    if left < 1:
        return ""
    return " ".join(["", "and", f"{left:,}", "more", *of.split()])


def printable_lines(text: object) -> str:
    """Return text for a terminal, line by line as `printable`."""
    return "\n".join(printable(line) for line in str(text).split("\n"))


def printable(text: object) -> str:
    """Return text for one line of a terminal: whatever would steer the terminal is escaped.

    Names, facts and messages come from states, job folders and object stores, which a stranger may
    have written.
    """
    words = str(text)
    if words.isprintable():
        return words

    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in words
    )
