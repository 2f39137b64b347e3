"""How CSV files are written, where that can't be told safely."""

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from renate.errors import ConfigError, nearest

# What stands between columns and digits, by names that no shell and no grammar takes for its own.
NAMES = {
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "pipe": "|",
    "space": " ",
    "point": ".",
    "apostrophe": "'",
}
SEPARATORS = ("comma", "semicolon", "tab", "pipe", "space")
# A day that has no part in common with another spelling of it.
PROBE = datetime(2026, 11, 27, 13, 45, 59)


@dataclass(frozen=True)
class Dialect:
    """How CSV files are written; each is None where the usual spelling is meant.

    Attributes:
        separator: What stands between columns; a comma.
        decimal: What stands before the fraction of a number; a point.
        thousands: What stands between groups of three digits; nothing.
        encoding: Of the text, as Python knows it; UTF-8.
        missing: Further texts that stand for a value that isn't there, besides those of
            `renate.data.tables.csv_files.typed.MISSING`.
        date_format: How dates are written, as strftime says it: '%d.%m.%Y'; ISO 8601.
    """

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    missing: Sequence[str] = field(default=())
    date_format: str | None = None

    @classmethod
    def of(cls, node: Mapping[str, Any] | None) -> "Dialect":
        """Return the dialect that `data.csv` describes.

        Raises:
            ConfigError: It has another key, or a value that isn't possible.
        """
        if node is None:
            return cls()
        if not isinstance(node, Mapping):
            raise ConfigError(f"data.csv={node}: expected a mapping such as {{separator: tab}}")

        known = [each.name for each in fields(cls)]
        for name in node:
            if name not in known:
                hint = nearest(str(name), known)
                raise ConfigError(f"data.csv.{name}: no such key{hint} ({', '.join(known)})")

        made = cls(
            _sign(node, "separator", SEPARATORS),
            _sign(node, "decimal", ("comma", "point")),
            _sign(node, "thousands", ("comma", "point", "space", "apostrophe")),
            _encoding(node.get("encoding")),
            _missing(node.get("missing")),
            _date_format(node.get("date_format")),
        )
        if made.thousands is not None and made.thousands == (made.decimal or "."):
            raise ConfigError(
                f"data.csv.thousands={node['thousands']}: that is what stands before fractions: "
                "give data.csv.decimal too"
            )

        return made


def name_of(sign: str) -> str:
    """Return what a sign is called in a config."""
    return next((name for name, known in NAMES.items() if known == sign), sign)


def _sign(node: Mapping[str, Any], key: str, names: Sequence[str]) -> str | None:
    value = node.get(key)
    if value is None:
        return None

    signs = [NAMES[name] for name in names]
    sign = NAMES.get(str(value), str(value))
    if sign not in signs:
        choices = ", ".join(names)
        raise ConfigError(
            f"data.csv.{key}={value!r}: expected one of {choices}{nearest(str(value), names)}"
        )

    return sign


def _encoding(value: Any) -> str | None:
    if value is None:
        return None
    try:
        return codecs.lookup(str(value)).name
    except LookupError:
        raise ConfigError(
            f"data.csv.encoding={value}: no encoding that Python knows, expected one such as "
            "latin-1, cp1252 or utf-16"
        ) from None


def _missing(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigError(f"data.csv.missing={value!r}: expected a list of texts, as ['{value}']")
    return tuple(str(text).strip() for text in value)


def _date_format(value: Any) -> str | None:
    if value is None:
        return None

    text = str(value)
    try:
        read = datetime.strptime(PROBE.strftime(text), text)
    except ValueError:
        read = None
    if read is None or (read.year, read.month, read.day) != (PROBE.year, PROBE.month, PROBE.day):
        raise ConfigError(
            f"data.csv.date_format={text!r}: expected how year, month and day are written, as "
            "'%d.%m.%Y' or '%m/%d/%Y %H:%M'"
        )

    return text
