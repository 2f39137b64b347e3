"""Numbers on the command line."""

from collections.abc import Callable

from renate.errors import ConfigError


def count_of(option: str) -> Callable[[str], int]:
    """Return what reads the value of an option that counts something.

    What it returns raises a ConfigError, one line, for what is no whole number of 1 or more;
    argparse would print its usage around it.
    """

    def read(text: str) -> int:
        if text.isascii() and text.isdecimal() and int(text) >= 1:
            return int(text)
        raise ConfigError(f"{option} {text}: expected a whole number of 1 or more")

    return read
