"""One sentence of the first lines."""

from dataclasses import dataclass

GOOD, BAD, OPEN, PLAIN = "good", "bad", "open", "plain"


@dataclass(frozen=True)
class Line:
    """A sentence, and how it is meant.

    Attributes:
        about: One or two words before it.
        text: The sentence.
        tone: `good`, `bad`, `open` or `plain`.
    """

    about: str
    text: str
    tone: str = PLAIN
