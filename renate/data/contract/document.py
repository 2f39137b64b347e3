"""A contract as a document: what columns, a target and a data set may be like."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from renate.problems.base import Label
from renate.state import strict

FORMAT = 1
TYPES = ("number", "boolean", "category", "date", "text", "image", "tensor", "ragged")
MOST = 1_000_000  # columns, labels, categories

Bound = float | str | None
Bounds = tuple[Bound, Bound]


@dataclass(frozen=True)
class ColumnContract:
    """What one column may be like; what is None isn't checked.

    Attributes:
        type: One of `TYPES`.
        range: Least and greatest value of numbers, or of dates in ISO 8601; None has no bound.
        categories: The values that there are.
        length: Fewest and most characters of a text, or values of a row of any length.
        missing: The greatest share of values that aren't there, 0 to 1.
        dtype: Of tensors and images, as torch calls it: `uint8`.
        shape: Of one example.
    """

    type: str
    range: Bounds | None = None
    categories: tuple[str, ...] | None = None
    length: Bounds | None = None
    missing: float | None = None
    dtype: str | None = None
    shape: tuple[int, ...] | None = None

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON and YAML have it; what isn't checked is left out."""
        found: dict[str, Any] = {"type": self.type}
        for key in ("range", "categories", "length", "shape"):
            value = getattr(self, key)
            if value is not None:
                found[key] = list(value)

        for key in ("missing", "dtype"):
            value = getattr(self, key)
            if value is not None:
                found[key] = value

        return found


@dataclass(frozen=True)
class Contract:
    """What data may be like.

    Attributes:
        columns: By name; those of a data set that aren't among them are free.
        labels: Label -> the least and greatest share of examples that have it, None where any;
            None where the target has no labels, or any.
        target_range: Least and greatest value of a target of numbers.
        examples: How many there are at least.
    """

    columns: dict[str, ColumnContract] = field(default_factory=dict)
    labels: dict[Label, tuple[float, float] | None] | None = None
    target_range: Bounds | None = None
    examples: int = 0

    def with_labels(self, labels: list[Label]) -> "Contract":
        """Return it with further labels, of any share."""
        if self.labels is None:
            return self
        return replace(self, labels={**dict.fromkeys(labels), **self.labels})

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON and YAML have it; `from_plain` is the reverse."""
        target: dict[str, Any] = {}
        if self.labels is not None:
            target["labels"] = [_label_to_plain(*item) for item in self.labels.items()]
        if self.target_range is not None:
            target["range"] = list(self.target_range)

        found: dict[str, Any] = {
            "format": FORMAT,
            "columns": {name: column.to_plain() for name, column in self.columns.items()},
        }
        if target:
            found["target"] = target
        return found | {"examples": {"min": self.examples}}

    @classmethod
    def from_plain(cls, found: Any) -> "Contract":
        """Read what `to_plain` wrote, or a person has edited; it may come from a stranger.

        Raises:
            ValueError: Naming the key, its value, and what was expected.
        """
        content = strict.mapping(
            found, "the contract", ("format", "columns"), ("target", "examples")
        )
        number = content["format"]
        strict.need(number == FORMAT, f"format is {strict.shown(number)}, expected {FORMAT}")
        raw = content["columns"]
        strict.need(isinstance(raw, dict), f"columns is {strict.shown(raw)}, expected a mapping")
        strict.need(len(raw) <= MOST, f"columns has {len(raw)} entries, expected at most {MOST}")
        columns = {
            strict.text(name, "the name of a column"): _column(node, f"columns.{name}")
            for name, node in raw.items()
        }

        target = strict.mapping(content.get("target", {}), "target", (), ("labels", "range"))
        labels = None
        if "labels" in target:
            labels = _labels(target["labels"])
        bounds = None
        if "range" in target:
            bounds = _bounds(target["range"], "target.range", strict.number)

        least = strict.mapping(content.get("examples", {"min": 0}), "examples", ("min",))["min"]
        return cls(columns, labels, bounds, strict.whole(least, "examples.min"))


def _label_to_plain(label: Label, share: tuple[float, float] | None) -> dict[str, Any]:
    if share is None:
        return {"label": label}
    return {"label": label, "share": list(share)}


def _column(node: Any, key: str) -> ColumnContract:
    keys = ("range", "categories", "length", "missing", "dtype", "shape")
    found = strict.mapping(node, key, ("type",), keys)
    kind = found["type"]
    known = ", ".join(TYPES)
    strict.need(kind in TYPES, f"{key}.type is {strict.shown(kind)}, expected one of {known}")
    given: dict[str, Any] = {"type": kind}
    if "range" in found:
        as_bound = _moment if kind == "date" else strict.number
        given["range"] = _bounds(found["range"], f"{key}.range", as_bound)
    if "length" in found:
        given["length"] = _bounds(found["length"], f"{key}.length", strict.whole)
    if "categories" in found:
        given["categories"] = tuple(
            strict.items(found["categories"], f"{key}.categories", _category, MOST)
        )
    if "missing" in found:
        given["missing"] = _share(found["missing"], f"{key}.missing")
    if "dtype" in found:
        given["dtype"] = strict.text(found["dtype"], f"{key}.dtype", 40)
    if "shape" in found:
        given["shape"] = tuple(strict.items(found["shape"], f"{key}.shape", strict.whole, 16))

    return ColumnContract(**given)


def _bounds(value: Any, key: str, as_bound: Any) -> Bounds:
    fits = isinstance(value, list) and len(value) == 2
    strict.need(fits, f"{key} is {strict.shown(value)}, expected [least, greatest]")
    low, high = (None if each is None else as_bound(each, key) for each in value)
    if low is not None and high is not None:
        strict.need(low <= high, f"{key} is {strict.shown(value)}, its least is above its greatest")
    return low, high


def _moment(value: Any, key: str) -> str:
    """A date as its text; YAML reads one that stands without quotes as a date."""
    if isinstance(value, date):
        value = value.isoformat()
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        said = f"{key} holds {strict.shown(value)}, expected dates as in '2026-11-27T13:45'"
        raise ValueError(said) from None
    strict.need(found.tzinfo is None, f"{key} holds {value}, expected one without a zone, as UTC")
    return found.isoformat()


def _category(value: Any, key: str) -> str:
    fits = isinstance(value, str)
    strict.need(fits, f"{key} is {strict.shown(value)}, expected text: put it into quotes")
    strict.need(len(value) <= strict.LONGEST, f"{key} has {len(value)} characters")
    return str(value)


def _share(value: Any, key: str) -> float:
    share = strict.number(value, key)
    strict.need(0 <= share <= 1, f"{key} is {strict.shown(value)}, expected 0 to 1")
    return share


def _labels(value: Any) -> dict[Label, tuple[float, float] | None]:
    found: dict[Label, tuple[float, float] | None] = {}
    for label, share in strict.items(value, "target.labels", _label, MOST):
        strict.need(label not in found, f"target.labels holds {label!r} twice")
        found[label] = share
    return found


def _label(value: Any, key: str) -> tuple[Label, tuple[float, float] | None]:
    node = strict.mapping(value, key, ("label",), ("share",))
    label = node["label"]
    fits = isinstance(label, str) or (type(label) is int and abs(label) < strict.WHOLE)
    said = f"{key}.label is {strict.shown(label)}, expected text or a whole number"
    strict.need(fits, said if isinstance(label, int | str) else f"{said}: put it into quotes")
    if "share" not in node:
        return label, None

    low, high = _bounds(node["share"], f"{key}.share", _share)
    return label, (float(low or 0.0), 1.0 if high is None else float(high))
