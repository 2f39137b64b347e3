"""Text for a terminal: whatever came from outside is escaped, paths are short, commands can be
typed.
"""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from renate.errors import printable, printable_lines

WIDE = 200  # columns, where nothing tells how many there are


class PlainConsole(Console):
    """Prints text that may come from outside: whatever would steer the terminal is escaped."""

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich prints it."""
        escaped = (printable_lines(o) if isinstance(o, str) else o for o in objects)
        super().print(*escaped, **how)


def cell(text: object) -> str:
    """Text from outside for a cell of a table: neither control characters nor markup."""
    return escape(printable(text))


def stdout() -> Console:
    """The console for what a command ends with; wide where nothing tells the width."""
    width: dict[str, Any] = {} if sys.stdout.isatty() else {"width": WIDE}
    return PlainConsole(highlight=False, soft_wrap=True, **width)


def relative(path: object) -> str:
    """A path as seen from the current directory, where it lies below it; anything else as it is."""
    text = str(path)
    if not text.startswith(os.sep):
        return text

    try:
        return "./" + str(Path(text).relative_to(Path.cwd()))
    except ValueError:
        return text


def command(overrides: Sequence[str], *more: str) -> str:
    """The command line that gives these overrides, quoted for the shell."""
    return shlex.join(["renate", *overrides, *more])
