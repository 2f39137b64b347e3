"""Raw inputs held against a contract, all at once or some rows at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from renate.data.contract.checking import Violation, violations_of
from renate.data.contract.document import ColumnContract, Contract
from renate.data.contract.fixing import HOW, fixed
from renate.data.contract.rules import FAIL, FIX, OFF, Rules
from renate.data.contract.views import View, views_of
from renate.data.kept.encoders import Encoder
from renate.errors import DataError

SHOWN = 3  # values that a message names
Place = Callable[[int], str]  # where a row stands: `week1.csv row 7`
REMEDY = (
    "correct the data, or edit the contract (renate state contract URL > contract.yaml) and give "
    "data.contract=contract.yaml"
)


@dataclass
class Finding:
    """One kind of violation of one column, so far.

    Attributes:
        check: Which check.
        what: What is wrong with the values.
        count: How many rows have it; 0 where the column as a whole is wrong.
        shown: The first of them, with their places.
        action: What it leads to.
    """

    check: str
    what: str
    action: str
    count: int = 0
    shown: list[str] = field(default_factory=list)


@dataclass
class Seen:
    """What was seen of one column.

    Attributes:
        rows: How many.
        missing: How many of them aren't there.
        places: Where the first of these stand.
        findings: By check.
    """

    rows: int = 0
    missing: int = 0
    places: list[str] = field(default_factory=list)
    findings: dict[str, Finding] = field(default_factory=dict)


class Inspection:
    """Holds raw inputs against a contract, and tells what it found at the end.

    Args:
        contract: What they may be like.
        rules: What a violation leads to.
        where: What the data are, for messages: `data.train`.
    """

    def __init__(self, contract: Contract, rules: Rules, where: str) -> None:
        self.contract = contract
        self.rules = rules
        self.where = where
        self.seen: dict[str, Seen] = {}
        self.strange: dict[str, None] = {}

    def look(
        self,
        inputs: Any,
        columns: Sequence[tuple[str, str]],
        encoder: Encoder | None,
        place: Place,
    ) -> Any:
        """Take note of some rows, and return them as the rules ask.

        Args:
            inputs: See `views_of`, as the next two.
            columns: See there.
            encoder: See there.
            place: Where a row stands.

        Raises:
            DataError: A value that isn't in the contract, where that fails.
        """
        if not self.contract.columns or not self.rules:
            return inputs

        views = views_of(inputs, columns, encoder)
        if not views.keys() & self.contract.columns.keys():
            # Tensors without names may be continued by columns that have some, or the reverse
            self.strange |= dict.fromkeys(views)
            return inputs

        for name, wanted in self.contract.columns.items():
            seen = self.seen.setdefault(name, Seen())
            view = views.get(name)
            if view is None:
                self._note(name, Violation("types", "isn't there", np.empty(0, np.int64)), [])
                continue

            seen.rows += len(view)
            for found in violations_of(view, wanted):
                if self.rules.of_check(found.check) == OFF:
                    continue
                self._note(name, found, _shown(view, found.rows, place))
                if self.rules.of_check(found.check) == FIX:
                    inputs = fixed(inputs, name, view, wanted, found)
                    view = views_of(inputs, columns, encoder)[name]
            if view.type == wanted.type:
                self._count_missing(seen, view, place)

        self._fail()
        return inputs

    def _note(self, name: str, found: Violation, shown: list[str]) -> None:
        action = self.rules.of_check(found.check)
        if action == OFF:
            return
        findings = self.seen[name].findings
        finding = findings.setdefault(found.check, Finding(found.check, found.what, action))
        finding.count += len(found.rows)
        finding.shown += shown[: SHOWN - len(finding.shown)]

    def _count_missing(self, seen: Seen, view: View, place: Place) -> None:
        rows = np.flatnonzero(view.missing)
        seen.missing += len(rows)
        seen.places += [place(int(row)) for row in rows[: SHOWN - len(seen.places)]]

    def _findings(self) -> Iterator[tuple[str, Finding]]:
        for name, seen in self.seen.items():
            for finding in seen.findings.values():
                yield name, finding

    def conclude(self) -> list[str]:
        """Return what there is to say of all rows.

        Raises:
            DataError: Too many values aren't there, where that fails.
        """
        for name, wanted in self.contract.columns.items():
            self._conclude_missing(name, wanted)
        self._fail()
        said = [f"{self.where}: {self._said(name, f)}" for name, f in self._findings()]
        if self.strange:
            ours = ", ".join(list(self.strange)[:SHOWN])
            theirs = ", ".join(list(self.contract.columns)[:SHOWN])
            said.append(
                f"{self.where}: of its columns ({ours}) none is in the contract ({theirs}): they "
                "aren't held against it"
            )
        return said

    def _conclude_missing(self, name: str, wanted: ColumnContract) -> None:
        seen = self.seen.get(name, Seen())
        action = self.rules.of_check("missing")
        if wanted.missing is None or not seen.rows or action == OFF:
            return

        share = seen.missing / seen.rows
        if share <= wanted.missing:
            return
        what = (
            f"missing, {share:.1%} of all, the contract has at most {wanted.missing:.1%} "
            f"({', '.join(seen.places)})"
        )
        seen.findings["missing"] = Finding("missing", what, action, seen.missing)

    def _fail(self) -> None:
        failed = [(n, f) for n, f in self._findings() if f.action == FAIL]
        if not failed:
            return

        more = ""
        if len(failed) > 1:
            more = f" (and {len(failed) - 1} more such findings)"
        said = self._said(*failed[0])
        raise DataError(f"{self.where}: {said}{more}: contract.{failed[0][1].check}=fail: {REMEDY}")

    def _said(self, name: str, finding: Finding) -> str:
        if not finding.count:
            return f"column '{name}' {finding.what}"

        are = "value is" if finding.count == 1 else "values are"
        said = f"column '{name}': {finding.count:,} of {self.seen[name].rows:,} {are} "
        said += finding.what
        if finding.shown:
            more = ", …" if finding.count > len(finding.shown) else ""
            said += f": {', '.join(finding.shown)}{more}"
        if finding.action == FIX:
            said += f"; {HOW[finding.check]}"
        return said


def _shown(view: View, rows: np.ndarray[Any, Any], place: Place) -> list[str]:
    return [f"{view.shown(int(row))} ({place(int(row))})" for row in rows[:SHOWN]]
